import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { collectionPath } from '../../../src/cluster/apply.ts';
import { type Cluster, ClusterError, type KubeObject } from '../../../src/cluster/cluster.ts';
import type { Discovery } from '../../../src/cluster/discovery.ts';
import { type Reporter, silentReporter } from '../../../src/report/reporter.ts';
import { noWatch } from '../../helpers/no-watch.ts';
import { discoveryOf, kindOf } from '../resources/target-bed.ts';

const KINDS = [
  'v1 configmaps ConfigMap',
  'v1 secrets Secret',
  'v1 serviceaccounts ServiceAccount',
  'v1 persistentvolumeclaims PersistentVolumeClaim',
  'apps/v1 controllerrevisions ControllerRevision',
  'scheduling.k8s.io/v1 *priorityclasses PriorityClass',
  'kubevirt.io/v1 virtualmachines VirtualMachine',
  'kubevirt.io/v1 virtualmachineinstances VirtualMachineInstance',
  'snapshot.kubevirt.io/v1beta1 virtualmachinesnapshots VirtualMachineSnapshot',
  'snapshot.kubevirt.io/v1beta1 virtualmachinesnapshotcontents VirtualMachineSnapshotContent',
  'instancetype.kubevirt.io/v1beta1 virtualmachineinstancetypes VirtualMachineInstancetype',
  'instancetype.kubevirt.io/v1beta1 virtualmachinepreferences VirtualMachinePreference',
  'instancetype.kubevirt.io/v1beta1 *virtualmachineclusterinstancetypes VirtualMachineClusterInstancetype',
  'instancetype.kubevirt.io/v1beta1 *virtualmachineclusterpreferences VirtualMachineClusterPreference',
  'cdi.kubevirt.io/v1beta1 datavolumes DataVolume',
  'k8s.cni.cncf.io/v1 network-attachment-definitions NetworkAttachmentDefinition',
].map((text) => kindOf(text));

/** A cluster to read from. */
export interface Bed {
  readonly cluster: Cluster;
  readonly discovery: Discovery;
  /** Of `VirtualMachine shop/db`; changes to it are seen. */
  get(what: string): KubeObject;
  add(object: KubeObject): void;
  remove(what: string): void;
  /** Answers 403 to whoever reads it, or lists its kind. */
  forbid(what: string): void;
  /** No longer serves a kind. */
  withdraw(kind: string): void;
}

/** The objects of a file in `fixtures/`. */
export function readFixture(name: string): KubeObject[] {
  const text = readFileSync(new URL(`./fixtures/${name}.yaml`, import.meta.url), 'utf8');
  return parseAllDocuments(text).map((document) => document.toJS());
}

/** A cluster that has what a fixture has. */
export function bedOf(fixture: string): Bed {
  const objects = new Map(readFixture(fixture).map((object) => [pathOf(object), object]));
  const forbidden = new Set<string>();
  let served = KINDS;
  const refuse = (path: string) => {
    if (forbidden.has(path)) {
      const said = `User "ci" cannot get ${path}`;
      throw new ClusterError(403, 'Forbidden', said, { hint: `Grant ${path}.` });
    }
  };
  const list = function* (path: string, labelSelector = '') {
    refuse(path);
    const [key = '', value] = labelSelector.split('=');
    for (const [at, object] of objects) {
      const isThere = at.slice(0, at.lastIndexOf('/')) === path;
      if (isThere && object.metadata.labels?.[key] === value) yield structuredClone(object);
    }
  };
  const cluster: Cluster = {
    context: 'test',
    server: 'https://test',
    namespace: 'default',
    access: {},
    async json<T>({ method, path }: { method: string; path: string }): Promise<T> {
      if (method !== 'GET') throw new Error(`${method} ${path}: describing changes nothing.`);
      // Answers come in an order of their own.
      await new Promise((resolve) => setImmediate(resolve));
      refuse(path);
      const object = objects.get(path);
      if (object === undefined) throw new ClusterError(404, 'NotFound', `${path} not found`);
      return structuredClone(object) as T;
    },
    async *list(path, options) {
      yield* list(path, options?.labelSelector);
    },
    async *listPages(path, options) {
      yield [...list(path, options?.labelSelector)];
    },
    ...noWatch,
    async *listData() {},
    close: async () => {},
  };
  const find = (what: string) => {
    const [kind, id] = what.split(' ');
    for (const [path, object] of objects) {
      const { name, namespace } = object.metadata;
      if (object.kind === kind && id === (namespace === undefined ? name : `${namespace}/${name}`))
        return { path, object };
    }
    throw new Error(`The fixture has no ${what}.`);
  };
  return {
    cluster,
    get discovery() {
      return discoveryOf(served);
    },
    get: (what) => find(what).object,
    add: (object) => {
      objects.set(pathOf(object), object);
    },
    remove: (what) => {
      objects.delete(find(what).path);
    },
    forbid: (what) => {
      forbidden.add(what.startsWith('/') ? what : find(what).path);
    },
    withdraw: (kind) => {
      served = served.filter((one) => one.kind !== kind);
    },
  };
}

function pathOf({ apiVersion, kind, metadata }: KubeObject): string {
  const served = KINDS.find((one) => one.apiVersion === apiVersion && one.kind === kind);
  if (served === undefined) throw new Error(`No ${kind} of ${apiVersion} here.`);
  return `${collectionPath(served, metadata.namespace)}/${metadata.name}`;
}

/** Collects warnings. */
export function listen(): Reporter & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return { ...silentReporter, warnings, warn: (message) => warnings.push(message) };
}
