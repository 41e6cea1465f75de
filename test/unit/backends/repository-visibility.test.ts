import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { isPublicRepository } from '../../../src/backends/repository-visibility.ts';
import { temporaryFolder } from '../archive/helpers.ts';

const REPOSITORY = 'octo-org/shop';

/** The environment of a step whose event has that payload. */
function stepWith(event: string | object): Record<string, string> {
  const file = join(temporaryFolder(), 'event.json');
  writeFileSync(file, typeof event === 'string' ? event : JSON.stringify(event));
  return { GITHUB_REPOSITORY: REPOSITORY, GITHUB_EVENT_PATH: file, GITHUB_API_URL: 'https://api.example.com' };
}

const answering = (status: number, body: object) => vi.fn(async () => new Response(JSON.stringify(body), { status }));
const unused = vi.fn(() => Promise.reject(new Error('Nobody should be asked.')));

describe('the event of a workflow run', () => {
  it.each([
    [{ visibility: 'public', private: false }, true],
    [{ visibility: 'private', private: true }, false],
    [{ visibility: 'internal', private: true }, false],
    [{ private: false }, true],
    [{ private: true }, false],
  ])('tells that %j is public: %s', async (repository, expected) => {
    const env = stepWith({ repository: { full_name: REPOSITORY, ...repository } });
    expect(await isPublicRepository(env, undefined, unused)).toBe(expected);
    expect(unused).not.toHaveBeenCalled();
  });

  it.each([
    ['of another repository', { repository: { full_name: 'octo-org/fork', private: false } }],
    ['that says nothing of it', { schedule: '0 3 * * *' }],
    ['that says it in another way', { repository: 'shop' }],
    ['that is no JSON', '{'],
  ])('%s leaves it to GitHub', async (_what, event) => {
    const fetch = answering(200, { visibility: 'private', private: true });
    expect(await isPublicRepository(stepWith(event), 'ghs_token', fetch)).toBe(false);
    expect(fetch).toHaveBeenCalledWith(
      'https://api.example.com/repos/octo-org/shop',
      expect.objectContaining({ headers: expect.objectContaining({ authorization: 'Bearer ghs_token' }) }),
    );
  });
});

describe('GitHub', () => {
  const env = { GITHUB_REPOSITORY: REPOSITORY };

  it('is asked without a token where there is none', async () => {
    const fetch = answering(200, { visibility: 'public' });
    expect(await isPublicRepository(env, undefined, fetch)).toBe(true);
    expect(fetch).toHaveBeenCalledWith(
      'https://api.github.com/repos/octo-org/shop',
      expect.objectContaining({ headers: { accept: 'application/vnd.github+json' } }),
    );
  });

  it.each([
    ['does not show it', answering(404, { message: 'Not Found', private: false })],
    ['refuses the token', answering(401, {})],
    ['answers something else', answering(200, { private: 'no' })],
    ['is not reached', vi.fn(() => Promise.reject(new Error('ENOTFOUND')))],
  ])('that %s leaves it unknown', async (_what, fetch) => {
    expect(await isPublicRepository(env, 'ghs_token', fetch)).toBe('unknown');
  });

  it('is not asked when the repository is not known', async () => {
    expect(await isPublicRepository({}, 'ghs_token', unused)).toBe('unknown');
    expect(unused).not.toHaveBeenCalled();
  });
});
