import { expect, test } from 'vitest';
import type { Clock } from '../../../src/cluster/clock.ts';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { waitUntilImported } from '../../../src/vms/clone-progress.ts';
import { kindOf, objectOf } from '../resources/target-bed.ts';
import { condition, fakeClock, fakeKubevirt, KUBEVIRT_KINDS, listeningReporter } from './fake-kubevirt.ts';

const KINDS = [...KUBEVIRT_KINDS, kindOf('cdi.kubevirt.io/v1beta1 datavolumes DataVolume')];
const CLAIM = objectOf('v1 PersistentVolumeClaim shop/web-root-abcde', { status: { phase: 'Bound' } });
const DATA_VOLUME = objectOf('cdi.kubevirt.io/v1beta1 DataVolume shop/web-root-abcde');
const VOLUME = { name: 'web-root-abcde', source: 'root', url: 'https://export.example.com/volumes/root/disk.img' };
const DONE = { phase: 'Succeeded', progress: '100.0%' };

const importing = (progress: string, restartCount = 0) => ({
  phase: 'ImportInProgress',
  progress,
  restartCount,
  conditions: [condition('Running', 'True', 'Pod is running')],
});
const broken = (restartCount: number, message: string) => ({
  phase: 'ImportInProgress',
  progress: 'N/A',
  restartCount,
  conditions: [condition('Running', 'False', 'Error', message)],
});

function wait(
  statuses: readonly unknown[],
  more: { refresh?: () => Promise<void>; clock?: Clock; signal?: AbortSignal } = {},
) {
  const cluster = fakeKubevirt([CLAIM, DATA_VOLUME], { kinds: KINDS });
  cluster.play('DataVolume', ...statuses);
  const clock = fakeClock();
  const reporter = listeningReporter();
  const options = { namespace: 'shop', what: 'VM shop/web', timeout: 60_000, longest: 600_000, reporter, clock };
  const result = waitUntilImported(cluster, cluster.discovery, [VOLUME], {
    ...options,
    signal: new AbortController().signal,
    refresh: async () => {},
    ...more,
  });
  return { result, clock, reporter };
}

test('it shows how far CDI is, and returns the claim when it is filled', async () => {
  const { result, reporter } = wait([{}, importing('12.34%'), importing('99.9%'), DONE]);
  const claims: Map<string, KubeObject> = await result;
  expect([...claims].map(([source, { metadata }]) => [source, metadata.name])).toEqual([['root', 'web-root-abcde']]);
  expect(reporter.lines).toEqual([
    'progress: VM shop/web: root is awaited',
    'progress: VM shop/web: root 12.3 %',
    'progress: VM shop/web: root 99.9 %',
  ]);
});

test('an import that breaks is told, and what CDI reads with is brought up to date', async () => {
  let refreshed = 0;
  const refresh = async () => {
    refreshed += 1;
  };
  const said = 'Unable to connect to http data source: x509: certificate signed by unknown authority';
  const { result, reporter } = wait([importing('5%'), broken(1, said), DONE], { refresh });
  await result;
  expect(refreshed).toBe(1);
  expect(reporter.lines).toContain(`info: VM shop/web: the import of root broke, CDI tries again: ${said}.`);
});

test('tries that never come further than the ones before end it, with what CDI last said and what to do', async () => {
  const said = 'expected status code 200, got 401. Status: 401 Unauthorized';
  const statuses = Array.from({ length: 60 }, (_, place) =>
    place % 2 === 0 ? importing('5%', place / 2) : broken((place + 1) / 2, said),
  );
  const { result, clock } = wait(statuses);
  await expect(result).rejects.toMatchObject({
    code: 'IMPORT_FAILED',
    message: expect.stringMatching(
      /^VM shop\/web: the volume root could not be copied into web-root-abcde; nothing has come for 6\d s, after \d+ tries: expected status code 200, got 401\. Status: 401 Unauthorized\.$/,
    ),
    hint: expect.stringContaining('export.example.com does not take the token'),
  });
  expect(clock.now()).toBeLessThan(70_000);
});

test('a pod that runs on is given longer, for CDI ends one that gets no bytes itself', async () => {
  const still = Array.from({ length: 100 }, () => importing('N/A'));
  const { result, clock } = wait([...still, DONE]);
  await result;
  expect(clock.now()).toBeGreaterThan(120_000);
});

test('but not for ever', async () => {
  const { result } = wait([importing('N/A')]);
  await expect(result).rejects.toThrow(/nothing has come for 60\d s \(DataVolume ImportInProgress; claim Bound\)\.$/);
});

test('an import that CDI gives up on fails at once', async () => {
  const status = { ...broken(1, 'checksum mismatch'), phase: 'Failed' };
  const { result, clock } = wait([status]);
  await expect(result).rejects.toThrow('CDI gave up: checksum mismatch.');
  expect(clock.now()).toBe(0);
});

test('that the source is gone for good ends it', async () => {
  const refresh = async () => {
    throw new Error('The export is gone.');
  };
  await expect(wait([broken(1, 'expected status code 200, got 404')], { refresh }).result).rejects.toThrow(
    'The export is gone.',
  );
});

test('a claim that is not bound yet is not done', async () => {
  const cluster = fakeKubevirt([{ ...CLAIM, status: { phase: 'Pending' } }, DATA_VOLUME], { kinds: KINDS });
  cluster.play('DataVolume', DONE);
  cluster.play('PersistentVolumeClaim', { phase: 'Pending' }, { phase: 'Pending' }, { phase: 'Bound' });
  const clock = fakeClock();
  await waitUntilImported(cluster, cluster.discovery, [VOLUME], {
    ...{
      namespace: 'shop',
      what: 'VM shop/web',
      timeout: 60_000,
      longest: 600_000,
      reporter: listeningReporter(),
      clock,
    },
    signal: new AbortController().signal,
    refresh: async () => {},
  });
  expect(clock.sleeps).toHaveLength(2);
});

test('a cancel ends it', async () => {
  const signal = AbortSignal.abort();
  await expect(wait([importing('1%')], { signal }).result).rejects.toMatchObject({ code: 'CANCELLED' });
});
