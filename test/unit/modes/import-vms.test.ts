import { expect, it } from 'vitest';
import { chooseParts } from '../../../src/modes/import-vms.ts';
import type { VmPart } from '../../../src/vms/part-list.ts';

const part = (namespace: string, name: string): VmPart => ({
  kind: 'vm',
  namespace,
  name,
  file: `transship-26-01-31_12-00-00.vms/${namespace}.${name}.tar.xz`,
  size: 1,
  digest: `sha256:${'0'.repeat(64)}`,
  compression: 'xz',
  encrypted: false,
  volumes: [],
});
const PARTS = [part('shop', 'db'), part('shop', 'web-1'), part('test', 'db')];
const chosen = (...choice: Parameters<typeof chooseParts>[1][]) =>
  choice.flatMap((one) => chooseParts(PARTS, one)).map(({ namespace, name }) => `${namespace}/${name}`);

it('takes all machines of a snapshot when none are named', () => {
  expect(chosen({})).toEqual(['shop/db', 'shop/web-1', 'test/db']);
});

it('takes machines by name, by glob, and by namespace and name', () => {
  expect(chosen({ vms: ['web-*'] })).toEqual(['shop/web-1']);
  expect(chosen({ vms: ['db'] })).toEqual(['shop/db', 'test/db']);
  expect(chosen({ vms: ['test/db', 'web-1'] })).toEqual(['shop/web-1', 'test/db']);
});

it('takes only machines of the namespaces that are named', () => {
  expect(chosen({ vms: ['db'], namespace: ['te*'] })).toEqual(['test/db']);
});

it('refuses a name that is none, and says the likely one', () => {
  expect(() => chosen({ vms: ['web-2'] })).toThrow(
    expect.objectContaining({
      code: 'INPUT',
      message: 'vms: "web-2" matches no virtual machine of the snapshot. It has: db, web-1.',
      hint: 'Did you mean web-1?',
    }),
  );
});
