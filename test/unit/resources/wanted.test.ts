import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { createKnownKinds } from '../../../src/resources/known-kinds.ts';
import { createFilter } from '../../../src/resources/selection.ts';
import { createReader, type Wanted } from '../../../src/resources/wanted.ts';
import type { Transforms } from '../../../src/transforms/transforms.ts';
import { transformsOf } from '../transforms/transform-objects.ts';
import { discoveryOf, filesOf, KINDS, objectOf } from './target-bed.ts';

async function read(
  lists: Record<string, readonly KubeObject[]>,
  transforms: Transforms,
  exclude: readonly string[] = [],
): Promise<Wanted[]> {
  const readWanted = createReader({
    files: filesOf(lists),
    known: createKnownKinds([], [], discoveryOf(KINDS)),
    filter: createFilter({ exclude, kinds: KINDS, alsoReleases: false, where: 'the snapshot' }),
    takesNamespace: undefined,
    namespaceMap: transforms.namespaces,
    transforms,
    serve: () => undefined,
    otherCrds: new Set(),
    keepsStatus: () => false,
  });
  const found: Wanted[] = [];
  for (const path of Object.keys(lists)) for await (const wanted of readWanted(path)) found.push(wanted);
  return found;
}

const app = objectOf('v1 ConfigMap app', { data: { url: 'http://api.stage.example' } });

describe('the objects of a snapshot', () => {
  it('are transformed in the namespace of the snapshot, and mapped then', async () => {
    const text =
      'version: 1\ntransforms:\n  - select: { namespaces: [shop] }\n    replace: { text: stage, with: prod }\n';
    const transforms = await transformsOf({ file: { path: 't', text }, namespaceMap: { shop: 'live' } });
    const [wanted] = await read({ 'shop/configmaps.json': [app] }, transforms);
    expect(wanted?.object).toEqual(objectOf('v1 ConfigMap live/app', { data: { url: 'http://api.prod.example' } }));
    expect(wanted?.from).toBe('shop');
    expect(transforms.unused()).toEqual([]);
  });

  it('are the same each time they are read', async () => {
    const transforms = await transformsOf({ replaceText: { stage: 'stage-stage' } });
    const lists = { 'shop/configmaps.json': [app] };
    expect(await read(lists, transforms)).toEqual(await read(lists, transforms));
  });

  it('that are left out are not transformed', async () => {
    const transforms = await transformsOf({ replaceText: { stage: 'prod' } });
    expect(await read({ 'shop/configmaps.json': [app] }, transforms, ['configmaps'])).toEqual([]);
    expect(transforms.unused()).toEqual(['replace-text: "stage"']);
  });

  it('stop the import where a transform can not be applied, by name', async () => {
    const text = 'version: 1\ntransforms:\n  - jsonPatch: [{ op: remove, path: /data/x }]\n';
    const transforms = await transformsOf({ file: { path: 't.yaml', text } });
    await expect(read({ 'shop/configmaps.json': [app] }, transforms)).rejects.toThrow(
      "transforms[0] (t.yaml:3:5) can't be applied to ConfigMap shop/app: operation 1 (remove /data/x) finds nothing at /data/x.",
    );
  });
});
