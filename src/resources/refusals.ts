import { ClusterError } from '../cluster/cluster.ts';
import type { ResourceKind } from '../cluster/discovery.ts';
import { isBuiltInGroup } from '../crds/built-in-groups.ts';
import { TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';

/** A collection as messages name it. */
export interface Place {
  readonly kind: Pick<ResourceKind, 'group' | 'plural' | 'namespaced'>;
  /** Undefined for a whole cluster. */
  readonly namespace: string | undefined;
}

/** What can't be listed, gathered so that all of it is said at once. */
export interface Refusals {
  /**
   * Notes why a collection can't be listed, where an export can go on without it.
   *
   * @returns whether it can
   */
  note(place: Place, error: unknown): boolean;
  /**
   * Says what was noted in a warning.
   *
   * @param listed - how many collections of namespaced kinds could be listed
   * @throws TransshipError `FORBIDDEN` or `CLUSTER` instead, where the export is strict or none was
   */
  tell(listed: number): void;
}

interface RefusalOptions {
  readonly strict: boolean;
  /** The server, as messages name it. */
  readonly context: string;
  readonly reporter: Reporter;
}

/** Gathers what can't be listed. */
export function createRefusals({ strict, context, reporter }: RefusalOptions): Refusals {
  const forbidden: Place[] = [];
  const failed: { readonly place: Place; readonly error: ClusterError }[] = [];
  return {
    note(place, error) {
      if (!(error instanceof ClusterError)) return false;
      if (error.status === 403) {
        forbidden.push(place);
      } else if (error.status === 404 || error.status === 405) {
        // Deleted since discovery, or of an extension server that says it lists what it does not.
        reporter.debug(`${nameKind(place)} can't be listed, so there are none: ${error.message}`);
      } else if (error.status >= 500 && !isBuiltInGroup(place.kind.group)) {
        failed.push({ place, error });
      } else {
        return false;
      }
      return true;
    },
    tell(listed) {
      const nothing = listed === 0 && forbidden.some(({ kind }) => kind.namespaced);
      const problems = [
        ...(forbidden.length > 0 ? [forbiddenMessage(forbidden, context)] : []),
        ...(failed.length > 0 ? [failedMessage(failed)] : []),
      ];
      const hints = [
        ...(forbidden.length > 0 ? [grantHint(forbidden)] : []),
        ...(failed.length > 0 ? ['Repair what serves them, or leave them out with exclude.'] : []),
      ];
      if (problems.length === 0) return;
      if (strict || nothing) {
        throw new TransshipError(forbidden.length > 0 ? 'FORBIDDEN' : 'CLUSTER', problems.join(' '), {
          hint: hints.join(' '),
          cause: failed[0]?.error,
        });
      }
      reporter.warn([...problems, 'These objects do not travel.', ...hints].join(' '), 'Not exported');
    },
  };
}

function forbiddenMessage(places: readonly Place[], context: string): string {
  const byKind = Map.groupBy(places, nameKind);
  // Kinds that are refused in the same namespaces are named together.
  const byWhere = Map.groupBy(byKind, ([, refused]) => whereOf(refused));
  const parts = [...byWhere].map(([where, kinds]) => `${kinds.map(([name]) => name).join(', ')}${where}`);
  return `The user of the context "${context}" may not read ${parts.join('; ')}.`;
}

function whereOf(places: readonly Place[]): string {
  const namespaces = places.flatMap(({ namespace }) => namespace ?? []);
  if (namespaces.length > 0) return ` in ${namespaces.join(', ')}`;
  return places.some(({ kind }) => kind.namespaced) ? ' in all namespaces' : '';
}

function failedMessage(failed: readonly { readonly place: Place; readonly error: ClusterError }[]): string {
  const byKind = Map.groupBy(failed, ({ place }) => nameKind(place));
  const each = [...byKind].map(([name, [first]]) => `${name} can't be listed: ${first?.error.message ?? ''}.`);
  return each.join(' ');
}

function grantHint(places: readonly Place[]): string {
  const ways = ['Grant the verbs get and list on them'];
  if (places.some(({ kind, namespace }) => kind.namespaced && namespace === undefined)) {
    ways.push('name the namespaces one by one');
  }
  if (places.some(({ kind }) => !kind.namespaced)) ways.push('set cluster-resources to none');
  return `${ways.join(', or ')}.`;
}

function nameKind({ kind: { group, plural } }: Place): string {
  return group === '' ? plural : `${plural}.${group}`;
}
