import { TransshipError } from '../errors.ts';

type Labels = Readonly<Record<string, string>>;

const KEY = '(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-\\w.]*[A-Za-z0-9])?';
const VALUE = '(?:[A-Za-z0-9](?:[-\\w.]*[A-Za-z0-9])?)?';
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);
const EQUALS = new RegExp(`^(${KEY})\\s*(==?|!=)\\s*(${VALUE})$`);
const IN_SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(\\s*(${VALUE}(?:\\s*,\\s*${VALUE})*)\\s*\\)$`);

/**
 * Turns a label selector into a test, with the server's meaning: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`,
 * `!a`, joined by commas. Needed on this side because a release is chosen by its newest record, as `helm list -l` does:
 * a selector sent to the server would tear the history of a release whose labels have changed.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 *
 * @throws TransshipError `INPUT` naming the part that can't be read
 */
export function parseLabelSelector(selector: string): (labels: Labels) => boolean {
  const parts = selector.split(/,(?![^()]*\))/).map((part) => part.trim());
  const tests = parts.map((part) => parseRequirement(part) ?? invalid(selector, part));
  return (labels) => tests.every((test) => test(labels));
}

function parseRequirement(part: string): ((labels: Labels) => boolean) | undefined {
  const exists = EXISTS.exec(part);
  if (exists !== null) {
    const [, not, key = ''] = exists;
    return (labels) => Object.hasOwn(labels, key) === (not === '');
  }
  const [, key = '', operator = '', values = ''] = EQUALS.exec(part) ?? IN_SET.exec(part) ?? [];
  if (key === '') return undefined;
  const wanted = operator.endsWith('in') ? values.split(',').map((value) => value.trim()) : [values];
  const negated = operator === '!=' || operator === 'notin';
  return (labels) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    return (value !== undefined && wanted.includes(value)) !== negated;
  };
}

function invalid(selector: string, part: string): never {
  throw new TransshipError('INPUT', `selector is "${selector}", of which "${part}" is no label requirement.`, {
    hint: 'Write requirements such as team=shop, team!=shop, team in (a,b), team notin (a,b), team or !team, joined by commas.',
  });
}
