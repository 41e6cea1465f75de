import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readBody } from '../../src/archive/entry.ts';
import { type Cluster, ClusterError, type ClusterRequest, type KubeObject } from '../../src/cluster/cluster.ts';
import { openCluster } from '../../src/cluster/connect.ts';
import { runProgram } from '../../src/exec.ts';
import { loadDiff } from '../../src/plan/diff.ts';
import type { States } from '../../src/plan/states.ts';
import type { Explain } from '../../src/releases/explain.ts';
import type { RunProgram } from '../../src/releases/helm.ts';
import { parseRelease, type ReleaseRecord, recordToObject } from '../../src/releases/record.ts';
import { withStatus } from '../../src/releases/record-edits.ts';
import { recordToEntry } from '../../src/releases/record-entry.ts';
import type { UndoLog } from '../../src/undo.ts';
import { isMap } from '../../src/values.ts';
import {
  cutAt,
  type HelmVersion,
  keepReports,
  type RestoreBed,
  type Snapshot,
  startRestoreBed,
} from './restore-bed.ts';
import { fillSource } from './restore-source.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

let bed: RestoreBed;
let app: string;
/** Snapshots by the namespace they are of. */
let team: Snapshot;
let many: Snapshot;
let customs: Snapshot;
let large: Snapshot;

beforeAll(async () => {
  bed = await startRestoreBed();
  app = await fillSource(bed);
  [team, many, customs, large] = await Promise.all([
    bed.snapshot('team'),
    bed.snapshot('many'),
    bed.snapshot('custom'),
    bed.snapshot('large'),
  ]);
}, 1_800_000);

afterAll(() => bed?.close());

/** The revisions and statuses of a release, as labels and payloads have them. */
async function statuses(namespace: string, name: string): Promise<string[]> {
  const records = await bed.target.records(namespace, name);
  return [...records.values()].map(({ revision, status, json }) => {
    expect(JSON.parse(json).info.status).toBe(status);
    return `${revision} ${status}`;
  });
}

const secretPath = (namespace: string, name: string, revision: number) =>
  `/api/v1/namespaces/${namespace}/secrets/sh.helm.release.v1.${name}.v${revision}`;

async function configMap(namespace: string, name: string): Promise<KubeObject | undefined> {
  return bed.target.find(`/api/v1/namespaces/${namespace}/configmaps/${name}`);
}

async function text(namespace: string, name: string): Promise<unknown> {
  const data = (await configMap(namespace, name))?.data;
  return isMap(data) ? data.text : undefined;
}

async function createNamespace(name: string): Promise<void> {
  await bed.target.bed.kubectl(['create', 'namespace', name]);
}

/** Changes one record in the target, as a Helm that was killed would have left it. */
async function setStatus(record: ReleaseRecord | undefined, status: string): Promise<void> {
  if (record === undefined) throw new Error('There is no such record.');
  const path = secretPath(record.namespace, record.release, record.revision);
  await bed.target.cluster.json({ method: 'PUT', path, body: await recordToObject(withStatus(record, status)) });
}

/** The versions of all Secrets, ConfigMaps, CRDs and namespaces: what tells that nothing was changed. */
async function everything(): Promise<Map<string, string | undefined>> {
  const versions = new Map<string, string | undefined>();
  for (const path of ['/api/v1/secrets', '/api/v1/configmaps', '/api/v1/namespaces', CRDS]) {
    for await (const { metadata } of bed.target.cluster.list(path)) {
      versions.set(`${path} ${metadata.namespace}/${metadata.name}`, metadata.resourceVersion);
    }
  }
  return versions;
}

/** Counts the runs of helm that are under way, and keeps their arguments. */
function watchHelm(): { run: RunProgram; running: () => number; args: string[][] } {
  let running = 0;
  const args: string[][] = [];
  return {
    args,
    running: () => running,
    run: async (command, words, options) => {
      args.push([...words]);
      running += 1;
      try {
        return await runProgram(command, words, options);
      } finally {
        running -= 1;
      }
    },
  };
}

describe('a new release', () => {
  test('comes with every revision exactly as it was, and the real Helm works on with it', async () => {
    const [row] = await bed.restore(team, { only: ['web'] });
    expect(row).toMatchObject({ name: 'web', namespace: 'team', outcome: 'created', revision: 3, revisions: 3 });
    const [there, here] = await Promise.all([bed.source.records('team', 'web'), bed.target.records('team', 'web')]);
    expect([...here.values()]).toEqual([...there.values()]);
    expect(there.get(3)?.labels).toMatchObject({ team: 'a', tier: 'web', status: 'deployed' });
    const original = await bed.source.find('/api/v1/namespaces/team/configmaps/web');
    expect((await configMap('team', 'web'))?.data).toEqual(original?.data);

    await bed.target.helm('rollback web 2 -n team');
    expect(await text('team', 'web')).toBe('two');
    await bed.target.helm(`upgrade web ${app} -n team --reuse-values`);
    expect(await statuses('team', 'web')).toEqual([
      '1 superseded',
      '2 superseded',
      '3 superseded',
      '4 superseded',
      '5 deployed',
    ]);
    await bed.target.helm('uninstall web -n team');
    expect(await configMap('team', 'web')).toBeUndefined();
  });

  test('of the ConfigMap driver and Helm 3 comes back as ConfigMaps', async () => {
    await bed.restore(team, { only: ['old'], helm: 'helm3' });
    const [there, here] = await Promise.all([
      bed.source.records('team', 'old', 'configmaps'),
      bed.target.records('team', 'old', 'configmaps'),
    ]);
    expect([...here.values()]).toEqual([...there.values()]);
    expect(here.size).toBe(2);
    expect((await bed.target.records('team', 'old')).size).toBe(0);
  });

  test('is installed as it was applied: server-side or client-side', async () => {
    const watched = watchHelm();
    await bed.restore(team, { only: ['web', 'client'], map: { team: 'applied' }, runProgram: watched.run });
    const flags = watched.args.map((words) => [words[1], words.find((word) => word.startsWith('--server-side'))]);
    expect(Object.fromEntries(flags)).toEqual({ web: '--server-side=true', client: '--server-side=false' });
    const managers = async (name: string) =>
      (await bed.target.bed.kubectl([
        ...['get', 'configmap', name, '-n', 'applied', '--show-managed-fields', '-o'],
        'jsonpath={.metadata.managedFields[*].operation}',
      ])) as string;
    expect(await managers('web')).toBe('Apply');
    expect(await managers('client')).toBe('Update');
    // What Helm 4 asks of a release decides how it goes on; a wrong mark would end in conflicts.
    await bed.target.helm(`upgrade web ${app} -n applied --set text=next`);
    await bed.target.helm(`upgrade client ${app} -n applied --set text=next`);
    expect(await text('applied', 'client')).toBe('next');
  });

  test('of Helm 4 loses its apply method under Helm 3, and nothing else', async () => {
    await bed.restore(team, { only: ['web'], helm: 'helm3', map: { team: 'three' } });
    const [there, here] = await Promise.all([bed.source.records('team', 'web'), bed.target.records('three', 'web')]);
    for (const [revision, { json, labels }] of there) {
      const { apply_method, ...release } = JSON.parse(json);
      expect(apply_method).toBe('ssa');
      expect(JSON.parse(here.get(revision)?.json ?? '')).toEqual({ ...release, namespace: 'three' });
      expect(here.get(revision)?.labels).toEqual(labels);
    }
    await bed.target.helm(`upgrade web ${app} -n three --set text=next`, 'secret', 'helm3');
    expect(await text('three', 'web')).toBe('next');
  });

  test('comes without hooks when they are not wanted, and with the time to wait that was asked for', async () => {
    const watched = watchHelm();
    const options = { noHooks: true, wait: true, timeout: '17s', runProgram: watched.run };
    await bed.restore(team, { only: ['web'], map: { team: 'no-hooks' }, ...options });
    expect(await configMap('no-hooks', 'web-hook')).toBeUndefined();
    expect(await text('no-hooks', 'web')).toBe('three');
    const words = watched.args[0] ?? [];
    expect(words).toContain('--wait');
    expect(words[words.indexOf('--timeout') + 1]).toBe('17s');
  });

  test.each<HelmVersion>(['helm4', 'helm3'])(
    'whose record is near the most that can be stored comes too, by %s',
    async (helm) => {
      const map = { large: `large-${helm}` };
      expect(await bed.restore(large, { helm, map })).toMatchObject([{ outcome: 'created' }]);
      const path = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps/big-blob-3`;
      const [there, here] = await Promise.all([bed.source.find(path('large')), bed.target.find(path(map.large))]);
      expect(here?.data).toEqual(there?.data);
      expect((await bed.target.helm(`get values big -n ${map.large}`, 'secret', helm)).length).toBeGreaterThan(400_000);
    },
  );

  test('comes with as much of its history as was asked for', async () => {
    const [row] = await bed.restore(team, { only: ['web'], map: { team: 'short' }, history: 2 });
    expect(row).toMatchObject({ revision: 3, revisions: 2 });
    expect(await statuses('short', 'web')).toEqual(['2 superseded', '3 deployed']);
  });

  test('comes into a namespace that is there through a user who has rights in it only', async () => {
    const { kubectl, access } = bed.target.bed;
    await createNamespace('deployer');
    await kubectl(['create', 'rolebinding', 'deployer', '-n', 'deployer', '--clusterrole=admin', '--user=deployer']);
    const context = `${access.name}-deployer`;
    const cluster = await openCluster({ kubeconfig: bed.target.bed.kubeconfig, context });
    try {
      expect(await bed.restore(team, { only: ['web'], map: { team: 'deployer' }, cluster })).toMatchObject([
        { outcome: 'created' },
      ]);
    } finally {
      await cluster.close();
    }
  });
});

describe('a release of which nothing runs', () => {
  test('comes as history only, which Helm can list and roll back to', async () => {
    const [row] = await bed.restore(team, { only: ['gone'], map: { team: 'history' } });
    expect(row).toMatchObject({ outcome: 'created', status: 'uninstalled', revisions: 2 });
    expect(await configMap('history', 'gone')).toBeUndefined();
    const [there, here] = await Promise.all([
      bed.source.records('team', 'gone'),
      bed.target.records('history', 'gone'),
    ]);
    for (const [revision, { labels, json }] of there) {
      expect(here.get(revision)?.labels).toEqual(labels);
      expect(here.get(revision)?.annotations).toBeUndefined();
      expect(JSON.parse(here.get(revision)?.json ?? '')).toEqual({ ...JSON.parse(json), namespace: 'history' });
    }
    expect(JSON.parse(await bed.target.helm('history gone -n history -o json'))).toHaveLength(2);
    await bed.target.helm('rollback gone 1 -n history');
    expect(await text('history', 'gone')).toBe('one');
  });

  test('for it was never installed to the end, comes as failed', async () => {
    const pending = await withRecord(team, 'web', 1, (record) => withStatus(record, 'pending-install'));
    for (const path of ['2', '3'].map((revision) => `_releases/team/web/${revision}.json`)) pending.delete(path);
    const [row] = await bed.restore(pending, { only: ['web'], map: { team: 'never' } });
    expect(row).toMatchObject({ outcome: 'created', message: 'Only its history: nothing of it runs at the source.' });
    expect(await statuses('never', 'web')).toEqual(['1 failed']);
    await bed.target.helm('rollback web 1 -n never');
    expect(await text('never', 'web')).toBe('one');
  });

  test('leaves alone what runs at the target under its name', async () => {
    await createNamespace('kept');
    await bed.target.helm(`install gone ${app} -n kept --set text=mine`);
    const before = await everything();
    const [row] = await bed.restore(team, { only: ['gone'], map: { team: 'kept' }, replace: true });
    expect(row).toMatchObject({ outcome: 'skipped', message: expect.stringContaining('the target keeps its own') });
    expect(await everything()).toEqual(before);
  });
});

test('of a history with several deployed and pending revisions only the running one stays deployed', async () => {
  const changed = await withRecord(team, 'web', 1, (record) => withStatus(record, 'deployed'));
  const files = await withRecord(changed, 'web', 2, (record) => withStatus(record, 'pending-rollback'));
  await bed.restore(files, { only: ['web'], map: { team: 'mixed' } });
  expect(await statuses('mixed', 'web')).toEqual(['1 superseded', '2 failed', '3 deployed']);
});

describe('a release that exists at the target', () => {
  test('stops the import in any status and driver, all are named, and nothing is changed', async () => {
    await createNamespace('busy');
    const { helm, records } = bed.target;
    await helm(`install a ${app} -n busy`);
    await bed.target.helmFails(`install b ${app} -n busy --set refused=true`);
    await helm(`install c ${app} -n busy`, 'configmap');
    await helm('uninstall c -n busy --keep-history', 'configmap');
    await helm(`install d ${app} -n busy`);
    await setStatus((await records('busy', 'd')).get(1), 'pending-upgrade');
    const before = await everything();
    await expect(bed.restore(many, { map: { many: 'busy' } })).rejects.toMatchObject({
      code: 'RELEASE_EXISTS',
      message:
        'The target already has these 4 releases: busy/a (revision 1, deployed), busy/b (revision 1, failed), ' +
        'busy/c (revision 1, uninstalled), busy/d (revision 1, pending-upgrade).',
      hint: expect.stringContaining('Set replace'),
    });
    expect(await everything()).toEqual(before);
  });

  describe('with replace', () => {
    test('is upgraded in place: its own history stays whole, and the new revision is the original', async () => {
      await createNamespace('replaced');
      await bed.target.helm(`install web ${app} -n replaced --labels own=yes --set text=0`);
      for (let revision = 2; revision <= 12; revision += 1) {
        await bed.target.helm(`upgrade web ${app} -n replaced --no-hooks --history-max 0 --set text=${revision}`);
      }
      const before = await bed.target.records('replaced', 'web');
      const [row] = await bed.restore(team, { only: ['web'], map: { team: 'replaced' }, replace: true });
      expect(row).toMatchObject({ outcome: 'updated', revision: 13, status: 'deployed' });

      const after = await bed.target.records('replaced', 'web');
      expect([...after.keys()]).toEqual([...before.keys(), 13]);
      for (let revision = 1; revision <= 11; revision += 1) {
        expect(after.get(revision)).toEqual(before.get(revision));
      }
      expect(after.get(12)?.status).toBe('superseded');
      const original = JSON.parse((await bed.source.records('team', 'web')).get(3)?.json ?? '');
      const { info, ...release } = JSON.parse(after.get(13)?.json ?? '');
      const hooks = original.hooks.map((hook: object, index: number) => ({
        ...hook,
        last_run: release.hooks[index].last_run,
      }));
      expect(release).toEqual({ ...original, info: undefined, hooks, namespace: 'replaced', version: 13 });
      expect(release.hooks[0].last_run).not.toEqual(original.hooks[0].last_run);
      expect(info.description).toBe(
        'Upgrade complete (from team/web revision 3, snapshot 26-01-31_12-00-00 of source)',
      );
      expect(after.get(13)?.labels).toMatchObject({ team: 'a', tier: 'web', status: 'deployed', version: '13' });

      await bed.target.helm('rollback web 12 -n replaced');
      expect(await text('replaced', 'web')).toBe('12');
      await bed.target.helm('rollback web 13 -n replaced');
      await bed.target.helm(`upgrade web ${app} -n replaced --reuse-values`);
      expect(await text('replaced', 'web')).toBe('three');
    });

    test.each<HelmVersion>(['helm4', 'helm3'])(
      'is installed anew where it was uninstalled, and upgraded where it failed, by %s',
      async (helm) => {
        const namespace = `ended-${helm}`;
        await createNamespace(namespace);
        await bed.target.helm(`install a ${app} -n ${namespace}`);
        await bed.target.helm(`uninstall a -n ${namespace} --keep-history`);
        await bed.target.helmFails(`install b ${app} -n ${namespace} --set refused=true`);
        const rows = await bed.restore(many, { only: ['a', 'b'], map: { many: namespace }, replace: true, helm });
        expect(rows).toMatchObject([
          { name: 'a', outcome: 'updated', revision: 2, status: 'deployed' },
          { name: 'b', outcome: 'updated', revision: 2, status: 'deployed' },
        ]);
        expect(await statuses(namespace, 'a')).toEqual(['1 superseded', '2 deployed']);
        expect(await statuses(namespace, 'b')).toEqual(['1 superseded', '2 deployed']);
        expect(await text(namespace, 'a')).toBe('a');
      },
    );

    test('is left to the Helm that may be at work on it, and its words are told', async () => {
      await createNamespace('at-work');
      await bed.target.helm(`install a ${app} -n at-work`);
      await setStatus((await bed.target.records('at-work', 'a')).get(1), 'pending-upgrade');
      const [row] = await bed.restore(many, { only: ['a'], map: { many: 'at-work' }, replace: true });
      expect(row).toMatchObject({ outcome: 'failed', message: expect.stringContaining('another operation') });
      expect(await statuses('at-work', 'a')).toEqual(['1 pending-upgrade']);
    });

    test('goes on where it was cut short after Helm was done, without another upgrade', async () => {
      await createNamespace('cut-replace');
      await bed.target.helm(`install web ${app} -n cut-replace`);
      const options = { only: ['web'], map: { team: 'cut-replace' }, replace: true };
      const cluster = cutAt(bed.target.cluster, ({ method }) => method === 'PUT');
      expect(await bed.restore(team, { ...options, cluster })).toMatchObject([{ outcome: 'failed' }]);
      const hook = await configMap('cut-replace', 'web-hook');
      const rows = await bed.restore(team, options);
      expect(rows).toMatchObject([{ outcome: 'updated', revision: 2 }]);
      expect(await statuses('cut-replace', 'web')).toEqual(['1 superseded', '2 deployed']);
      const chart = JSON.parse((await bed.target.records('cut-replace', 'web')).get(2)?.json ?? '').chart;
      expect(chart.metadata.annotations).toBeUndefined();
      expect((await configMap('cut-replace', 'web-hook'))?.metadata.uid).toBe(hook?.metadata.uid);

      const before = await everything();
      expect(await bed.restore(team, options)).toMatchObject([{ outcome: 'unchanged', revision: 2 }]);
      expect(await everything()).toEqual(before);
    });
  });
});

describe('a release that is what the import would make of it', () => {
  const environment = { name: 'pr-1' };
  const options = { only: ['client'], map: { team: 'quiet' } };
  const undone: string[] = [];
  const undo: UndoLog = {
    created: async (path, { metadata }) => void undone.push(`created ${path} ${metadata.uid === undefined}`),
    changing: async (path) => void undone.push(`changing ${path}`),
    installing: async (namespace, name) => void undone.push(`installing ${namespace}/${name}`),
    upgrading: async (namespace, name, revision, records) =>
      void undone.push(`upgrading ${namespace}/${name} ${revision} of ${records.length}`),
  };

  test('is left alone by a second import: no Helm, no hook, no write', async () => {
    await bed.restore(team, { ...options, environment, undo });
    const before = await everything();
    const watched = watchHelm();
    for (const replace of [false, true]) {
      const rows = await bed.restore(team, { ...options, runProgram: watched.run, replace, environment, undo });
      expect(rows).toMatchObject([{ name: 'client', outcome: 'unchanged', revision: 1, status: 'deployed' }]);
    }
    expect(watched.args).toEqual([]);
    expect(await everything()).toEqual(before);
    expect(undone).toEqual(['created /api/v1/namespaces/quiet false', 'installing quiet/client']);
  });

  test('bears the label of its environment, in every revision that Helm makes of it', async () => {
    const namespace = await bed.target.find('/api/v1/namespaces/quiet');
    expect(namespace?.metadata.labels).toMatchObject({ name: 'quiet', 'transship.dev/environment': 'pr-1' });
    await bed.target.helm(`upgrade client ${app} -n quiet --set text=next`);
    const labels = [...(await bed.target.records('quiet', 'client')).values()].map((record) => record.labels);
    expect(labels.map((own) => own['transship.dev/environment'])).toEqual(['pr-1', 'pr-1']);
  });

  test('is no obstacle to those that an earlier import did not get to, and a plan tells them apart', async () => {
    const explain = await explainWith();
    const three = { only: ['client', 'web', 'gone'], map: { team: 'quiet' } };
    const refused = await bed.plan(team, explain, three);
    expect(refused.problems).toMatchObject([
      { kind: 'exists', message: 'The target already has this release: quiet/client (revision 2, deployed).' },
    ]);
    expect(refused.releases.map(({ name, change }) => `${name} ${change}`)).toEqual([
      'client keep',
      'gone create',
      'web create',
    ]);

    await bed.target.bed.kubectl(['create', 'configmap', 'web', '-n', 'quiet']);
    const before = await everything();
    const { releases, problems, namespaces } = await bed.plan(team, explain, { ...three, replace: true });
    expect(await everything()).toEqual(before);
    expect(problems).toMatchObject([{ kind: 'other', message: expect.stringContaining('ConfigMap quiet/web: label') }]);
    expect(namespaces).toEqual([]);
    const [client, gone, web] = releases;
    expect(client).toMatchObject({
      change: 'update',
      before: { chart: 'app', chartVersion: '0.1.0', appVersion: '7', revision: 2, status: 'deployed' },
      after: { chart: 'app', chartVersion: '0.1.0', appVersion: '7', revision: 3, status: 'deployed' },
      values: expect.stringContaining('-text: next'),
      objects: [
        { kind: 'ConfigMap', name: 'client', change: 'update', diff: expect.stringContaining('-  text: next') },
      ],
      hooks: ['pre-upgrade ConfigMap quiet/client-hook'],
    });
    expect(gone).toMatchObject({ change: 'create', objects: [], hooks: [], revisions: 2 });
    expect(web).toMatchObject({
      change: 'create',
      before: undefined,
      after: { revision: 3 },
      revisions: 3,
      objects: [{ kind: 'ConfigMap', namespace: 'quiet', name: 'web', change: 'keep' }],
      hooks: ['pre-install ConfigMap quiet/web-hook'],
    });

    await bed.target.bed.kubectl(['delete', 'configmap', 'web', '-n', 'quiet']);
    undone.length = 0;
    const rows = await bed.restore(team, { ...three, replace: true, environment, undo });
    expect(rows.map(({ name, outcome }) => `${name} ${outcome}`).sort()).toEqual([
      'client updated',
      'gone created',
      'web created',
    ]);
    expect(undone.toSorted()).toEqual([
      'changing /api/v1/namespaces/quiet/secrets/sh.helm.release.v1.gone.v2',
      'created /api/v1/namespaces/quiet/secrets/sh.helm.release.v1.gone.v1 false',
      'created /api/v1/namespaces/quiet/secrets/sh.helm.release.v1.gone.v2 false',
      'installing quiet/web',
      'upgrading quiet/client 2 of 2',
    ]);
    const states: States = new Map();
    const after = await bed.plan(team, explain, { ...three, replace: true, states });
    expect(after.releases.map(({ change }) => change)).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect([after.problems, after.releases.map(({ hooks }) => hooks)]).toEqual([[], [[], [], []]]);
    expect([...states.keys()]).toEqual(['release quiet/client', 'release quiet/gone', 'release quiet/web']);
  });

  async function explainWith(): Promise<Explain> {
    const preflight = { note() {}, noteRelease() {}, finish: async () => [] };
    return { differ: await loadDiff(), preflight };
  }
});

describe('an import that was cut short goes on when it is run again', () => {
  /** Whether the release is whole: its records those of the source, its hooks run once since `hook`. */
  async function expectWhole(namespace: string, hook?: KubeObject): Promise<void> {
    const [there, here] = await Promise.all([bed.source.records('team', 'web'), bed.target.records(namespace, 'web')]);
    expect([...here.keys()]).toEqual([...there.keys()]);
    for (const [revision, { json, labels }] of there) {
      expect(JSON.parse(here.get(revision)?.json ?? '')).toEqual({ ...JSON.parse(json), namespace });
      expect(here.get(revision)?.labels).toEqual(labels);
    }
    expect(await text(namespace, 'web')).toBe('three');
    if (hook !== undefined) expect((await configMap(namespace, 'web-hook'))?.metadata.uid).toBe(hook.metadata.uid);
  }

  /** The frozen release of web as Helm leaves it, and nothing more. */
  async function onlyHelm(namespace: string): Promise<ReleaseRecord | undefined> {
    const cluster = cutAt(bed.target.cluster, ({ method, path }) => method === 'POST' && path.endsWith('/secrets'));
    const [row] = await bed.restore(team, { only: ['web'], map: { team: namespace }, cluster });
    expect(row).toMatchObject({ outcome: 'failed' });
    return (await bed.target.records(namespace, 'web')).get(1);
  }

  const again = (namespace: string, files = team) => bed.restore(files, { only: ['web'], map: { team: namespace } });

  test.each([
    ['before any original was put', 'cut-none', 1],
    ['with one original put', 'cut-one', 2],
  ])('without running hooks twice, when Helm was done, %s', async (_, namespace, count) => {
    let posts = 0;
    const cluster = cutAt(bed.target.cluster, ({ method, path }) => {
      if (method === 'POST' && path.endsWith('/secrets')) posts += 1;
      return posts >= count;
    });
    await bed.restore(team, { only: ['web'], map: { team: namespace }, cluster });
    const hook = await configMap(namespace, 'web-hook');
    expect(hook).toBeDefined();
    expect((await bed.target.records(namespace, 'web')).size).toBe(count);
    expect(await again(namespace)).toMatchObject([{ outcome: 'created', revisions: 3 }]);
    await expectWhole(namespace, hook);
  });

  test('without running hooks twice, when only the record of Helm itself was left to replace', async () => {
    const cluster = cutAt(bed.target.cluster, ({ method }) => method === 'PUT');
    await bed.restore(team, { only: ['web'], map: { team: 'cut-last' }, cluster });
    const hook = await configMap('cut-last', 'web-hook');
    expect((await bed.target.records('cut-last', 'web')).size).toBe(3);
    await again('cut-last');
    await expectWhole('cut-last', hook);
    expect(await again('cut-last')).toMatchObject([{ outcome: 'unchanged', revision: 3 }]);
  });

  test('when Helm was killed and left the release pending', async () => {
    await setStatus(await onlyHelm('cut-pending'), 'pending-install');
    expect(await again('cut-pending')).toMatchObject([{ outcome: 'created' }]);
    await expectWhole('cut-pending');
  });

  test('with Helm 3 where Helm 4 was killed', async () => {
    await setStatus(await onlyHelm('cut-by-four'), 'pending-install');
    const options = { only: ['web'], map: { team: 'cut-by-four' }, helm: 'helm3' } as const;
    expect(await bed.restore(team, options)).toMatchObject([{ outcome: 'created' }]);
    expect(await statuses('cut-by-four', 'web')).toEqual(['1 superseded', '2 superseded', '3 deployed']);
    await bed.target.helm('rollback web 1 -n cut-by-four', 'secret', 'helm3');
    expect(await text('cut-by-four', 'web')).toBe('one');
  });

  test('needs not be run again where just the answers of the server were lost', async () => {
    const { cluster } = bed.target;
    const lossy: Cluster = {
      ...cluster,
      async json<T>(request: ClusterRequest) {
        const answer = await cluster.json<T>(request);
        if (request.method === 'POST') throw new ClusterError(0, 'Reset', 'The connection broke.');
        return answer;
      },
    };
    const options = { only: ['web'], map: { team: 'lossy' }, cluster: lossy };
    expect(await bed.restore(team, options)).toMatchObject([{ outcome: 'created' }]);
    await expectWhole('lossy');
  });

  test('when Helm failed, once the cause is gone', async () => {
    await createNamespace('cut-failed');
    const quota = ['create', 'quota', 'full', '-n', 'cut-failed', '--hard=count/configmaps=1'];
    await bed.target.bed.kubectl(quota);
    const [row] = await again('cut-failed');
    expect(row).toMatchObject({ outcome: 'failed', message: expect.stringContaining('exceeded quota: full') });
    expect(await statuses('cut-failed', 'web')).toEqual(['1 failed']);
    await bed.target.bed.kubectl(['delete', 'quota', 'full', '-n', 'cut-failed']);
    expect(await again('cut-failed')).toMatchObject([{ outcome: 'created' }]);
    await expectWhole('cut-failed');
  });

  test('with another snapshot, of which nothing but its own is left in the end', async () => {
    const older = new Map(team);
    older.delete('_releases/team/web/3.json');
    const cluster = cutAt(bed.target.cluster, ({ method }) => method === 'PUT');
    await bed.restore(older, { only: ['web'], map: { team: 'cut-other' }, cluster });
    expect(await text('cut-other', 'web')).toBe('two');
    expect(await again('cut-other')).toMatchObject([{ outcome: 'created' }]);
    await expectWhole('cut-other');
  });

  test('of a history too', async () => {
    let posts = 0;
    const options = { only: ['gone'], map: { team: 'cut-history' } };
    const cluster = cutAt(bed.target.cluster, ({ method, path }) => {
      if (method === 'POST' && path.endsWith('/secrets')) posts += 1;
      return posts === 2;
    });
    expect(await bed.restore(team, { ...options, cluster })).toMatchObject([{ outcome: 'failed' }]);
    expect(await statuses('cut-history', 'gone')).toEqual(['2 uninstalled']);
    expect(await bed.restore(team, options)).toMatchObject([{ outcome: 'created' }]);
    expect(await statuses('cut-history', 'gone')).toEqual(['1 superseded', '2 uninstalled']);
    expect(await bed.restore(team, options)).toMatchObject([{ outcome: 'unchanged', status: 'uninstalled' }]);
  });

  test('but not over what somebody has made of it by hand since', async () => {
    await setStatus(await onlyHelm('taken'), 'failed');
    await bed.target.helm(`upgrade web ${app} -n taken --set text=mine`);
    const before = await everything();
    await expect(again('taken')).rejects.toMatchObject({
      code: 'RELEASE_EXISTS',
      message: 'The target already has this release: taken/web (revision 2, deployed).',
    });
    expect(await everything()).toEqual(before);
  });
});

describe('custom resource definitions', () => {
  let rows: Awaited<ReturnType<RestoreBed['restore']>>;
  let lines: string[];

  beforeAll(async () => {
    const reporter = keepReports();
    rows = await bed.restore(customs, { reporter });
    lines = reporter.lines;
  });

  test('come first, so that every release that uses them is installed', () => {
    expect(rows.map(({ name, outcome, message }) => `${name} ${outcome} ${message}`).sort()).toEqual([
      'folder created undefined',
      'owner created undefined',
      'pinned created undefined',
      'provider created undefined',
      'user created undefined',
    ]);
    expect(lines).toContain('info: CRDs created: gears.own.example.com, pins.folder.example.com.');
  });

  test('that a release brings and uses itself bear its name, and are in the end as its manifest has them', async () => {
    const found = await bed.target.find(`${CRDS}/gears.own.example.com`);
    expect(found?.metadata.annotations).toMatchObject({
      'meta.helm.sh/release-name': 'owner',
      'meta.helm.sh/release-namespace': 'custom',
    });
    expect(found?.spec).toMatchObject({ names: { shortNames: ['gg'] } });
    await bed.target.helm('rollback owner 2 -n custom');
  });

  test('of a chart folder belong to nobody', async () => {
    const found = await bed.target.find(`${CRDS}/pins.folder.example.com`);
    expect(found?.metadata.annotations?.['meta.helm.sh/release-name']).toBeUndefined();
    expect(found?.metadata.labels?.['app.kubernetes.io/managed-by']).toBeUndefined();
  });

  test('that exist are left as they are, and updated with replace', async () => {
    const path = `${CRDS}/pins.folder.example.com`;
    const marked = new Map(customs);
    const list = JSON.parse(marked.get('customresourcedefinitions.json')?.toString() ?? '');
    const pins = list.items.find(({ metadata }: KubeObject) => metadata.name === 'pins.folder.example.com');
    pins.spec.names.shortNames = ['pp'];
    pins.metadata.labels = { 'app.kubernetes.io/managed-by': 'Helm' };
    pins.metadata.annotations = { 'meta.helm.sh/release-name': 'other', 'meta.helm.sh/release-namespace': 'there' };
    marked.set('customresourcedefinitions.json', Buffer.from(JSON.stringify(list)));

    const before = await bed.target.find(path);
    const reporter = keepReports();
    await bed.restore(marked, { only: ['folder'], map: { custom: 'left' }, reporter });
    expect((await bed.target.find(path))?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    expect(reporter.lines.join('\n')).toMatch(/CRDs that exist and were left as they are:.* pins\.folder/);

    await bed.restore(marked, { only: ['folder'], map: { custom: 'left' }, replace: true });
    const after = await bed.target.find(path);
    expect(after?.spec).toMatchObject({ names: { shortNames: ['pp'] } });
    expect(after?.metadata.annotations?.['meta.helm.sh/release-name']).toBeUndefined();
    expect(after?.metadata.labels?.['app.kubernetes.io/managed-by']).toBeUndefined();
  });

  test('are no hindrance to a user who may not look at them, where their kinds are served', async () => {
    const { kubectl, access, kubeconfig } = bed.target.bed;
    await createNamespace('blind');
    await kubectl([
      'create',
      'rolebinding',
      'deployer',
      '-n',
      'blind',
      '--clusterrole=cluster-admin',
      '--user=deployer',
    ]);
    const cluster = await openCluster({ kubeconfig, context: `${access.name}-deployer` });
    try {
      const only = ['folder', 'pinned', 'user'];
      const results = await bed.restore(customs, { only, map: { custom: 'blind' }, cluster });
      expect(results.map(({ outcome }) => outcome)).toEqual(['created', 'created', 'created']);
    } finally {
      await cluster.close();
    }
  });
});

describe('a release that fails', () => {
  test('takes along what depends on it, with the reason; the others finish; Helm is quoted', async () => {
    // The cogs are the provider's: as long as they are here, they belong to another one.
    await createNamespace('broken');
    const files = new Map(customs);
    await bed.target.bed.kubectl(['create', 'configmap', 'provider', '-n', 'broken']);
    const only = ['provider', 'user', 'folder'];
    const rows = await bed.restore(files, { only, map: { custom: 'broken' } });
    expect(Object.fromEntries(rows.map(({ name, outcome }) => [name, outcome]))).toEqual({
      folder: 'created',
      provider: 'failed',
      user: 'skipped',
    });
    const messageOf = (name: string) => rows.find((row) => row.name === name)?.message;
    expect(messageOf('provider')).toMatch(/invalid ownership metadata/);
    expect(messageOf('user')).toBe(
      'broken/user waits for broken/provider: CRD cogs.provider.example.com, and that one failed.',
    );
    expect((await bed.target.records('broken', 'user')).size).toBe(0);
  });

  test('in a hook is left failed as Helm leaves it, with Helm words for it', async () => {
    const [row] = await bed.restore(team, { only: ['refused'], map: { team: 'hook-fails' } });
    expect(row).toMatchObject({ outcome: 'failed', message: expect.stringMatching(/post-install.*UPPER/s) });
    expect(await statuses('hook-fails', 'refused')).toEqual(['1 failed']);
  });
});

test('a cancelled import ends Helm, starts nothing more, and says what became of each', async () => {
  const cancel = new AbortController();
  const watched = watchHelm();
  const path = '/apis/batch/v1/namespaces/cancelled/jobs/endless-endless';
  const importing = bed.restore(team, {
    only: ['endless', 'web'],
    map: { team: 'cancelled' },
    concurrency: 1,
    signal: cancel.signal,
    runProgram: async (...run) => {
      const endless = run[1].includes('endless');
      const result = watched.run(...run);
      if (endless) void waitUntilFound(path).then(() => cancel.abort(new Error('cancelled by the user')));
      return result;
    },
  });
  const rows = await importing;
  expect(watched.running()).toBe(0);
  const outcomes = rows.map(({ name, outcome, message }) => `${name} ${outcome}: ${message?.split('\n')[0]}`);
  expect(outcomes).toHaveLength(2);
  expect(outcomes.find((line) => line.startsWith('endless'))).toMatch(/failed/);
  expect(await statuses('cancelled', 'endless')).toEqual(['1 failed']);
}, 60_000);

test('an import that was cancelled or killed in a hook waits for that hook, and runs none twice', async () => {
  const jobPath = (namespace: string) => `/apis/batch/v1/namespaces/${namespace}/jobs/endless-endless`;
  const killed = await bed.restore(team, {
    only: ['endless'],
    map: { team: 'killed' },
    runProgram: async (command, args, { env }) => {
      const helm = spawn(command, args, { env, stdio: 'ignore' });
      await waitUntilFound(jobPath('killed'));
      helm.kill('SIGKILL');
      await once(helm, 'close');
      return { exitCode: 137, stdout: '', stderr: '' };
    },
  });
  expect(killed).toMatchObject([{ outcome: 'failed' }]);
  expect(await statuses('killed', 'endless')).toEqual(['1 pending-install']);

  // The one above was cancelled in the same hook: Helm itself has heard of it, and called the release failed.
  const namespaces = ['killed', 'cancelled'];
  const uids = () =>
    Promise.all(
      namespaces.flatMap((namespace) => [
        bed.target.find(jobPath(namespace)).then((job) => job?.metadata.uid),
        configMap(namespace, 'endless-hook').then((hook) => hook?.metadata.uid),
      ]),
    );
  const before = await uids();
  expect(before).toHaveLength(new Set(before).size);
  const reporter = keepReports();
  const again = namespaces.map((namespace) =>
    bed.restore(team, { only: ['endless'], map: { team: namespace }, reporter }),
  );
  await vi.waitUntil(
    () => reporter.lines.filter((line) => line.startsWith('progress: Waiting for')).length === 2,
    20_000,
  );
  const label = (host: string) =>
    bed.target.bed.kubectl(['label', 'node', '--all', `kubernetes.io/hostname=${host}`, '--overwrite']);
  await label('nowhere');
  expect((await Promise.all(again)).flat()).toMatchObject([{ outcome: 'created' }, { outcome: 'created' }]);
  await label('target-node');
  expect(await uids()).toEqual(before);
  expect(await statuses('killed', 'endless')).toEqual(['1 deployed']);
  expect(await statuses('cancelled', 'endless')).toEqual(['1 deployed']);
  expect(reporter.lines).toContain(
    'debug: Hook Job endless-endless of killed/endless has run already: it does not run again.',
  );
  expect(reporter.lines).toContain(
    'debug: Hook ConfigMap endless-hook of cancelled/endless has run already: it does not run again.',
  );
}, 60_000);

test.each([
  { of: 'a new release', namespace: 'early', first: 1, outcome: 'created', left: ['1 deployed'] },
  {
    of: 'a release that was uninstalled',
    namespace: 'early-again',
    first: 2,
    outcome: 'updated',
    left: ['1 superseded', '2 failed', '3 deployed'],
  },
])(
  'a Helm that stops waiting for a hook early, of $of, goes on once that hook has ended',
  async ({ namespace, first, outcome, left }) => {
    const watched = watchHelm();
    const jobPath = `/apis/batch/v1/namespaces/${namespace}/jobs/endless-endless`;
    const label = (host: string) =>
      bed.target.bed.kubectl(['label', 'node', '--all', `kubernetes.io/hostname=${host}`, '--overwrite']);
    let before: KubeObject | undefined;
    await createNamespace(namespace);
    if (first > 1) {
      await bed.target.helm(`install endless ${app} -n ${namespace}`);
      await bed.target.helm(`uninstall endless -n ${namespace} --keep-history`);
    }
    const rows = await bed.restore(team, {
      only: ['endless'],
      map: { team: namespace },
      replace: true,
      runProgram: async (command, words, options) => {
        if (watched.args.length > 0) return watched.run(command, words, options);
        const patient = words.map((word, index) => (words[index - 1] === '--timeout' ? '2s' : word));
        const { stderr, ...result } = await watched.run(command, patient, options);
        expect(stderr).toContain('status: InProgress');
        expect(stderr).toContain('\ncontext deadline exceeded');
        // What Helm says and keeps when its time is not up.
        const early = (words: string) => words.replaceAll('\ncontext deadline exceeded', '');
        const record = (await bed.target.records(namespace, 'endless')).get(first);
        if (record === undefined) throw new Error('Helm has left no record.');
        const { info } = parseRelease(record);
        const body = await recordToObject(withStatus(record, 'failed', early(info.description ?? '')));
        await bed.target.cluster.json({ method: 'PUT', path: secretPath(namespace, 'endless', first), body });
        before = await bed.target.find(jobPath);
        await label('nowhere');
        return { ...result, stderr: early(stderr) };
      },
    });
    await label('target-node');
    expect(rows).toMatchObject([{ outcome }]);
    expect(watched.args.map(([command]) => command)).toEqual(['install', 'install']);
    expect((await bed.target.find(jobPath))?.metadata.uid).toBe(before?.metadata.uid);
    expect(await statuses(namespace, 'endless')).toEqual(left);
  },
  60_000,
);

async function waitUntilFound(path: string): Promise<void> {
  while ((await bed.target.find(path)) === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe('before anything is changed', () => {
  test('two releases that would become one are refused', async () => {
    const both = new Map([...team, ...many]);
    const twin = await withRecord(team, 'web', 3, (record) => ({ ...record, namespace: 'other' }));
    for (const [path, bytes] of twin) if (path.includes('/other/')) both.set(path, bytes);
    const before = await everything();
    const map = { team: 'one', other: 'one' };
    await expect(bed.restore(both, { only: ['web'], map })).rejects.toMatchObject({
      code: 'INPUT',
      message: 'namespace-map: release web of other and of team would both become one/web.',
    });
    expect(await everything()).toEqual(before);
  });

  test('a record that gets too large is refused', async () => {
    let noise = '';
    for (let seed = 1; noise.length < 1_500_000; seed = (seed * 48_271) % 2_147_483_647) noise += seed.toString(36);
    const tooLarge = await withRecord(team, 'web', 2, (record) => ({
      ...record,
      json: record.json.replace('text: \\"two', `text: \\"${noise}`),
    }));
    const before = await everything();
    await expect(bed.restore(tooLarge, { only: ['web'], map: { team: 'large' } })).rejects.toMatchObject({
      code: 'RECORD_INVALID',
      message: expect.stringMatching(/^Revision 2 of release large\/web has \d+ bytes packed, more than the 1048576/),
    });
    expect(await everything()).toEqual(before);
  });
});

/** The snapshot with one record changed; one whose place changes is added. */
async function withRecord(
  files: Snapshot,
  name: string,
  revision: number,
  change: (record: ReleaseRecord) => ReleaseRecord,
): Promise<Snapshot> {
  const record = (await bed.source.records('team', name)).get(revision);
  if (record === undefined) throw new Error(`There is no revision ${revision} of ${name}.`);
  const changed = change(record);
  const entry = recordToEntry(changed, Buffer.from(changed.json));
  return new Map([...files, [entry.path, await readBody(entry)]]);
}
