// What an export of resources is held against: collections listed page by page as raw JSON by one undici Agent, several
// at once, parsed and dropped; with BENCH_BYTES_ONLY not even parsed. A process of its own, bundled as Transship is. It
// prints how much it got.
import { Agent } from 'undici';
import type { DirectAccess } from './direct.ts';

/** As many as kubectl asks for at once. */
const PAGE = 500;
/** As many as Transship has. */
const CONNECTIONS = 8;

interface Page {
  readonly token: string;
  readonly objects: number;
  readonly bytes: number;
}

async function main(): Promise<void> {
  const { server, ca, cert, key }: DirectAccess = JSON.parse(process.env.BENCH_ACCESS ?? '');
  const paths: string[] = JSON.parse(process.env.BENCH_PATHS ?? '');
  const dispatcher = new Agent({ connections: CONNECTIONS, pipelining: 1, connect: { ca, cert, key } });
  const read = process.env.BENCH_BYTES_ONLY ? readBytes : readJson;
  const got = { objects: 0, bytes: 0 };
  const list = async (path: string) => {
    let token = '';
    do {
      const { statusCode, body } = await dispatcher.request({
        origin: server,
        path: `${path}?limit=${PAGE}&continue=${token}`,
        method: 'GET',
        headers: { accept: 'application/json' },
      });
      if (statusCode !== 200) throw new Error(`GET ${path} answered ${statusCode}: ${await body.text()}`);
      const page = await read(body);
      got.objects += page.objects;
      got.bytes += page.bytes;
      token = page.token;
    } while (token !== '');
  };
  const left = paths.values();
  const worker = async () => {
    for (const path of left) await list(path);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  await dispatcher.close();
  process.stdout.write(JSON.stringify(got));
}

type Body = Awaited<ReturnType<Agent['request']>>['body'];

async function readJson(body: Body): Promise<Page> {
  const { metadata, items } = Object(await body.json());
  return { token: metadata.continue ?? '', objects: items.length, bytes: 0 };
}

async function readBytes(body: Body): Promise<Page> {
  const page = Buffer.from(await body.arrayBuffer());
  // The metadata of a list comes before its items; that of custom resources after them.
  const [, token = ''] =
    /^[^[]*?"continue":"([^"]+)"/.exec(page.toString('latin1', 0, 1000)) ??
    /"metadata":\{"continue":"([^"]+)"[^{}]*\}\}\s*$/.exec(page.toString('latin1', Math.max(0, page.length - 1000))) ??
    [];
  return { token, objects: 0, bytes: page.length };
}

main();
