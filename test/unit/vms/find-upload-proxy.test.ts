import { expect, test } from 'vitest';
import { type Cluster, ClusterError } from '../../../src/cluster/cluster.ts';
import { silentReporter as reporter } from '../../../src/report/reporter.ts';
import { findUploadProxy } from '../../../src/vms/find-upload-proxy.ts';
import { createVmHttp, type VmHttp, type VmRequest } from '../../../src/vms/http.ts';
import { VmHttpError } from '../../../src/vms/http-error.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

const DISCOVERY = discoveryOf([kindOf('cdi.kubevirt.io/v1beta1 *cdiconfigs CDIConfig')]);
const CONFIG = '/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config';
const SERVICE = '/api/v1/namespaces/cdi/services/cdi-uploadproxy';
const BUNDLE = '/api/v1/namespaces/cdi/configmaps/cdi-uploadproxy-signer-bundle';
const SERVICE_URL = 'https://cdi-uploadproxy.cdi.svc';

function clusterWith(objects: Record<string, unknown>, kubeconfig: string | undefined = '/kubeconfig'): Cluster {
  return {
    context: 'prod',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: { kubeconfig },
    async json<T>({ path }: { path: string }): Promise<T> {
      const found = objects[path];
      if (found instanceof Error) throw found;
      if (found === undefined) throw new ClusterError(404, 'NotFound', `${path} is not there`);
      return { apiVersion: 'v1', kind: 'X', metadata: { name: 'x' }, ...Object(found) } as T;
    },
    async *list() {},
    async *listPages() {},
    ...noWatch,
    async *listData() {},
    close: async () => {},
  };
}

/** @param answers - whether a request is answered */
async function find(cluster: Cluster, answers: (request: VmRequest) => boolean | VmHttpError) {
  const asked: VmRequest[] = [];
  const tunnels: { open: number; closed: number } = { open: 0, closed: 0 };
  const real = await createVmHttp();
  const http: VmHttp = {
    ...real,
    async request(request) {
      asked.push(request);
      const answer = answers(request);
      if (answer === true) return { status: 200, headers: {}, body: (async function* () {})(), text: async () => 'OK' };
      throw answer === false ? new VmHttpError('unreachable', `${request.url} refused`, { cause: undefined }) : answer;
    },
  };
  const openTunnel = async () => {
    tunnels.open += 1;
    const address = { host: '127.0.0.1', port: 1234 } as const;
    const close = async () => {
      tunnels.closed += 1;
    };
    return { address, renew: async () => {}, close };
  };
  const way = findUploadProxy(cluster, DISCOVERY, { http, timeout: 1_000, reporter, openTunnel });
  return { way, asked, tunnels };
}

const isUrl = (url: string) => (request: VmRequest) => request.url === `${url}/healthz`;

test('the URL that an administrator has set counts before the one CDI has found', async () => {
  const cluster = clusterWith({
    [CONFIG]: {
      spec: { uploadProxyURLOverride: 'up.example.com' },
      status: { uploadProxyURL: 'https://other', uploadProxyCA: 'PEM' },
    },
  });
  const { way } = await find(cluster, isUrl('https://up.example.com'));
  expect((await way).proxy).toEqual({ url: 'https://up.example.com', ca: 'PEM' });
});

test('behind an Ingress that passes TLS through, the certificate may be that of the Service', async () => {
  const cluster = clusterWith({
    [CONFIG]: { status: { uploadProxyURL: 'up.example.com' } },
    [SERVICE]: {},
    [BUNDLE]: { data: { 'ca-bundle.crt': 'BUNDLE' } },
  });
  const trust = new VmHttpError('trust', 'not trusted', { cause: undefined });
  const { way } = await find(cluster, ({ ca }) => (ca === 'BUNDLE' ? true : trust));
  const serverName = 'cdi-uploadproxy.cdi.svc';
  expect((await way).proxy).toEqual({ url: 'https://up.example.com', ca: 'BUNDLE', serverName });
});

test('without a URL it is a port-forward to the Service, under its own name', async () => {
  const cluster = clusterWith({ [CONFIG]: {}, [SERVICE]: {}, [BUNDLE]: { data: { 'ca-bundle.crt': 'BUNDLE' } } });
  const { way, tunnels } = await find(cluster, isUrl(SERVICE_URL));
  const { proxy, close } = await way;
  expect(proxy).toEqual({
    url: SERVICE_URL,
    ca: 'BUNDLE',
    serverName: 'cdi-uploadproxy.cdi.svc',
    connect: { host: '127.0.0.1', port: 1234 },
  });
  await close();
  expect(tunnels).toEqual({ open: 1, closed: 1 });
});

test('in the cluster it is the Service itself', async () => {
  const cluster = {
    ...clusterWith({ [CONFIG]: { status: { uploadProxyURL: 'up.example.com' } }, [SERVICE]: {} }),
    access: {},
  };
  const { way, tunnels } = await find(cluster, isUrl(SERVICE_URL));
  expect((await way).proxy.url).toBe(SERVICE_URL);
  expect(tunnels.open).toBe(0);
});

test('where there is no way, the error names each that was tried and the ways out', async () => {
  const cluster = clusterWith({
    [CONFIG]: { status: { uploadProxyURL: 'up.example.com' } },
    [SERVICE]: {},
    [BUNDLE]: new ClusterError(403, 'Forbidden', 'no'),
  });
  const { way, asked, tunnels } = await find(cluster, () => false);
  await expect(way).rejects.toMatchObject({
    code: 'CLUSTER',
    message:
      'CDI\'s upload proxy of the context "prod" can\'t be reached. The ConfigMap cdi/cdi-uploadproxy-signer-bundle may not be read. ' +
      'the URL https://up.example.com: https://up.example.com/healthz refused. ' +
      'a port-forward to the Service cdi/cdi-uploadproxy: https://cdi-uploadproxy.cdi.svc/healthz refused.',
    hint: expect.stringContaining('spec.config.uploadProxyURLOverride'),
  });
  expect(asked).toHaveLength(2);
  expect(tunnels).toEqual({ open: 1, closed: 1 });
});
