// What an import of resources is held against: bare POSTs by one undici Agent, several at once. A process of its own,
// bundled as Transship is. Each line of the files in BENCH_FILES is the path of a collection, a tab and an object as
// JSON; one file is done before the next begins. It prints how many objects there are now, and how many were there.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from 'undici';
import type { DirectAccess } from './direct.ts';

/** As many as Transship has on import. */
const CONNECTIONS = 16;
/** Milliseconds until a kind whose definition is new may be served, and the pause between two tries. */
const NOT_SERVED = { atMost: 30_000, pause: 50 };

async function main(): Promise<void> {
  const { server, ca, cert, key }: DirectAccess = JSON.parse(process.env.BENCH_ACCESS ?? '');
  const files: string[] = JSON.parse(process.env.BENCH_FILES ?? '');
  const dispatcher = new Agent({ connections: CONNECTIONS, pipelining: 1, connect: { ca, cert, key } });
  const done = { created: 0, existing: 0 };
  const create = async (path: string, object: string) => {
    for (const begin = performance.now(); ; await sleep(NOT_SERVED.pause)) {
      const { statusCode, body } = await dispatcher.request({
        origin: server,
        path: `${path}?fieldManager=bench`,
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: object,
      });
      const answer = await body.text();
      if (statusCode === 201) done.created++;
      else if (statusCode === 409) done.existing++;
      else if (statusCode === 404 && performance.now() - begin < NOT_SERVED.atMost) continue;
      else throw new Error(`POST ${path} answered ${statusCode}: ${answer}`);
      return;
    }
  };
  for (const file of files) {
    const lines = createInterface({ input: createReadStream(file) })[Symbol.asyncIterator]();
    const worker = async () => {
      for (let next = await lines.next(); !next.done; next = await lines.next()) {
        const tab = next.value.indexOf('\t');
        await create(next.value.slice(0, tab), next.value.slice(tab + 1));
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  }
  await dispatcher.close();
  process.stdout.write(JSON.stringify(done));
}

main();
