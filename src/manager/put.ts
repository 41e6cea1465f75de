import type { LeaseStore } from '../backends/backend.ts';

/**
 * Writes a text in place of the one that is expected. Where the answer was lost, or the request was sent again by a
 * library, the text may be there although the storage refuses it: so it is looked at.
 *
 * @returns its version; undefined when another text is there
 * @throws TransshipError `BACKEND` when nobody knows
 */
export async function putText(
  store: LeaseStore,
  text: string,
  expected: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  let failure: unknown;
  try {
    const version = await store.write(text, expected, signal);
    if (version !== undefined) return version;
  } catch (error) {
    failure = error;
  }
  const there = await store.read(signal).catch((error: unknown) => {
    throw failure ?? error;
  });
  if (there?.text === text) return there.version;
  if (failure !== undefined) throw failure;
  return undefined;
}
