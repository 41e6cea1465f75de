import { ArchiveDamagedError } from '../archive/damage.ts';
import { TransshipError } from '../errors.ts';

/** Does some work; when that finds something damaged, says what. */
export async function collectProblems<T>(
  work: () => Promise<T>,
): Promise<{ readonly value?: T; readonly problems: readonly string[] }> {
  try {
    return { value: await work(), problems: [] };
  } catch (error) {
    if (!(error instanceof TransshipError && error.code === 'ARCHIVE_DAMAGED')) throw error;
    return { problems: error instanceof ArchiveDamagedError ? error.problems : [error.message] };
  }
}
