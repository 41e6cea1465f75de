// What a plan of resources is held against: bare server-side applies as dry runs by one undici Agent, several at once. A
// process of its own, bundled as Transship is. Each line of the files in BENCH_FILES is the path of a collection, a tab and
// an object as JSON. It prints how many objects were tried.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Agent } from 'undici';
import type { DirectAccess } from './direct.ts';

/** As many as Transship has on import. */
const CONNECTIONS = 16;

async function main(): Promise<void> {
  const { server, ca, cert, key }: DirectAccess = JSON.parse(process.env.BENCH_ACCESS ?? '');
  const files: string[] = JSON.parse(process.env.BENCH_FILES ?? '');
  const dispatcher = new Agent({ connections: CONNECTIONS, pipelining: 1, connect: { ca, cert, key } });
  let tried = 0;
  const apply = async (collection: string, object: string) => {
    const { metadata } = JSON.parse(object);
    const path = `${collection}/${encodeURIComponent(metadata.name)}`;
    const { statusCode, body } = await dispatcher.request({
      origin: server,
      path: `${path}?fieldManager=transship&force=true&dryRun=All`,
      method: 'PATCH',
      headers: { 'content-type': 'application/apply-patch+yaml', accept: 'application/json' },
      body: object,
    });
    const answer = await body.text();
    if (statusCode !== 200) throw new Error(`PATCH ${path} answered ${statusCode}: ${answer}`);
    JSON.parse(answer);
    tried++;
  };
  for (const file of files) {
    const lines = createInterface({ input: createReadStream(file) })[Symbol.asyncIterator]();
    const worker = async () => {
      for (let next = await lines.next(); !next.done; next = await lines.next()) {
        const tab = next.value.indexOf('\t');
        await apply(next.value.slice(0, tab), next.value.slice(tab + 1));
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  }
  await dispatcher.close();
  process.stdout.write(JSON.stringify({ tried }));
}

main();
