import { isMap } from '../values.ts';
import type { HelmHook } from './helm-release.ts';
import { objectsOf, parseTolerantly } from './manifest.ts';

/** What Helm is to do with a release: it decides which events its hooks are run for. */
export type Operation = 'install' | 'upgrade';

/** One run of one hook. */
export interface HookRun {
  readonly hook: HelmHook;
  /** Such as `pre-install`. */
  readonly event: string;
}

/** How far a run got: `begun` where Helm had not heard of its end. */
export type Progress = 'none' | 'begun' | 'failed' | 'succeeded';

export interface KnownRun extends HookRun {
  readonly progress: Progress;
  /** Unix milliseconds. */
  readonly started: number | undefined;
}

/**
 * The runs of an operation in Helm's order: by weight, then by name, else as they stand.
 * https://github.com/helm/helm/blob/v4.3.1/pkg/action/hooks.go
 */
export function orderRuns(hooks: readonly HelmHook[], operation: Operation): HookRun[] {
  return [`pre-${operation}`, `post-${operation}`].flatMap((event) =>
    hooks
      .filter(({ events }) => events?.includes(event))
      .toSorted((a, b) => (a.weight ?? 0) - (b.weight ?? 0) || (a.name < b.name ? -1 : Number(a.name > b.name)))
      .map((hook) => ({ hook, event })),
  );
}

/**
 * How far the runs of an operation got, as its record tells. Helm stores it before each run, with the end of the run
 * before; so the one that was begun last may have ended since. Of a hook that runs before and after, the record has but
 * the last run: it is the second one only if it began after all runs between the two.
 */
export function readProgress(hooks: readonly HelmHook[], operation: Operation): KnownRun[] {
  const runs = orderRuns(hooks, operation);
  return runs.map(({ hook, event }, index) => {
    const { started, phase } = lastRunOf(hook);
    const first = runs.findIndex((run) => run.hook === hook);
    const last = runs.findLastIndex((run) => run.hook === hook);
    const none = { hook, event, progress: 'none', started: undefined } as const;
    if (started === undefined) return none;
    const isSecond = first !== last && hasBegunAgain(runs.slice(0, last), first, started);
    if (index !== first && !isSecond) return none;
    if (index === first && isSecond) return { hook, event, progress: 'succeeded', started };
    const progress = phase === 'Succeeded' ? 'succeeded' : phase === 'Failed' ? 'failed' : 'begun';
    return { hook, event, progress, started };
  });
}

function hasBegunAgain(before: readonly HookRun[], first: number, started: number): boolean {
  const { hook } = before[first] ?? {};
  const others = before.filter((run) => run.hook !== hook).map((run) => lastRunOf(run.hook).started ?? Infinity);
  return before.length > first + 1 && others.every((time) => time <= started);
}

/** When a hook was last begun, and what Helm knew of its end. */
export function lastRunOf({ last_run: run }: HelmHook): { started: number | undefined; phase: string } {
  const { started_at: text, phase } = isMap(run) ? run : {};
  // A Helm 3 writes an empty text for no time, and older ones the year 1.
  const started = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  return { started: started > 0 ? started : undefined, phase: typeof phase === 'string' ? phase : '' };
}

/** The hook of a frozen chart's record that an original has become; undefined where it was left out of that chart. */
export function findFrozenHook(original: HelmHook, frozen: readonly HelmHook[]): HelmHook | undefined {
  return frozen.find(
    ({ kind, name, events }) =>
      kind === original.kind && name === original.name && events?.every((event) => original.events?.includes(event)),
  );
}

/**
 * The hooks that a frozen chart still needs: those of whose events every one has been run for are left out, and one that
 * has been run for some stays for the others.
 */
export function withoutRuns(
  hooks: readonly HelmHook[],
  operation: Operation,
  done: (run: HookRun) => boolean,
): HelmHook[] {
  const events = [`pre-${operation}`, `post-${operation}`];
  return hooks.flatMap((hook) => {
    const own = (hook.events ?? []).filter((event) => events.includes(event));
    const left = own.filter((event) => !done({ hook, event }));
    if (left.length === own.length) return [hook];
    return left.length === 0 ? [] : [withEvents(hook, left)];
  });
}

/** Helm reads the events from the annotation. JSON is YAML, too. */
function withEvents(hook: HelmHook, events: readonly string[]): HelmHook {
  const [object = {}] = objectsOf(parseTolerantly(hook.manifest));
  const metadata = isMap(object.metadata) ? object.metadata : {};
  const annotations = {
    ...(isMap(metadata.annotations) ? metadata.annotations : {}),
    'helm.sh/hook': events.join(','),
  };
  return { ...hook, events, manifest: `${JSON.stringify({ ...object, metadata: { ...metadata, annotations } })}\n` };
}
