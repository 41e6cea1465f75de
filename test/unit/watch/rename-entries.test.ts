import { expect, it } from 'vitest';
import { type Entry, entryOf, readBody } from '../../../src/archive/entry.ts';
import { parseSnapshot, snapshotEntry } from '../../../src/archive/snapshot.ts';
import { renameEntries } from '../../../src/watch/rename-entries.ts';

it('another id and time are all that changes', async () => {
  const snapshot = {
    id: '26-01-31_12-00-00',
    created: new Date('2026-01-31T12:00:00Z'),
    tool: { name: 'transship', version: '0.1.0' },
    cluster: { uid: 'u', version: 'v1.35.4', context: 'stage' },
    scope: { namespaces: ['*'], include: ['resources'], history: 'all' as const },
    manager: { cluster: 'u', namespace: 'ops', release: 'keeper', path: '/backups' },
    kinds: [
      { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true, versions: ['v1'] },
      { group: 'apps', version: 'v1', kind: 'Deployment', plural: 'deployments', namespaced: true, versions: ['v1'] },
    ],
  };
  const other = entryOf('shop/secrets.json', '{}\n');
  async function* entries(): AsyncGenerator<Entry> {
    yield snapshotEntry(snapshot);
    yield other;
  }
  const id = { id: '26-01-31_12-00-01', created: new Date('2026-01-31T12:00:01Z') };
  const renamed: Entry[] = [];
  for await (const entry of renameEntries(entries(), id)) renamed.push(entry);
  const [first, ...rest] = renamed;
  if (first === undefined) throw new Error('There is no entry.');
  const body = await readBody(first);
  expect(parseSnapshot(body)).toEqual({ ...snapshot, ...id });
  expect(body.byteLength).toBe(first.size);
  expect(rest).toEqual([other]);
});
