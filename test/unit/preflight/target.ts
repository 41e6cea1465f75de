import { collectionPath } from '../../../src/cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import type { ResourceKind } from '../../../src/cluster/discovery.ts';
import type { Change, PlanProblem } from '../../../src/plan/plan.ts';
import { createPreflight, type Preflight } from '../../../src/preflight/preflight.ts';
import { isMap } from '../../../src/values.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

export const KINDS: readonly ResourceKind[] = [
  ...[
    'configmaps ConfigMap',
    'secrets Secret',
    'services Service',
    'pods Pod',
    'persistentvolumeclaims PersistentVolumeClaim',
  ],
  ...['*persistentvolumes PersistentVolume', '*namespaces Namespace', 'resourcequotas ResourceQuota'],
]
  .map((text) => kindOf(`v1 ${text}`))
  .concat(
    [
      ...['apps/v1 deployments Deployment', 'apps/v1 statefulsets StatefulSet', 'apps/v1 daemonsets DaemonSet'],
      ...['batch/v1 jobs Job', 'batch/v1 cronjobs CronJob', 'networking.k8s.io/v1 ingresses Ingress'],
      ...['storage.k8s.io/v1 *storageclasses StorageClass', 'networking.k8s.io/v1 *ingressclasses IngressClass'],
      ...['scheduling.k8s.io/v1 *priorityclasses PriorityClass', 'node.k8s.io/v1 *runtimeclasses RuntimeClass'],
      ...['rbac.authorization.k8s.io/v1 *clusterroles ClusterRole', 'example.com/v1 databases Database'],
      'apiextensions.k8s.io/v1 *customresourcedefinitions CustomResourceDefinition',
    ].map((text) => kindOf(text)),
  );

/** What a SelfSubjectAccessReview asks for. */
export interface Asked {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
}

export interface TargetOptions {
  /** Absent for an administrator. */
  readonly may?: (asked: Asked) => boolean;
  readonly objects?: readonly KubeObject[];
  /** Paths that may not be listed. */
  readonly forbidden?: readonly string[];
  readonly newNamespaces?: readonly string[];
}

export interface Target extends Preflight {
  /** As `verb resource.group namespace/name`. */
  readonly reviews: string[];
  /** Paths that were listed. */
  readonly listed: string[];
  /** Notes objects, all with the same change. */
  bring(change: Change, ...objects: KubeObject[]): void;
  problems(): Promise<PlanProblem[]>;
  /** Reviews that were under way at once. */
  readonly most: number;
}

/** A preflight on a cluster that answers as an API server does. */
export function target(options: TargetOptions = {}): Target {
  const { may = () => true, objects = [], forbidden = [], newNamespaces = [] } = options;
  const reviews: string[] = [];
  const listed: string[] = [];
  let running = 0;
  let most = 0;
  const refuse = (path: string) => new ClusterError(403, 'Forbidden', `${path} is forbidden`);
  const cluster: Cluster = {
    context: 'target',
    server: 'https://127.0.0.1',
    namespace: 'default',
    access: {},
    async json<T>({ path, method, body }: Parameters<Cluster['json']>[0]): Promise<T> {
      if (path !== '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews' || method !== 'POST') throw new Error(path);
      if (forbidden.includes(path)) throw refuse(path);
      running += 1;
      most = Math.max(most, running);
      // As it is sent: what is undefined is not there.
      const sent: unknown = JSON.parse(JSON.stringify(body));
      const asked = isMap(sent) && isMap(sent.spec) ? sent.spec.resourceAttributes : undefined;
      if (!isAsked(asked)) throw new Error('That is no review.');
      const group = asked.group === '' ? '' : `.${asked.group}`;
      reviews.push(`${asked.verb} ${asked.resource}${group} ${asked.namespace ?? ''}/${asked.name ?? ''}`);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return JSON.parse(JSON.stringify({ status: { allowed: may(asked) } }));
    },
    async *list(path) {
      listed.push(path);
      if (forbidden.includes(path)) throw refuse(path);
      for (const object of objects) {
        const kind = kindOfObject(object);
        if ([collectionPath(kind), collectionPath(kind, object.metadata.namespace)].includes(path)) yield object;
      }
    },
    async *listPages(path, listOptions) {
      for await (const object of this.list(path, listOptions)) yield [object];
    },
    ...noWatch,
    async *listData() {},
    async close() {},
  };
  const preflight = createPreflight({
    ...{ cluster, discovery: discoveryOf(KINDS), concurrency: 4 },
    newNamespaces: () => new Set(newNamespaces),
  });
  return {
    ...preflight,
    ...{ reviews, listed },
    get most() {
      return most;
    },
    bring(change, ...brought) {
      for (const object of brought) preflight.note(object, kindOfObject(object), change);
    },
    problems: () => preflight.finish(),
  };
}

function isAsked(value: unknown): value is Asked {
  return isMap(value) && ['verb', 'group', 'resource'].every((key) => typeof value[key] === 'string');
}

export function kindOfObject({ apiVersion, kind }: KubeObject): ResourceKind {
  const found = KINDS.find((one) => one.apiVersion === apiVersion && one.kind === kind);
  if (found === undefined) throw new Error(`${apiVersion} ${kind} is not served.`);
  return found;
}

/** An object from `apps/v1 Deployment shop/web`. */
export function object(text: string, rest: object = {}): KubeObject {
  const [apiVersion = '', kind = '', id = ''] = text.split(' ');
  const [name = '', namespace] = id.split('/').reverse();
  const { metadata, ...fields }: { metadata?: object } = rest;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...metadata },
    ...fields,
  };
}
