/**
 * Which door was knocked at: arguments mean a command line; the input `mode` (the runner sets the variable of every
 * input, also of one left out) means a workflow step, in its main part or its clean-up; neither, a person.
 */
export function chooseDoor(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): 'cli' | 'action' | 'post' {
  if (args.length > 0 || env.INPUT_MODE === undefined) return 'cli';
  return env.STATE_isPost ? 'post' : 'action';
}
