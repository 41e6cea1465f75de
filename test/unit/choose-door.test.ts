import { expect, it } from 'vitest';
import { chooseDoor, explainOldNode } from '../../src/choose-door.ts';

it.each([
  ['arguments mean the command line', ['export'], {}, 'cli'],
  ['arguments win inside a workflow step', ['export'], { INPUT_MODE: 'import' }, 'cli'],
  ['the input mode means a workflow step', [], { INPUT_MODE: 'export' }, 'action'],
  ['an input mode left empty is still a workflow step', [], { INPUT_MODE: '' }, 'action'],
  ['the state of main means its clean-up', [], { INPUT_MODE: 'export', STATE_isPost: 'true' }, 'post'],
  ['neither means a person, who gets help', [], { GITHUB_ACTIONS: 'true' }, 'cli'],
] as const)('%s', (_, args, env, door) => {
  expect(chooseDoor(args, env)).toBe(door);
});

it.each(['24.0.0', '24.21.0', '26.10.0'])('lets Node %s pass', (version) => {
  expect(explainOldNode(version)).toBeUndefined();
});

it.each(['20.20.2', '22.19.0'])('refuses Node %s and says which is needed', (version) => {
  expect(explainOldNode(version)).toBe(
    `Error: Transship needs Node 24 or newer, and this is Node ${version}. Put a newer node on PATH.`,
  );
});
