import { describe, expect, test } from 'vitest';
import { readOwned } from '../../../src/releases/owned.ts';

const release = {
  name: 'web',
  version: 1,
  info: {},
  manifest: [
    '---\n# Source: web/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n',
    '---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: other\n',
    '---\n# only a comment\n',
  ].join(''),
  hooks: [
    {
      name: 'migrate',
      path: 'web/templates/job.yaml',
      manifest: 'apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n',
    },
  ],
};

describe('readOwned', () => {
  test('names the objects of manifest and hooks, in the release namespace unless they say another', () => {
    expect(readOwned(release, 'shop')).toEqual([
      { group: '', kind: 'ConfigMap', namespace: 'shop', name: 'settings' },
      { group: 'apps', kind: 'Deployment', namespace: 'other', name: 'web' },
      { group: 'batch', kind: 'Job', namespace: 'shop', name: 'migrate' },
    ]);
  });

  test('is empty for a release without manifest', () => {
    expect(readOwned({ name: 'web', version: 1, info: {} }, 'shop')).toEqual([]);
  });
});
