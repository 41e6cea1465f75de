import { expect, test } from 'vitest';
import { exactSizes, roughSizes } from '../../../src/vms/clone-sizes.ts';
import type { VmDescription } from '../../../src/vms/description.ts';
import type { OpenedExport } from '../../../src/vms/export-object.ts';
import type { VmHttp, VmRequest, VmResponse } from '../../../src/vms/http.ts';
import { VmHttpError } from '../../../src/vms/http-error.ts';
import { fakeClock, fakeKubevirt, listeningReporter } from './fake-kubevirt.ts';

const GIB = 1024 ** 3;
const DESCRIPTION: VmDescription = {
  objects: [],
  volumes: [
    {
      name: 'r',
      pvc: 'root',
      use: 'disk',
      format: 'disk',
      size: GIB,
      volumeMode: 'Filesystem',
      contentType: 'kubevirt',
    },
    {
      name: 'd',
      pvc: 'docs',
      use: 'disk',
      format: 'directory',
      size: GIB,
      volumeMode: 'Filesystem',
      contentType: 'archive',
    },
  ],
};
const EXPORT: OpenedExport = {
  ...{ name: 'x', namespace: 'shop', uid: 'u', readySince: '', token: 'secret', refusal: undefined },
  links: async () => ({
    ca: 'CA',
    volumes: [{ name: 'root', formats: { raw: 'https://export.example.com/volumes/root/disk.img' } }],
  }),
  check: async () => {},
  close: async () => {},
};

function measure(answer: (request: VmRequest) => VmResponse) {
  const cluster = fakeKubevirt();
  const reporter = listeningReporter();
  const asked: VmRequest[] = [];
  const http: VmHttp = {
    async request(request) {
      asked.push(request);
      return answer(request);
    },
    receive: async () => {},
    close: async () => {},
  };
  const { signal } = new AbortController();
  const options = { http, timeout: 60_000, reporter, clock: fakeClock(), signal, env: {} };
  const exports = [{ vmExport: EXPORT, claims: ['root', 'docs'] }];
  const result = exactSizes({ cluster, discovery: cluster.discovery }, DESCRIPTION, exports, options);
  return { result, reporter, asked };
}

const respond = (status: number, headers: Record<string, string> = {}): VmResponse => {
  return { status, headers, body: (async function* () {})(), text: async () => '' };
};

test('before anything is exported, a disk counts as large as its claim; of files nothing is known', () => {
  expect(roughSizes(DESCRIPTION)).toEqual({ root: GIB, docs: 0 });
});

test('a disk is as large as its server says to a HEAD with the token', async () => {
  const { result, asked } = measure(() => respond(200, { 'content-length': '3146240' }));
  expect(await result).toEqual({ root: 3_146_240, docs: 0 });
  expect(asked.map(({ method, url, ca, headers }) => [method, url, ca, headers?.['x-kubevirt-export-token']])).toEqual([
    ['HEAD', 'https://export.example.com/volumes/root/disk.img', 'CA', 'secret'],
  ]);
});

test('where there is no way to the server the size of the claim has to do, and that is told', async () => {
  const { result, reporter, asked } = measure(({ url }) => {
    throw new VmHttpError('unreachable', `${url}: getaddrinfo ENOTFOUND`, { cause: undefined });
  });
  expect(await result).toEqual({ root: GIB, docs: 0 });
  expect(asked).toHaveLength(1);
  expect(reporter.lines.filter((line) => line.startsWith('warn'))).toEqual([
    "warn: How many bytes these disks have can't be told from here: root. Their copies get the size of their claims, which may be a little larger.",
  ]);
});

test('a server that refuses is an error: CDI would be refused too', async () => {
  await expect(measure(() => respond(401)).result).rejects.toThrow(/disk\.img answers 401/);
});
