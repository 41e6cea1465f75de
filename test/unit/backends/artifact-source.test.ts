import { describe, expect, it } from 'vitest';
import {
  artifactUrl,
  checkArtifactName,
  findArtifactSource,
  requireRuntime,
} from '../../../src/backends/artifact-source.ts';

const STEP = {
  GITHUB_ACTIONS: 'true',
  ACTIONS_RUNTIME_TOKEN: 'token',
  ACTIONS_RESULTS_URL: 'https://results.actions.githubusercontent.com/',
  GITHUB_REPOSITORY: 'octo-org/shop',
  GITHUB_RUN_ID: '17',
  GITHUB_SERVER_URL: 'https://github.com',
};

describe('the run to read', () => {
  it('is this one, without a token, when none is named', () => {
    const source = { runId: '17', repository: 'octo-org/shop' };
    expect(findArtifactSource({}, STEP)).toEqual(source);
    expect(findArtifactSource({ token: 'ghs' }, STEP)).toEqual(source);
    expect(findArtifactSource({ token: 'ghs', runId: 17 }, STEP)).toEqual(source);
  });

  it('is the one named, in this repository or the one named', () => {
    expect(findArtifactSource({ token: 'ghs', runId: 4 }, STEP)).toEqual({
      runId: '4',
      repository: 'octo-org/shop',
      token: 'ghs',
    });
    expect(findArtifactSource({ token: 'ghs', runId: 17, repository: 'octo-org/other' }, STEP)).toEqual({
      runId: '17',
      repository: 'octo-org/other',
      token: 'ghs',
    });
  });

  it('can be read from the command line with a token', () => {
    const options = { token: 'ghp', runId: 4, repository: 'octo-org/shop' };
    expect(findArtifactSource(options, {})).toEqual({ runId: '4', repository: 'octo-org/shop', token: 'ghp' });
  });

  it.each([
    [{ repository: 'octo-org/other' }, STEP, 'repository: "octo-org/other" needs run-id too.'],
    [{ runId: 4 }, STEP, 'run-id: 4 needs a token to read that run.'],
    [{ runId: 4, token: '' }, STEP, 'run-id: 4 needs a token to read that run.'],
    [{ runId: 4, token: 'ghp' }, {}, 'run-id: 4 needs repository too. Give owner/name.'],
  ])('cannot be known from %j', (options, env, message) => {
    expect(() => findArtifactSource(options, env)).toThrow(
      expect.objectContaining({ code: 'INPUT', message: expect.stringContaining(message) }),
    );
  });
});

describe('the artifact service', () => {
  it('is not there for a run: step, which is told to use the action', () => {
    expect(() => requireRuntime({ ...STEP, ACTIONS_RUNTIME_TOKEN: '' })).toThrow(
      expect.objectContaining({ code: 'BACKEND', hint: expect.stringContaining('a run: step does not get') }),
    );
  });

  it('is not there on GitHub Enterprise Server', () => {
    const env = { ...STEP, GITHUB_SERVER_URL: 'https://git.example.com' };
    for (const use of [() => requireRuntime(env), () => findArtifactSource({ runId: 4, token: 'x' }, env)]) {
      expect(use).toThrow(
        expect.objectContaining({
          code: 'BACKEND',
          message: 'GitHub Enterprise Server (git.example.com) does not have the artifact service that snapshots need.',
        }),
      );
    }
  });

  it('is there on GitHub Enterprise Cloud with data residency', () => {
    expect(() => requireRuntime({ ...STEP, GITHUB_SERVER_URL: 'https://octo.ghe.com' })).not.toThrow();
  });
});

it('the page of an artifact is on the server of the run', () => {
  const source = { runId: '4', repository: 'octo-org/shop' };
  expect(artifactUrl(source, 9, {})).toBe('https://github.com/octo-org/shop/actions/runs/4/artifacts/9');
  expect(artifactUrl(source, 9, { GITHUB_SERVER_URL: 'https://octo.ghe.com' })).toBe(
    'https://octo.ghe.com/octo-org/shop/actions/runs/4/artifacts/9',
  );
});

it.each(['', 'a/b', 'a\\b', 'a:b', 'a"b', 'a<b', 'a>b', 'a|b', 'a*b', 'a?b', 'a\nb'])(
  'an artifact cannot be called %j',
  (name) => {
    expect(() => checkArtifactName(name)).toThrow(expect.objectContaining({ code: 'INPUT' }));
  },
);

it.each(['transship', 'my stage', 'ä-1_2.3'])('an artifact can be called %j', (name) => {
  expect(() => checkArtifactName(name)).not.toThrow();
});
