import { readFile } from 'node:fs/promises';
import * as z from 'zod/mini';

type Environment = Readonly<Record<string, string | undefined>>;

const DEADLINE_MILLISECONDS = 10_000;

/** `internal` is for the members of an enterprise: https://docs.github.com/en/rest/repos/repos#get-a-repository */
const repositorySchema = z.object({
  full_name: z.optional(z.string()),
  visibility: z.optional(z.string()),
  private: z.optional(z.boolean()),
});

/**
 * Whether everyone may see the repository of this workflow run, and so its artifacts. The event that started the run
 * tells it, else GitHub's API.
 *
 * @param token - one that may read the repository; a public one may be asked without
 * @returns `unknown` when neither tells it
 */
export async function isPublicRepository(
  env: Environment,
  token: string | undefined,
  fetch: typeof globalThis.fetch,
): Promise<boolean | 'unknown'> {
  const repository = env.GITHUB_REPOSITORY;
  if (!repository) return 'unknown';
  return (await readEvent(env, repository)) ?? (await askGitHub(env, repository, token, fetch)) ?? 'unknown';
}

/** https://docs.github.com/en/actions/reference/workflows-and-actions/variables */
async function readEvent(env: Environment, repository: string): Promise<boolean | undefined> {
  if (!env.GITHUB_EVENT_PATH) return undefined;
  try {
    const event: unknown = JSON.parse(await readFile(env.GITHUB_EVENT_PATH, 'utf8'));
    const { data } = z.object({ repository: repositorySchema }).safeParse(event);
    return data?.repository.full_name === repository ? isPublic(data.repository) : undefined;
  } catch {
    // Not every event has a payload that says it; GitHub itself can be asked.
    return undefined;
  }
}

async function askGitHub(
  env: Environment,
  repository: string,
  token: string | undefined,
  fetch: typeof globalThis.fetch,
): Promise<boolean | undefined> {
  try {
    const answer = await fetch(`${env.GITHUB_API_URL || 'https://api.github.com'}/repos/${repository}`, {
      headers: { accept: 'application/vnd.github+json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      signal: AbortSignal.timeout(DEADLINE_MILLISECONDS),
    });
    if (!answer.ok) {
      await answer.body?.cancel();
      return undefined;
    }
    const { data } = repositorySchema.safeParse(await answer.json());
    return data === undefined ? undefined : isPublic(data);
  } catch {
    return undefined;
  }
}

function isPublic({ visibility, private: isPrivate }: z.output<typeof repositorySchema>): boolean | undefined {
  if (visibility !== undefined) return visibility === 'public';
  return isPrivate === undefined ? undefined : !isPrivate;
}
