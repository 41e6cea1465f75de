import { createHash, randomBytes } from 'node:crypto';

/** An artifact as the service keeps it. */
export interface StoredArtifact {
  readonly id: number;
  readonly name: string;
  readonly runId: number;
  readonly runBackendId: string;
  readonly jobBackendId: string;
  readonly createdAt: Date;
  readonly expiresAt: string | undefined;
  mimeType: string;
  /** Until then nobody but its writer sees it. */
  finalized: boolean;
  expired: boolean;
  size: number;
  digest: string | undefined;
  blocks: Map<string, Buffer>;
  content: Buffer;
}

/** A signed address is good for one blob and one verb. */
interface Signature {
  readonly artifact: StoredArtifact;
  readonly verb: 'read' | 'write';
}

/** Keeps artifacts and signatures in memory. */
export function createStore() {
  const artifacts: StoredArtifact[] = [];
  const signatures = new Map<string, Signature>();
  let lastId = 1000;
  return {
    artifacts,
    /** Undefined when the run has an artifact of that name, also one that was never finished. */
    create(
      fields: Pick<StoredArtifact, 'name' | 'runId' | 'runBackendId' | 'jobBackendId' | 'expiresAt' | 'mimeType'>,
    ) {
      if (artifacts.some(({ runId, name }) => runId === fields.runId && name === fields.name)) return undefined;
      lastId += 1;
      const artifact: StoredArtifact = {
        ...fields,
        id: lastId,
        createdAt: new Date(),
        finalized: false,
        expired: false,
        size: 0,
        digest: undefined,
        blocks: new Map(),
        content: Buffer.alloc(0),
      };
      artifacts.push(artifact);
      return artifact;
    },
    remove(artifact: StoredArtifact): void {
      artifacts.splice(artifacts.indexOf(artifact), 1);
    },
    sign(artifact: StoredArtifact, verb: Signature['verb']): string {
      const signature = randomBytes(16).toString('hex');
      signatures.set(signature, { artifact, verb });
      return signature;
    },
    artifactFor(signature: string | null, verb: Signature['verb']): StoredArtifact | undefined {
      const signed = signatures.get(signature ?? '');
      return signed?.verb === verb ? signed.artifact : undefined;
    },
  };
}

export type Store = ReturnType<typeof createStore>;

/** The UUID that stands for a run or a job in the runner's token. */
export function backendIdOf(kind: 'run' | 'job', id: number): string {
  const hex = createHash('sha256').update(`${kind} ${id}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
