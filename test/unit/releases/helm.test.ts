import { describe, expect, test } from 'vitest';
import {
  findHelm,
  gaveUpEarly,
  type Helm,
  type HelmRun,
  helmEnvironment,
  helmWords,
  installArguments,
  type RunProgram,
  uninstallArguments,
  upgradeArguments,
} from '../../../src/releases/helm.ts';

const helm4: Helm = { path: 'helm', version: 'v4.3.1', major: 4 };
const helm3: Helm = { path: 'helm', version: 'v3.22.0', major: 3 };
const run: HelmRun = {
  release: 'shop',
  namespace: 'prod',
  chart: '/tmp/frozen.tgz',
  valuesFile: '/tmp/values.yaml',
  access: { kubeconfig: '/tmp/kubeconfig', context: 'prod-admin' },
  timeout: '5m0s',
  wait: true,
  noHooks: false,
  serverSide: true,
};

function onPath(version: string | undefined): RunProgram {
  return async () => {
    if (version === undefined) throw new Error('Unable to locate executable file: helm');
    return { exitCode: 0, stdout: `${version}\n`, stderr: '' };
  };
}

const download = async (version: string): Promise<string> => `/cache/${version}/helm`;

describe('findHelm', () => {
  test.each([
    ['v3.18.0', 3],
    ['v3.22.0', 3],
    ['v4.0.0', 4],
    ['v4.3.1', 4],
  ])('takes %s from PATH', async (version, major) => {
    expect(await findHelm(onPath(version), undefined, download)).toEqual({ path: 'helm', version, major });
  });

  test.each(['v3.17.9', 'v2.17.0', 'v5.0.0', 'dev'])('refuses %s on PATH and says both ways out', async (version) => {
    await expect(findHelm(onPath(version), undefined, download)).rejects.toMatchObject({
      code: 'HELM_MISSING',
      message: `The helm on PATH is ${version}, and Transship needs Helm 3.18 or newer, or 4.`,
      hint: expect.stringMatching(/Install Helm .* or set helm-version/),
    });
  });

  test('says both ways out when there is no helm at all', async () => {
    await expect(findHelm(onPath(undefined), undefined, download)).rejects.toMatchObject({
      code: 'HELM_MISSING',
      message: 'There is no helm on PATH.',
    });
  });

  test('downloads the version asked for when PATH has another one', async () => {
    expect(await findHelm(onPath('v4.3.1'), '3.22.0', download)).toEqual({
      path: '/cache/v3.22.0/helm',
      version: 'v3.22.0',
      major: 3,
    });
  });

  test('downloads nothing when PATH has the version asked for', async () => {
    const refuse = async () => expect.unreachable('nothing is to be downloaded');
    expect(await findHelm(onPath('v4.3.1'), 'v4.3.1', refuse)).toEqual(helm4);
  });

  test.each(['4', 'latest', 'v3.17.0', ''])(
    'refuses helm-version "%s" before it downloads anything',
    async (wanted) => {
      await expect(findHelm(onPath('v4.3.1'), wanted, download)).rejects.toMatchObject({
        code: 'INPUT',
        message: `helm-version: "${wanted}" is not a version Transship can use.`,
      });
    },
  );
});

describe('the arguments of helm', () => {
  test('install a frozen chart with Helm 4 as the record was applied', () => {
    expect(installArguments(helm4, run, false)).toEqual([
      ...['install', 'shop', '/tmp/frozen.tgz', '--namespace', 'prod', '--kube-context', 'prod-admin'],
      ...['--values', '/tmp/values.yaml', '--timeout', '5m0s', '--skip-crds', '--disable-openapi-validation'],
      ...['--hide-notes', '--wait', '--server-side=true'],
    ]);
  });

  test('leave out what Helm 3 does not know', () => {
    expect(installArguments(helm3, run, false).join(' ')).not.toContain('--server-side');
  });

  test('reuse the name of a release that has ended', () => {
    expect(installArguments(helm4, run, true)).toContain('--replace');
  });

  test('upgrade with the stored values only, and prune no revision', () => {
    expect(upgradeArguments(helm4, { ...run, wait: false, noHooks: true, serverSide: false })).toEqual([
      ...['upgrade', 'shop', '/tmp/frozen.tgz', '--namespace', 'prod', '--kube-context', 'prod-admin'],
      ...['--values', '/tmp/values.yaml', '--timeout', '5m0s', '--skip-crds', '--disable-openapi-validation'],
      ...['--hide-notes', '--no-hooks', '--server-side=false', '--reset-values', '--history-max', '0'],
    ]);
  });
});

test('helm uninstall waits until the objects are gone, and takes a release that is gone for done', () => {
  expect(uninstallArguments(helm4, run)).toEqual([
    ...['uninstall', 'shop', '--namespace', 'prod', '--kube-context', 'prod-admin', '--timeout', '5m0s'],
    ...['--wait', '--ignore-not-found'],
  ]);
  expect(uninstallArguments(helm3, { ...run, noHooks: true })).toContain('--no-hooks');
});

describe('the environment of helm', () => {
  test('keeps nothing that would point Helm to another cluster, namespace or driver', () => {
    const caller = {
      PATH: '/bin',
      HELM_KUBETOKEN: 'secret',
      HELM_KUBECONTEXT: 'stage',
      HELM_NAMESPACE: 'stage',
      HELM_DRIVER: 'sql',
      HELM_MAX_HISTORY: '1',
      HELM_PLUGINS: '/plugins',
      KUBECONFIG: '/home/me/.kube/config',
    };
    expect(helmEnvironment(caller, run.access, 'configmap', '/tmp/cache')).toEqual({
      PATH: '/bin',
      HELM_PLUGINS: '/plugins',
      KUBECONFIG: '/tmp/kubeconfig',
      HELM_DRIVER: 'configmap',
      KUBECACHEDIR: '/tmp/cache',
    });
  });
});

describe('helmWords', () => {
  test('is what follows Error:, over all its lines', () => {
    const stderr = [
      'WARNING: Kubernetes configuration file is group-readable. This is insecure.',
      'level=WARN msg="unable to find exact version"',
      'Error: INSTALLATION FAILED: failed pre-install: 1 error occurred:',
      '\t* job migrate failed: BackoffLimitExceeded',
      '',
    ].join('\n');
    expect(helmWords(stderr, 1)).toBe(
      'INSTALLATION FAILED: failed pre-install: 1 error occurred:\n\t* job migrate failed: BackoffLimitExceeded',
    );
  });

  test('is all of stderr where Helm crashed without an Error: line', () => {
    expect(helmWords('panic: runtime error\n', 2)).toBe('panic: runtime error');
  });

  test('is the exit status when Helm said nothing', () => {
    expect(helmWords('', 3)).toBe('helm failed with status 3.');
  });

  test('names the signal that ended Helm, and what it had said by then', () => {
    expect(helmWords('', 137)).toBe('helm was ended by signal 9.');
    expect(helmWords('Error: context canceled\n', 143)).toBe('helm was ended by signal 15.\ncontext canceled');
  });
});

describe('gaveUpEarly', () => {
  const job = (status: string) => `resource Job/shop/migrate not ready. status: ${status}, message: Job is so`;

  test.each([
    ['what it waited for was under way', job('InProgress'), true],
    ['all of what it waited for was', `${job('InProgress')}\n${job('InProgress')}`, true],
    ['its time was up', `${job('InProgress')}\ncontext deadline exceeded`, false],
    ['it was cancelled', `${job('InProgress')}\ncontext canceled`, false],
    ['it had failed', job('Failed'), false],
    ['other things had failed', `${job('InProgress')}\n${job('Failed')}`, false],
    ['Helm failed in another way', 'admission webhook denied the request', false],
  ])('when %s', (_why, words, isEarly) => {
    expect(gaveUpEarly(`INSTALLATION FAILED: failed pre-install: ${words}`)).toBe(isEarly);
  });
});
