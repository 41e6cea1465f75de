import { TransshipError } from '../errors.ts';

/** How artifacts are kept and where they are read from. */
export interface ArtifactOptions {
  /** The workflow run to read from; this run when left out. */
  readonly runId?: number | undefined;
  /** `owner/name` of the repository of `runId`; this repository when left out. */
  readonly repository?: string | undefined;
  /** A token with `actions: read` on that repository; not needed for this run. */
  readonly token?: string | undefined;
  /** Days until GitHub deletes what is written; the repository's setting when left out. */
  readonly retentionDays?: number | undefined;
}

/** A run to read artifacts of. Without `token`, it is this one. */
export interface ArtifactSource {
  readonly runId: string;
  /** `owner/name` */
  readonly repository: string;
  readonly token?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** https://github.com/actions/toolkit/blob/main/packages/artifact/src/internal/upload/path-and-artifact-name-validation.ts */
const NOT_IN_NAMES = /["<>|*?:\r\n\\/]/;
const REPOSITORY = /^[\w.-]+\/[\w.-]+$/;

/**
 * Checks what artifacts of snapshots are to be called.
 *
 * @throws TransshipError `INPUT` when GitHub allows no such name
 */
export function checkArtifactName(name: string): void {
  if (name !== '' && !NOT_IN_NAMES.test(name)) return;
  throw new TransshipError(
    'INPUT',
    `path: ${JSON.stringify(name)} is not a name an artifact can have. Give a name without " : < > | * ? \\ and /.`,
  );
}

/**
 * Finds out which run to read: the one asked for, else this one. This run needs no token of its own, also when its id
 * was given.
 *
 * @throws TransshipError `INPUT` when what was asked for does not say enough
 * @throws TransshipError `BACKEND` when there is no artifact service here
 */
export function findArtifactSource(options: ArtifactOptions, env: Environment): ArtifactSource {
  refuseEnterpriseServer(env);
  const thisRepository = env.GITHUB_REPOSITORY || undefined;
  const { runId, token } = options;
  const repository = options.repository ?? thisRepository;
  if (runId === undefined && options.repository !== undefined) {
    throw new TransshipError(
      'INPUT',
      `repository: ${JSON.stringify(options.repository)} needs run-id too. Give the id of the run there that exported the snapshot.`,
    );
  }
  const isThisRun =
    runId === undefined ||
    (env.ACTIONS_RUNTIME_TOKEN && String(runId) === env.GITHUB_RUN_ID && repository === thisRepository);
  if (isThisRun) {
    requireRuntime(env);
    return { runId: env.GITHUB_RUN_ID ?? '', repository: thisRepository ?? '' };
  }
  if (repository === undefined || !REPOSITORY.test(repository)) {
    throw new TransshipError('INPUT', `run-id: ${runId} needs repository too. Give owner/name.`);
  }
  if (!token) {
    throw new TransshipError('INPUT', `run-id: ${runId} needs a token to read that run.`, {
      hint: 'Set github-token, or on the command line GITHUB_TOKEN, to one with the permission actions: read.',
    });
  }
  return { runId: String(runId), repository, token };
}

/**
 * Makes sure that this process may write artifacts: only a step of a workflow that runs an action may.
 *
 * @throws TransshipError `BACKEND` saying what else can be done
 */
export function requireRuntime(env: Environment): void {
  refuseEnterpriseServer(env);
  const missing = ['ACTIONS_RUNTIME_TOKEN', 'ACTIONS_RESULTS_URL'].find((name) => !env[name]);
  if (missing === undefined) return;
  throw new TransshipError(
    'BACKEND',
    `Artifacts of this run can be reached only by an action in a workflow run: ${missing} is not set.`,
    {
      hint:
        env.GITHUB_ACTIONS === 'true'
          ? 'Use Transship as an action (uses: …): a run: step does not get this variable.'
          : "Set backend to local or s3; or read another run's artifacts with run-id, repository and GITHUB_TOKEN.",
    },
  );
}

/** The page of an artifact. */
export function artifactUrl(source: ArtifactSource, artifactId: number, env: Environment): string {
  const server = env.GITHUB_SERVER_URL || 'https://github.com';
  return `${server}/${source.repository}/actions/runs/${source.runId}/artifacts/${artifactId}`;
}

/** The toolkit's own test: github.com, *.ghe.com and, for tests, *.localhost have the service it speaks to. */
function refuseEnterpriseServer(env: Environment): void {
  const host = URL.parse(env.GITHUB_SERVER_URL || 'https://github.com')?.hostname ?? '';
  if (host === 'github.com' || host.endsWith('.ghe.com') || host.endsWith('.localhost')) return;
  throw new TransshipError(
    'BACKEND',
    `GitHub Enterprise Server (${host}) does not have the artifact service that snapshots need.`,
    { hint: 'Set backend to s3, or to local on a runner that keeps its files.' },
  );
}
