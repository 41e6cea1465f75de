import { expect, it } from 'vitest';
import { readContent } from '../../../src/modes/content.ts';

const RELEASES = ['_snapshot.json', '_releases/shop/web/1.json', '_releases/shop-test/web/1.json'];
const RESOURCES = ['_snapshot.json', 'clusterroles.json', 'shop/configmaps.json', 'infra/secrets.json'];
const BOTH = [...RELEASES, ...RESOURCES.slice(1)];

it.each([
  [RELEASES, { releases: true, resources: false, vms: false }],
  [[...RELEASES, 'customresourcedefinitions.json'], { releases: true, resources: false, vms: false }],
  [RESOURCES, { releases: false, resources: true, vms: false }],
  [BOTH, { releases: true, resources: true, vms: false }],
  [['_snapshot.json'], { releases: false, resources: false, vms: false }],
])('takes all there is in %j when nothing is asked for', (paths, content) => {
  expect(readContent(paths, [], undefined, [])).toEqual(content);
});

it('takes only what is asked for', () => {
  expect(readContent(BOTH, [], ['resources'], [])).toEqual({ releases: false, resources: true, vms: false });
});

it('refuses to import what the snapshot does not hold', () => {
  expect(() => readContent(RELEASES, [], ['releases', 'resources'], [])).toThrow(
    expect.objectContaining({
      code: 'INPUT',
      message: 'include names resources, and the snapshot has none.',
      hint: 'It has releases.',
    }),
  );
});

it('refuses a namespace that the snapshot has nothing of, and names the likely one', () => {
  expect(() => readContent(BOTH, [], undefined, ['shop', 'shpo'])).toThrow(
    expect.objectContaining({
      code: 'INPUT',
      message: 'namespace: "shpo" matches nothing in the snapshot. It has: infra, shop, shop-test.',
      hint: 'Did you mean shop?',
    }),
  );
});

it('looks for a namespace only in what is asked for', () => {
  expect(() => readContent(BOTH, [], ['releases'], ['infra'])).toThrow('It has: shop, shop-test.');
  expect(readContent(BOTH, [], ['resources'], ['infra'])).toEqual({ releases: false, resources: true, vms: false });
});

it('knows the namespace that is called like the manifest', () => {
  expect(readContent(['_snapshot.json', 'manifest_/pods.json'], [], undefined, ['manifest'])).toEqual({
    releases: false,
    resources: true,
    vms: false,
  });
});

it('says so when the snapshot has nothing of any namespace', () => {
  expect(() => readContent(['_snapshot.json', 'clusterroles.json'], [], undefined, ['shop'])).toThrow(
    'namespace: "shop" matches nothing in the snapshot. It has nothing of any namespace.',
  );
});

it('takes virtual machines where there are some', () => {
  expect(readContent(['_snapshot.json', '_vms.json'], ['shop'], undefined, [])).toEqual({
    releases: false,
    resources: false,
    vms: true,
  });
});

it('refuses to import virtual machines where there are none, naming what there is', () => {
  expect(() => readContent(BOTH, [], ['vms'], [])).toThrow(
    expect.objectContaining({
      message: 'include names vms, and the snapshot has none.',
      hint: 'It has releases and resources.',
    }),
  );
});
