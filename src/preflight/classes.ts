import type { KubeObject } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import type { Change, PlanProblem } from '../plan/plan.ts';
import { isMap, mapsIn } from '../values.ts';
import { type ClassList, DEFAULT_ANNOTATION, isDefault, type TargetClasses } from './target-classes.ts';

/** Which classes an import names, and which it brings. */
export interface Classes {
  note(object: KubeObject, kind: ResourceKind, change: Change): void;
  /** Problems with those that the target will not have; classes that may not be listed are not judged. */
  findMissing(target: TargetClasses): Promise<PlanProblem[]>;
  /** Whether any StorageClass that comes will be the default. */
  readonly broughtDefault: string | undefined;
}

/** A kind of class, and the field that names one, wherever it stands. */
interface ClassKind {
  readonly field: string;
  readonly kind: string;
  readonly plural: string;
  readonly group: string;
}

const STORAGE: ClassKind = {
  field: 'storageClassName',
  kind: 'StorageClass',
  plural: 'storageclasses',
  group: 'storage.k8s.io',
};
const CLASS_KINDS: readonly ClassKind[] = [
  STORAGE,
  { field: 'ingressClassName', kind: 'IngressClass', plural: 'ingressclasses', group: 'networking.k8s.io' },
  { field: 'priorityClassName', kind: 'PriorityClass', plural: 'priorityclasses', group: 'scheduling.k8s.io' },
  { field: 'runtimeClassName', kind: 'RuntimeClass', plural: 'runtimeclasses', group: 'node.k8s.io' },
  {
    field: 'volumeSnapshotClassName',
    kind: 'VolumeSnapshotClass',
    plural: 'volumesnapshotclasses',
    group: 'snapshot.storage.k8s.io',
  },
  { field: 'gatewayClassName', kind: 'GatewayClass', plural: 'gatewayclasses', group: 'gateway.networking.k8s.io' },
];
const BY_FIELD = new Map(CLASS_KINDS.map((one) => [one.field, one]));
const BY_PLURAL = new Map(CLASS_KINDS.map((one) => [`${one.plural}.${one.group}`, one]));

const LEGACY_CLASS = 'volume.beta.kubernetes.io/storage-class';
const NAMES_TOLD = 5;
const MOST_LEVELS = 40;

interface Users {
  count: number;
  /** The first few. */
  readonly names: string[];
}

/** Starts with none named. */
export function createClasses(): Classes {
  const named = new Map<ClassKind, Map<string, Users>>(CLASS_KINDS.map((one) => [one, new Map()]));
  const brought = new Map<ClassKind, Set<string>>(CLASS_KINDS.map((one) => [one, new Set()]));
  const unclassed: Users = { count: 0, names: [] };
  /** Of volumes that come: a claim that names one of them needs no StorageClass. */
  const ofVolumes = new Set<string>();
  let broughtDefault: string | undefined;

  const use = (kind: ClassKind, name: string, user: string) => {
    const users = named.get(kind)?.get(name) ?? { count: 0, names: [] };
    named.get(kind)?.set(name, users);
    add(users, user);
  };

  return {
    note(object, { group, plural }, change) {
      const own = BY_PLURAL.get(`${plural}.${group}`);
      const { metadata, spec } = object;
      if (own !== undefined) {
        brought.get(own)?.add(metadata.name);
        if (own === STORAGE && isDefault(object)) broughtDefault ??= metadata.name;
      }
      if (change !== 'create' && change !== 'update' && change !== 'recreate') return;
      if (!isMap(spec) || plural === 'customresourcedefinitions') return;
      const user = `${object.kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`;
      if (group === '' && plural === 'persistentvolumes') {
        ofVolumes.add(typeof spec.storageClassName === 'string' ? spec.storageClassName : '');
      } else if (group === '' && plural === 'persistentvolumeclaims') {
        if (change !== 'update') noteClaim(metadata, spec, user);
      } else {
        walk(spec, (kind, name) => use(kind, name, user));
        if (change === 'update' || plural !== 'statefulsets') return;
        for (const { spec: claim } of mapsIn(spec.volumeClaimTemplates)) {
          if (isMap(claim) && claimClass({}, claim) === undefined) add(unclassed, user);
        }
      }
    },
    get broughtDefault() {
      return broughtDefault;
    },
    async findMissing(target) {
      const problems: PlanProblem[] = [];
      for (const kind of CLASS_KINDS) {
        const wanted = [...(named.get(kind) ?? [])].filter(([name]) => brought.get(kind)?.has(name) !== true);
        const needsDefault = kind === STORAGE && unclassed.count > 0 && broughtDefault === undefined;
        if (wanted.length === 0 && !needsDefault) continue;
        const there = await target.read(kind.group, kind.plural);
        if (there === undefined) continue;
        for (const [name, users] of wanted.sort(([a], [b]) => (a < b ? -1 : 1))) {
          if (there.names.has(name) || (kind === STORAGE && (await isOfVolume(name, target)))) continue;
          problems.push(missing(kind, name, users, there));
        }
        if (needsDefault && there.default === undefined && !(await isOfVolume('', target))) {
          problems.push(noDefault(unclassed, there));
        }
      }
      return problems;
    },
  };

  function noteClaim(metadata: KubeObject['metadata'], spec: Record<string, unknown>, user: string): void {
    const name = claimClass(metadata.annotations ?? {}, spec);
    if (name === undefined) {
      if (typeof spec.volumeName !== 'string') add(unclassed, user);
    } else if (name !== '') use(STORAGE, name, user);
  }

  async function isOfVolume(name: string, target: TargetClasses): Promise<boolean> {
    return ofVolumes.has(name) || (await target.hasVolumeOf(name));
  }
}

/** The class a claim names: empty for none on purpose, undefined where the default is to be taken. */
export function claimClass(
  annotations: Readonly<Record<string, string>>,
  { storageClassName }: Readonly<Record<string, unknown>>,
): string | undefined {
  return annotations[LEGACY_CLASS] ?? (typeof storageClassName === 'string' ? storageClassName : undefined);
}

function walk(value: unknown, found: (kind: ClassKind, name: string) => void, level = 0): void {
  if (level > MOST_LEVELS) return;
  if (Array.isArray(value)) {
    for (const item of value) walk(item, found, level + 1);
  } else if (isMap(value)) {
    for (const key in value) {
      const part = value[key];
      if (typeof part === 'object') walk(part, found, level + 1);
      else if (typeof part === 'string' && part !== '') {
        const kind = BY_FIELD.get(key);
        if (kind !== undefined) found(kind, part);
      }
    }
  }
}

function add(users: Users, user: string): void {
  users.count += 1;
  if (users.names.length < NAMES_TOLD && !users.names.includes(user)) users.names.push(user);
}

function missing({ kind, field }: ClassKind, name: string, users: Users, there: ClassList): PlanProblem {
  const map =
    kind === 'StorageClass' ? 'Map it to one of these with storage-class-map' : `Change ${field} with transforms`;
  return {
    kind: 'missing-class',
    message: `${kind} ${name} does not exist at the target, and the snapshot does not bring it. ${tell(users)} it.`,
    hint: `${tellThere(kind, there)} ${map}, or create it first.`,
  };
}

function noDefault(users: Users, there: ClassList): PlanProblem {
  return {
    kind: 'missing-class',
    message: `The target has no default StorageClass. ${tell(users)} none.`,
    hint: `${tellThere('StorageClass', there)} Mark one as the default: annotation ${DEFAULT_ANNOTATION}: "true".`,
  };
}

function tell({ count, names }: Users): string {
  const more = count > names.length ? ` and ${count - names.length} more` : '';
  return `${names.join(', ')}${more} ${count === 1 ? 'names' : 'name'}`;
}

function tellThere(kind: string, { names }: ClassList): string {
  const some = [...names].sort().slice(0, 10);
  return some.length === 0 ? `There is no ${kind}.` : `There ${some.length === 1 ? 'is' : 'are'}: ${some.join(', ')}.`;
}
