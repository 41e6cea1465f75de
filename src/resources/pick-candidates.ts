import type { KubeObject } from '../cluster/cluster.ts';
import type { Piece, TextGatherer } from './gather-text.ts';
import { LIST_SEPARATOR } from './list-file.ts';
import { isNeeded, type Needs } from './needed.ts';
import type { Candidate, Gathered } from './read-listing.ts';

/**
 * Marks the cluster-scoped objects that are needed. Looks again as long as one that is needed may need others: they are
 * held as text, so that many that nobody needs take no memory.
 */
export async function pickCandidates(
  gathered: readonly Gathered[],
  needs: Needs,
  takesNamespace: (name: string) => boolean,
): Promise<void> {
  let waiting = gathered.flatMap(({ text, candidates }) =>
    candidates.filter(({ needed }) => !needed).map((candidate) => ({ text, candidate })),
  );
  for (let before = waiting.length + 1; waiting.length > 0 && waiting.length < before; ) {
    before = waiting.length;
    const left: { text: TextGatherer; candidate: Candidate }[] = [];
    for (const one of waiting) {
      const { text, candidate } = one;
      candidate.needed = isNeeded(needs, await readObject(text, candidate.pieces), takesNamespace);
      if (!candidate.needed) left.push(one);
    }
    waiting = left;
  }
}

async function readObject(text: TextGatherer, pieces: readonly Piece[]): Promise<KubeObject> {
  let json = '';
  for await (const bytes of text.read(pieces)) json += Buffer.from(bytes).toString();
  return JSON.parse(json.slice(LIST_SEPARATOR.length));
}
