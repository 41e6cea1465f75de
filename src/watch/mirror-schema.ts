import type { Clock } from '../cluster/clock.ts';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import { CRDS, type KindId } from '../resources/list-kinds.ts';
import { LAST_APPLIED } from '../resources/service-edits.ts';
import { type Reflector, type ReflectorTarget, startReflector } from './reflector.ts';

/** What a change of the cluster's kinds may begin with. */
export interface SchemaChange {
  /** `<plural>.<group>` of a CRD whose spec has changed: its objects may look different without having changed. */
  readonly respecified: string | undefined;
  /** Whether an export could have what changed. */
  readonly isReal: boolean;
}

export interface SchemaOptions {
  readonly clock: Clock;
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  readonly onChange: (change: SchemaChange) => void;
  readonly onTrouble: (error: unknown) => void;
  readonly signal: AbortSignal;
}

const API_SERVICES: KindId = { group: 'apiregistration.k8s.io', plural: 'apiservices' };

/**
 * Watches what tells which kinds a cluster serves: CRDs and API services, of both the metadata only. Who may not watch them
 * is not told: what there is to discover is looked at now and then anyway.
 */
export function watchSchema(cluster: Cluster, options: SchemaOptions): Reflector[] {
  const { clock, inTurn, onTrouble, signal } = options;
  return [CRDS, API_SERVICES].map(({ group, plural }) => {
    const path = `/apis/${group}/v1/${plural}`;
    return startReflector({
      source: {
        list: (list) => cluster.listPages(path, { ...list, metadataOnly: true }),
        watch: (watch) => cluster.watch(path, { ...watch, metadataOnly: true }),
      },
      target: createSchemaTarget(plural === CRDS.plural, options.onChange),
      clock,
      inTurn,
      mayFail: true,
      onRefused: onTrouble,
      onTrouble,
      signal,
    });
  });
}

/** What is known of one of them. */
interface Known {
  readonly generation: unknown;
  /** All that could be of interest. */
  readonly text: string;
}

function createSchemaTarget(areCrds: boolean, onChange: (change: SchemaChange) => void): ReflectorTarget {
  const known = new Map<string, Known>();
  let unseen: Set<string> | undefined;
  let isListed = false;

  function note({ metadata }: KubeObject): void {
    const { name, uid, generation, labels } = metadata;
    const { [LAST_APPLIED]: _applied, ...annotations } = metadata.annotations ?? {};
    const text = JSON.stringify([uid, generation, labels, annotations]);
    const before = known.get(name);
    known.set(name, { generation, text });
    if (!isListed) return;
    const isRespecified = areCrds && before !== undefined && before.generation !== generation;
    onChange({ respecified: isRespecified ? name : undefined, isReal: before?.text !== text });
  }

  function forget(name: string): void {
    if (known.delete(name)) onChange({ respecified: undefined, isReal: true });
  }

  return {
    begin() {
      unseen = new Set(known.keys());
    },
    async add(page) {
      for (const object of page) {
        note(object);
        unseen?.delete(object.metadata.name);
      }
    },
    end() {
      for (const name of unseen ?? []) forget(name);
      unseen = undefined;
      isListed = true;
    },
    async apply(events) {
      for (const event of events) {
        if (event.type === 'BOOKMARK') continue;
        if (event.type === 'DELETED') forget(event.object.metadata.name);
        else note(event.object);
      }
    },
    clear: () => {},
  };
}
