import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Bed, prepareBed } from './bed.ts';
import { type GuideBed, readGuide, type Section, startGuide } from './guide.ts';

const WEB = resolve(import.meta.dirname, '../fixtures/charts/random');
const WITHIN = { timeout: 120_000, interval: 500 };

let bed: Bed;

beforeAll(async () => {
  bed = await prepareBed();
});

afterAll(() => bed?.close());

/** A release of two revisions, and an object of nobody's. */
async function fillShop(guide: GuideBed, context: string): Promise<void> {
  await guide.sh(`kubectl --context ${context} create namespace shop
    helm --kube-context ${context} install web ${WEB} -n shop
    helm --kube-context ${context} upgrade web ${WEB} -n shop
    kubectl --context ${context} -n shop create configmap prices --from-literal=tea=3`);
}

function sectionOf(sections: readonly Section[], title: string): Section | undefined {
  return sections.find((section) => section.title === title);
}

const historyOf = (guide: GuideBed, context: string) =>
  guide.sh(`helm --kube-context ${context} history web -n shop -o json`);

const priceIn = (guide: GuideBed, context: string) =>
  guide.sh(`kubectl --context ${context} -n shop get configmap prices -o jsonpath={.data.tea}`);

/** Ids of the snapshots at a path, newest first. */
async function snapshotsAt(guide: GuideBed, path: string): Promise<string[]> {
  const said = await guide.sh(`transship list --path ${path} --output json 2>/dev/null`);
  const { snapshots }: { snapshots: readonly { readonly id: string; readonly state: string }[] } = JSON.parse(said);
  return snapshots.filter(({ state }) => state === 'complete').map(({ id }) => id);
}

// Each waits much of its time, for watches to settle and for a lease to run out.
describe.concurrent('every command of the guide works as it stands there', () => {
  it('of disaster recovery: a is watched and lost, b gets all of it, and is watched at the same path', async () => {
    const guide = await startGuide(bed, ['a', 'b']);
    try {
      const sections = await readGuide('disaster-recovery.md');
      await fillShop(guide, 'a');
      expect(await guide.follow(sectionOf(sections, 'While all is well'))).toContain('is whole');
      const before = await historyOf(guide, 'a');
      const [first = ''] = await snapshotsAt(guide, 's3://backups/shop');
      await guide.sh('kubectl --context a -n shop patch configmap prices -p \'{"data":{"tea":"4"}}\'');
      await vi.waitUntil(async () => (await snapshotsAt(guide, 's3://backups/shop')).length > 1, WITHIN);
      await guide.lose('a');

      const said = await guide.follow(sectionOf(sections, 'The cluster is lost'));
      expect(said).toMatch(/transship.*(manager|skipped)/);
      expect(await historyOf(guide, 'b')).toBe(before);
      expect(await priceIn(guide, 'b')).toBe('4');
      expect(await guide.sh('helm --kube-context b list -A -q')).toBe('web\n');

      await guide.follow(sectionOf(sections, 'The new cluster is watched'));
      await guide.sh('kubectl --context b -n shop patch configmap prices -p \'{"data":{"tea":"5"}}\'');
      const known = (await snapshotsAt(guide, 's3://backups/shop')).length;
      await vi.waitUntil(async () => (await snapshotsAt(guide, 's3://backups/shop')).length > known, WITHIN);
      expect(await snapshotsAt(guide, 's3://backups/shop')).toContain(first);
    } finally {
      await guide.close();
    }
  });

  it('of blue and green: green gets what blue has and a manager of its own, and blue retires', async () => {
    const guide = await startGuide(bed, ['blue', 'green']);
    try {
      const sections = await readGuide('blue-green.md');
      await fillShop(guide, 'blue');
      await guide.follow(sectionOf(sections, 'Blue is watched'));
      const before = await historyOf(guide, 'blue');

      await guide.follow(sectionOf(sections, 'Green gets what blue has'));
      expect(await historyOf(guide, 'green')).toBe(before);
      expect(await guide.sh('helm --kube-context green get values transship -n transship -o json')).toContain(
        '"path":"s3://backups/green"',
      );
      expect(await snapshotsAt(guide, 's3://backups/green')).toHaveLength(1);

      await guide.sh('kubectl --context blue -n shop patch configmap prices -p \'{"data":{"tea":"4"}}\'');
      await vi.waitUntil(async () => (await snapshotsAt(guide, 's3://backups/blue')).length > 1, WITHIN);
      await guide.follow(sectionOf(sections, 'The switch'));
      expect(await priceIn(guide, 'green')).toBe('4');

      await guide.follow(sectionOf(sections, 'Blue retires'));
      expect(await snapshotsAt(guide, 's3://backups/blue')).toHaveLength(1);
    } finally {
      await guide.close();
    }
  });
});
