import type { Cluster } from '../../src/cluster/cluster.ts';

/** For stand-ins of a cluster whose collections nobody watches. */
export const noWatch: Pick<Cluster, 'watch'> = {
  watch() {
    throw new Error('This cluster is not watched.');
  },
};
