import { createHmac } from 'node:crypto';
import { TransshipError } from '../errors.ts';
import { isMap } from '../values.ts';
import { ABSENT, type States } from './states.ts';

/** All that a plan depends on: when none of it has changed, an import does what the plan shows. */
export interface PlanBinding {
  /** Of the archive. */
  readonly digest: string;
  /** By name, as texts. No secrets: they are saved and shown. */
  readonly inputs: Readonly<Record<string, string>>;
  /** The URL of its API server: what every user of a cluster knows of it, whatever his rights. */
  readonly cluster: string;
  readonly states: States;
}

const FORMAT = 1;
const HEX_DIGITS = 32;
/** Of a state's digest: enough that no two are the same by chance. */
const STATE_DIGITS = 16;
const MOST_CHANGES = 50;
const PLAN_ID = /^(\d\d-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)-([0-9a-f]{32})$/;

/**
 * The id of a plan: the time it was made, `YY-MM-DD_HH-MM-SS`, and 32 hex digits that change with anything in the binding,
 * in whatever order it was read. What is absent and what was not looked at are the same.
 *
 * @param created - when it was made, or the id of a plan that was made then
 * @param key - keeps the states from being guessed; the same for a snapshot whenever it is read
 */
export function planIdOf(created: Date | string, binding: PlanBinding, key: Uint8Array): string {
  const time = typeof created === 'string' ? created.slice(0, -HEX_DIGITS - 1) : timeOf(created);
  const hash = createHmac('sha256', key);
  // Lengths, so that no text can end where another begins.
  const add = (...texts: string[]) => {
    for (const text of texts) hash.update(`${Buffer.byteLength(text)}:${text}`);
  };
  add(`plan ${FORMAT}`, time, binding.digest, binding.cluster);
  const inputs = sorted(Object.entries(binding.inputs));
  add(String(inputs.length), ...inputs.flat());
  for (const [name, state] of sorted(presentIn(binding.states))) add(name, state);
  return `${time}-${hash.digest('hex').slice(0, HEX_DIGITS)}`;
}

/**
 * Reads the id of a plan that someone was given.
 *
 * @throws TransshipError `INPUT`
 */
export function parsePlanId(text: string): { readonly id: string; readonly created: Date } {
  const id = text.trim();
  const [, day, hour, minute, second] = PLAN_ID.exec(id) ?? [];
  const created = new Date(`20${day}T${hour}:${minute}:${second}Z`);
  if (day === undefined || Number.isNaN(created.getTime()) || timeOf(created) !== id.slice(0, -HEX_DIGITS - 1)) {
    throw new TransshipError('INPUT', `plan-id is "${text}", which is no id of a plan.`, {
      hint: 'Give the output plan-id of mode plan: YY-MM-DD_HH-MM-SS, a dash and 32 hex digits.',
    });
  }
  return { id, created };
}

/** What is kept of a plan, so that an import can tell what has changed since. States are kept as keyed digests, never as they are. */
export function savePlan({ digest, inputs, cluster, states }: PlanBinding, key: Uint8Array): Buffer {
  const kept = sorted(presentIn(states)).map(([name, state]) => [name, digestOf(state, key)]);
  const plan = {
    ...{ format: FORMAT, key: digestOf('key', key), digest, cluster },
    inputs: Object.fromEntries(sorted(Object.entries(inputs))),
    states: Object.fromEntries(kept),
  };
  return Buffer.from(`${JSON.stringify(plan, undefined, 1)}\n`);
}

/**
 * What is not as it was when a plan was saved, in words; at most fifty lines and one that counts the rest. Says so plainly
 * when the saved plan can't be read. Empty when nothing has changed.
 */
export function explainChanges(saved: Uint8Array, binding: PlanBinding, key: Uint8Array): string[] {
  const plan = parseSaved(saved);
  if (typeof plan === 'string') return [plan];
  const changes: string[] = [];
  if (plan.digest !== binding.digest) {
    changes.push(`The archive is another one: the plan was made of ${plan.digest}, this is ${binding.digest}`);
  }
  for (const name of [...new Set([...Object.keys(plan.inputs), ...Object.keys(binding.inputs)])].sort()) {
    const [was, is] = [plan.inputs[name], binding.inputs[name]];
    if (was !== is)
      changes.push(`The input ${name} ${was === undefined ? 'was not set' : `was ${quote(was)}`} and ${isNow(is)}`);
  }
  if (plan.cluster !== binding.cluster) {
    changes.push(`The cluster is another one: the plan was made for ${plan.cluster}, this is ${binding.cluster}`);
  }
  // With another key every digest is another one, and says nothing.
  if (plan.key === digestOf('key', key)) changes.push(...explainStates(plan.states, binding.states, key));
  const left = changes.length - MOST_CHANGES;
  return left > 0 ? [...changes.slice(0, MOST_CHANGES), `and ${left} more`] : changes;
}

function explainStates(saved: Readonly<Record<string, string>>, states: States, key: Uint8Array): string[] {
  const present = new Map(presentIn(states));
  return [...new Set([...Object.keys(saved), ...present.keys()])].sort().flatMap((name) => {
    const [was, is] = [saved[name], present.get(name)];
    if (was === undefined) return [`${nameState(name)} has appeared`];
    if (is === undefined) return [`${nameState(name)} is gone`];
    return was === digestOf(is, key) ? [] : [`${nameState(name)} was changed`];
  });
}

/** `object apps/Deployment/shop/web` as `Deployment shop/web`; a release's as it is. */
function nameState(state: string): string {
  const [, group = '', kind, namespace = '', name] = /^object ([^/]*)\/([^/]+)\/([^/]*)\/(.+)$/.exec(state) ?? [];
  if (kind === undefined || name === undefined) return state;
  const custom = group.includes('.') && !group.endsWith('.k8s.io') ? `.${group}` : '';
  return `${kind}${custom} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

interface SavedPlan {
  readonly key: string;
  readonly digest: string;
  readonly cluster: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly states: Readonly<Record<string, string>>;
}

/** @returns what is wrong with it, when it can't be read */
function parseSaved(saved: Uint8Array): SavedPlan | string {
  let plan: unknown;
  try {
    plan = JSON.parse(Buffer.from(saved).toString('utf8'));
  } catch {
    // Told below.
  }
  if (isMap(plan) && typeof plan.format === 'number' && plan.format > FORMAT) {
    return `What has changed can't be told: the saved plan has format ${plan.format}, and this Transship reads format ${FORMAT}. Use the one that made the plan, or a newer one`;
  }
  const texts: Record<string, unknown> = isMap(plan)
    ? { key: plan.key, digest: plan.digest, cluster: plan.cluster }
    : {};
  if (isMap(plan) && plan.format === FORMAT && isTexts(texts) && isTexts(plan.inputs) && isTexts(plan.states)) {
    const { key = '', digest = '', cluster = '' } = texts;
    return { key, digest, cluster, inputs: plan.inputs, states: plan.states };
  }
  return "What has changed can't be told: the saved plan is damaged";
}

function isTexts(value: unknown): value is Record<string, string> {
  return isMap(value) && Object.values(value).every((text) => typeof text === 'string');
}

function presentIn(states: States): [string, string][] {
  return [...states].filter(([, state]) => state !== ABSENT);
}

/** By code units: in every place the same. */
function sorted(entries: readonly [string, string][]): [string, string][] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function digestOf(text: string, key: Uint8Array): string {
  return createHmac('sha256', key).update(text).digest('hex').slice(0, STATE_DIGITS);
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function isNow(value: string | undefined): string {
  return value === undefined ? 'is not set' : `is ${quote(value)}`;
}

/** `YY-MM-DD_HH-MM-SS`, UTC. */
function timeOf(date: Date): string {
  return date.toISOString().slice(2, 19).replace('T', '_').replaceAll(':', '-');
}
