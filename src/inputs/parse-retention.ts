import { countRules, type RetentionPolicy } from '../retention/policy.ts';
import { oneOf, type Parsed, parseInteger, parseTtl, quote, splitList } from './parsers.ts';

const RULES = [...countRules, 'age'] as const;

/** `last=7,daily=7,age=90d`: rules of a retention, each at most once. */
export function parseRetention(text: string): Parsed<RetentionPolicy> {
  const problems: string[] = [];
  const policy = new Map<string, number>();
  for (const part of splitList(text)) {
    const [, name, value = ''] = /^([a-z]+)\s*=\s*(.*)$/.exec(part) ?? [];
    const rule = RULES.find((known) => known === name);
    if (rule === undefined) {
      problems.push(`${quote(part)} is no rule. Give ${oneOf(RULES)} with a value, such as last=7,daily=7,age=90d.`);
      continue;
    }
    if (policy.has(rule)) problems.push(`${rule} is given twice. Give it once.`);
    const parsed = rule === 'age' ? parseTtl(value) : parseInteger(1, 10_000)(value);
    if ('problem' in parsed) problems.push(`${rule}: ${parsed.problem}`);
    else policy.set(rule, parsed.value);
  }
  if (problems.length > 0) return { problem: problems.join(' ') };
  return policy.size === 0
    ? { problem: 'is empty. Give rules such as last=7,daily=7,age=90d, or leave it out.' }
    : { value: Object.fromEntries(policy) };
}
