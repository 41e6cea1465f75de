// What an export is held against: the same Secrets fetched page by page as raw JSON by one undici Agent, parsed and
// dropped; with BENCH_BYTES_ONLY not even parsed. A process of its own, bundled as Transship is.
import { Agent } from 'undici';
import type { DirectAccess } from './direct.ts';

/** As many as kubectl asks for at once. */
const PAGE = 500;

async function main(): Promise<void> {
  const { server, ca, cert, key }: DirectAccess = JSON.parse(process.env.BENCH_ACCESS ?? '');
  const dispatcher = new Agent({ connect: { ca, cert, key } });
  const read = process.env.BENCH_BYTES_ONLY ? continueOfBytes : continueOfJson;
  let token = '';
  do {
    const query = `limit=${PAGE}&labelSelector=owner%3Dhelm&continue=${token}`;
    const { statusCode, body } = await dispatcher.request({
      origin: server,
      path: `/api/v1/secrets?${query}`,
      method: 'GET',
      headers: { accept: 'application/json' },
    });
    if (statusCode !== 200) throw new Error(`The server answered ${statusCode}: ${await body.text()}`);
    token = await read(body);
  } while (token !== '');
  await dispatcher.close();
}

type Body = Awaited<ReturnType<Agent['request']>>['body'];

async function continueOfJson(body: Body): Promise<string> {
  const { metadata } = Object(await body.json());
  return metadata.continue ?? '';
}

async function continueOfBytes(body: Body): Promise<string> {
  const page = Buffer.from(await body.arrayBuffer());
  // The metadata of a list comes before its items.
  return /^[^[]*?"continue":"([^"]+)"/.exec(page.toString('latin1', 0, 1000))?.[1] ?? '';
}

main();
