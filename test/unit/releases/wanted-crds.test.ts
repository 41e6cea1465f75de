import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { HelmRelease } from '../../../src/releases/record.ts';
import { readFacts } from '../../../src/releases/release-facts.ts';
import { addChartCrds, type CrdShare, chooseCrds, readCrdShare } from '../../../src/releases/wanted-crds.ts';

const crd = (plural: string, kind: string, more = '') => `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: ${plural}.example.com }
spec: { group: example.com, names: { plural: ${plural}, kind: ${kind} }${more} }
`;
const gear = 'apiVersion: example.com/v1\nkind: Gear\nmetadata: { name: one }\n';

function release(fields: Partial<HelmRelease>): HelmRelease {
  return { name: 'web', version: 1, info: {}, ...fields };
}

function share(fields: Partial<HelmRelease>, noHooks = false): CrdShare {
  return readCrdShare(release(fields), 'shop', readFacts(release(fields), 'shop'), noHooks);
}

const file = (name: string, text: string) => ({ name, data: Buffer.from(text).toString('base64') });
const object = (text: string) => {
  const known = new Map<string, KubeObject>();
  addChartCrds(known, release({ chart: { files: [file('crds/a.yaml', text)] } }));
  return [...known.values()];
};

describe('addChartCrds', () => {
  test('finds every CRD in the crds folder of the chart, whatever is around it', () => {
    const known = new Map<string, KubeObject>();
    const files = [
      file('crds/two.yaml', `# a comment\n---\n${crd('gears', 'Gear')}---\n${crd('cogs', 'Cog')}---\n`),
      file('crds/deep/one.json', JSON.stringify(object(crd('pins', 'Pin'))[0])),
      file('crds/README.md', crd('not', 'Not')),
      file('docs/crds/other.yaml', crd('not', 'Not')),
      file('crds/config.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: not }\n'),
      file('crds/broken.yaml', '{'),
      { name: 'crds/empty.yaml' },
    ];
    addChartCrds(known, release({ chart: { files } }));
    expect([...known.keys()].sort()).toEqual(['cogs.example.com', 'gears.example.com', 'pins.example.com']);
  });

  test('leaves what travelled, and what another chart has brought, as it is', () => {
    const [travelled] = object(crd('gears', 'Gear', ', scope: Cluster'));
    if (travelled === undefined) throw new Error('There is one.');
    const known = new Map([[travelled.metadata.name, travelled]]);
    addChartCrds(known, release({ chart: { files: [file('crds/a.yaml', crd('gears', 'Gear'))] } }));
    expect([...known.values()]).toEqual([travelled]);
  });
});

describe('chooseCrds', () => {
  const known = object(`${crd('gears', 'Gear')}---\n${crd('cogs', 'Cog')}`);
  const chosen = (...shares: CrdShare[]) =>
    chooseCrds(known, shares).map(({ object: { metadata }, owner }) => [metadata.name, owner?.name]);

  test('takes all that no release creates', () => {
    expect(chosen(share({ manifest: gear }))).toEqual([
      ['gears.example.com', undefined],
      ['cogs.example.com', undefined],
    ]);
  });

  test('leaves to a release what it creates and others use', () => {
    expect(chosen(share({ manifest: crd('gears', 'Gear') }), share({ manifest: gear }))).toEqual([
      ['cogs.example.com', undefined],
    ]);
  });

  test('takes what a release both creates and uses, as its own', () => {
    const [first] = chooseCrds(known, [share({ manifest: `${crd('gears', 'Gear')}---\n${gear}` })]);
    expect(first?.owner).toMatchObject({ name: 'web', namespace: 'shop' });
  });

  test('leaves to a release what its hooks create, unless hooks do not run', () => {
    const hooks = [
      { name: 'crd', path: 'a/templates/crd.yaml', manifest: crd('gears', 'Gear'), events: ['pre-install'] },
    ];
    expect(chosen(share({ hooks }))).toEqual([['cogs.example.com', undefined]]);
    expect(chosen(share({ hooks }, true))).toHaveLength(2);
    expect(chosen(share({ hooks: hooks.map((hook) => ({ ...hook, events: ['test'] })) }))).toHaveLength(2);
  });
});
