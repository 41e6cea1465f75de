import { setTimeout as delay } from 'node:timers/promises';
import { isMap } from '../../src/values.ts';
import type { Authority } from '../cluster/certificates.ts';
import { type Answer, type HttpRequest, NOT_FOUND, textAnswer } from './answers.ts';
import { runStrategyOf } from './controllers/machines.ts';
import { createEndpoint } from './endpoint.ts';
import { type HttpsStandIn, startHttps } from './https-server.ts';
import type { Kube } from './kube.ts';
import { field, maps, PATHS, pathIn, text } from './objects.ts';
import type { UploadTokens } from './upload-token.ts';

/** An API that the API server passes on to us. */
interface Group {
  readonly group: string;
  readonly version: string;
  /** Of the Service behind it. */
  readonly namespace: string;
  readonly service: string;
  readonly resources: readonly object[];
}

const GROUPS: readonly Group[] = [
  {
    group: 'upload.cdi.kubevirt.io',
    version: 'v1beta1',
    namespace: 'cdi',
    service: 'cdi-api',
    resources: [
      {
        name: 'uploadtokenrequests',
        singularName: 'uploadtokenrequest',
        namespaced: true,
        kind: 'UploadTokenRequest',
        verbs: ['create'],
        shortNames: ['utr', 'utrs'],
      },
    ],
  },
  {
    group: 'subresources.kubevirt.io',
    version: 'v1',
    namespace: 'kubevirt',
    service: 'virt-api',
    resources: ['start', 'stop'].map((what) => ({
      name: `virtualmachines/${what}`,
      singularName: '',
      namespaced: true,
      kind: 'VirtualMachine',
      verbs: ['update'],
    })),
  },
];

/**
 * Serves what KubeVirt and CDI add to the API server itself, as real APIServices: upload tokens (created only), and the
 * subresources `start` and `stop` of machines. The API server says who may, and passes the rest on.
 *
 * @returns once the API server has found them
 */
export async function startApiServices(kube: Kube, authority: Authority, tokens: UploadTokens): Promise<HttpsStandIn> {
  const endpoint = createEndpoint((request) => answer(kube, tokens, request));
  const hosts = GROUPS.map(({ service, namespace }) => `${service}.${namespace}.svc`);
  const server = await startHttps(endpoint, { authority, hosts });
  try {
    await Promise.all(GROUPS.map((group) => register(kube, group, server.port, authority.cert)));
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

async function register(
  kube: Kube,
  { group, version, namespace, service }: Group,
  port: number,
  ca: string,
): Promise<void> {
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  // A Service of this type leads the API server to a name, here of this machine.
  await kube.create(pathIn(PATHS.services, namespace), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: service, namespace },
    spec: { type: 'ExternalName', externalName: 'localhost' },
  });
  const path = '/apis/apiregistration.k8s.io/v1/apiservices';
  const name = `${version}.${group}`;
  await kube.create(path, {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name },
    spec: {
      group,
      version,
      groupPriorityMinimum: 1000,
      versionPriority: 15,
      caBundle: Buffer.from(ca).toString('base64'),
      service: { namespace, name: service, port },
    },
  });
  for (const deadline = Date.now() + 30_000; ; await delay(50)) {
    const object = await kube.get(`${path}/${name}`);
    const available = maps(object, 'status', 'conditions').find(({ type }) => type === 'Available');
    if (available?.status === 'True' && (await kube.serves(group, version))) return;
    if (Date.now() > deadline)
      throw new Error(`${name} is not available, or not served yet: ${JSON.stringify(available)}`);
  }
}

async function answer(kube: Kube, tokens: UploadTokens, request: HttpRequest): Promise<Answer> {
  const { path, method } = request;
  if (method === 'GET') return discovery(path);
  const [, namespace, resource, name, action] =
    /^\/apis\/[^/]+\/[^/]+\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+)\/([^/]+))?$/.exec(path) ?? [];
  if (namespace === undefined) return NOT_FOUND;
  if (method === 'POST' && resource === 'uploadtokenrequests') return issueToken(tokens, request, namespace);
  if (method === 'PUT' && name !== undefined && (action === 'start' || action === 'stop')) {
    return changeState(kube, namespace, name, action);
  }
  return NOT_FOUND;
}

function discovery(path: string): Answer {
  const groups = GROUPS.map(({ group, version }) => {
    const versions = [{ groupVersion: `${group}/${version}`, version }];
    return { kind: 'APIGroup', apiVersion: 'v1', name: group, versions, preferredVersion: versions[0] };
  });
  if (path === '/healthz') return textAnswer(200, 'OK');
  if (path === '/apis') return json(200, { kind: 'APIGroupList', apiVersion: 'v1', groups });
  const group = groups.find(({ name }) => path === `/apis/${name}`);
  if (group !== undefined) return json(200, group);
  const served = GROUPS.find((one) => path === `/apis/${one.group}/${one.version}`);
  if (served === undefined) return NOT_FOUND;
  const groupVersion = `${served.group}/${served.version}`;
  return json(200, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: served.resources });
}

/** @see https://github.com/kubevirt/containerized-data-importer/blob/main/pkg/apiserver/apiserver.go `uploadHandler` */
async function issueToken(tokens: UploadTokens, request: HttpRequest, namespace: string): Promise<Answer> {
  let body = '';
  for await (const piece of request.body) body += Buffer.from(piece).toString('utf8');
  const asked: unknown = JSON.parse(body);
  const token = tokens.issue({ namespace, name: text(asked, 'spec', 'pvcName') ?? '' });
  return json(200, { ...(isMap(asked) ? asked : {}), status: { token } });
}

/** @see https://github.com/kubevirt/kubevirt/blob/main/pkg/virt-api/rest/lifecycle.go */
async function changeState(kube: Kube, namespace: string, name: string, action: 'start' | 'stop'): Promise<Answer> {
  const path = pathIn(PATHS.machines, namespace, name);
  const [vm, vmi] = await Promise.all([kube.get(path), kube.get(pathIn(PATHS.instances, namespace, name))]);
  if (vm === undefined) return refusal(404, 'NotFound', `virtualmachine.kubevirt.io "${name}" not found`);
  const isStart = action === 'start';
  if (isStart === (vmi !== undefined)) {
    const reason = isStart ? 'VM is already running' : 'VM is not running';
    return refusal(409, 'Conflict', `Operation cannot be fulfilled on virtualmachine.kubevirt.io "${name}": ${reason}`);
  }
  const strategy = runStrategyOf(vm);
  if (strategy === 'Manual' || (strategy === 'RerunOnFailure' && !isStart)) {
    const change = isStart ? { action: 'Start' } : { action: 'Stop', uid: vmi?.metadata.uid };
    await kube.patch(`${path}/status`, { status: { stateChangeRequests: [change] } });
  } else if (field(vm, 'spec', 'running') === undefined) {
    await kube.patch(path, { spec: { runStrategy: isStart ? 'Always' : 'Halted' } });
  } else {
    await kube.patch(path, { spec: { running: isStart } });
  }
  return { status: 202, headers: { 'content-length': '0' } };
}

function json(status: number, value: object): Answer {
  return textAnswer(status, JSON.stringify(value), 'application/json');
}

function refusal(code: number, reason: string, message: string): Answer {
  return json(code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason, message, code });
}
