import { describe, expect, it } from 'vitest';
import { changePath } from '../../../src/releases/manager-path.ts';
import { decodeRecord } from '../../../src/releases/record.ts';
import { makeJson, makeObject } from './make-record.ts';

async function change(manifest: string, fields: object = {}, from = ['s3://b/p']) {
  const json = JSON.stringify({ ...JSON.parse(makeJson({ manifest })), ...fields });
  const record = await decodeRecord(makeObject({ json }));
  const changed = changePath(record, { from, to: 's3://b/new', manager: ['ops/a', 'live/a'] });
  return { count: changed.count, release: JSON.parse(changed.record.json) };
}

describe('a path', () => {
  it.each([
    ['- --path=s3://b/p\n', '- --path=s3://b/new\n'],
    ['- --path\n- s3://b/p', '- --path\n- s3://b/new'],
    ['args: ["--path", "s3://b/p"]', 'args: ["--path", "s3://b/new"]'],
    ['args: [--path,s3://b/p]', 'args: [--path,s3://b/new]'],
    ["value: 's3://b/p/'", "value: 's3://b/new'"],
    ['config: "{\\"path\\":\\"s3://b/p\\"}"', 'config: "{\\"path\\":\\"s3://b/new\\"}"'],
  ])('that is a whole value is another: %s', async (before, after) => {
    const { count, release } = await change(before);
    expect(release.manifest).toBe(after);
    expect(count).toBe(1);
  });

  it.each(['--path=s3://b/p2', '--path=s3://b/p/q', '--path=xs3://b/p', 'see s3://b/p.'])(
    'that is a part of something else stays: %s',
    async (text) => {
      expect((await change(text)).count).toBe(0);
      expect((await change(text)).release.manifest).toBe(text);
    },
  );

  it('is not changed twice where the new one begins like the old one', async () => {
    const { release } = await change('- s3://b\n', {}, ['s3://b/', 's3://b']);
    expect(release.manifest).toBe('- s3://b/new\n');
  });

  it('of a folder is changed, and what is in it stays', async () => {
    const { release } = await change('- --path=/data/x\nmountPath: /data\n', {}, ['/data/x']);
    expect(release.manifest).toBe('- --path=s3://b/new\nmountPath: /data\n');
  });
});

it('changes hooks too', async () => {
  const hooks = [{ name: 'h', path: 'h.yaml', manifest: '- s3://b/p\n' }];
  expect((await change('', { hooks })).release.hooks[0].manifest).toBe('- s3://b/new\n');
});

it.each([
  [null, { path: 's3://b/new' }],
  [{ other: 1 }, { other: 1, path: 's3://b/new' }],
  [{ path: null }, { path: 's3://b/new' }],
])('sets the value over %j', async (config, values) => {
  expect((await change('- s3://b/p', { config })).release.config).toEqual(values);
});
