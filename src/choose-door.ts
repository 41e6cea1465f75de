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

/** What Actions run, and the first with all that the program uses. */
const OLDEST_NODE = 24;

/** What to tell someone whose Node is too old; undefined when it is not. */
export function explainOldNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= OLDEST_NODE) return undefined;
  return `Error: Transship needs Node ${OLDEST_NODE} or newer, and this is Node ${version}. Put a newer node on PATH.`;
}
