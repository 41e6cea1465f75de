import type { OpenBackendOptions } from '../../src/backends/open.ts';
import { type Files, manyFiles } from '../unit/watch/spooled.ts';

/** What a child is to store. */
export interface StoreOrder {
  readonly options: OpenBackendOptions;
  readonly id: string;
  readonly layout: 'archive' | 'tree';
  /** How many files, and how many of them are others than in the first snapshot. */
  readonly files: number;
  readonly changed: number;
  /** Bytes of one file more; none when left out. */
  readonly large?: number;
}

export function filesOf({ files, changed, large }: Pick<StoreOrder, 'files' | 'changed' | 'large'>): Files {
  const all = manyFiles(files, changed);
  return large === undefined ? all : { ...all, 'large.json': Buffer.alloc(large, 'large') };
}
