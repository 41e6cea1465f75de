import { expect, test } from 'vitest';
import type { KubeObject } from '../../../src/cluster/cluster.ts';
import { createRandom, IMPORTING, noteOn, withNote } from '../../../src/vms/restore-note.ts';

const VM: KubeObject = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'db' } };

test('a note is read back from the object it was put on', () => {
  const note = { seed: 'abc', plan: 'p', volumes: { root: 'uid-1' }, made: { '/api/v1/x': 'uid-2' } };
  expect(noteOn(withNote(VM, note))).toEqual(note);
  expect(noteOn(VM)).toBeUndefined();
});

test('a note that somebody has changed still says that an import is under way, but not which', () => {
  for (const text of ['', '[]', '{"seed":1}', 'null']) {
    const changed = { ...VM, metadata: { name: 'db', annotations: { [IMPORTING]: text } } };
    expect(noteOn(changed)).toMatchObject({ plan: '', volumes: {}, made: {} });
  }
});

test('made-up names are the same for the same seed, and differ from each other', () => {
  const [one, other] = [createRandom('seed'), createRandom('seed')];
  const names = [one(), one(), one()];
  expect([other(), other(), other()]).toEqual(names);
  expect(new Set(names).size).toBe(3);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]{5}$/);
  expect(createRandom('other')()).not.toBe(names[0]);
});
