import { expect, it } from 'vitest';
import { chooseDoor } from '../../src/choose-door.ts';

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
