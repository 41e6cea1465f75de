import { describe, expect, it } from 'vitest';
import { parseInputs } from '../../../src/inputs.ts';
import { createGuarding } from '../../../src/modes/guarding.ts';
import type { BringInputs } from '../../../src/modes/importing.ts';
import { keepWarnings } from '../releases/make-record.ts';

const manager = { cluster: 'c1', namespace: 'ops', release: 'transship', path: 's3://backups/p' };

function inputs(raw: Record<string, string>): BringInputs {
  const parsed = parseInputs({ mode: 'import', ...raw }, 'cli');
  if (parsed.mode !== 'import' && parsed.mode !== 'promote') throw new Error('It is an import.');
  return parsed;
}

describe('manager-path', () => {
  it.each(['s3://backups/p', 's3://backups/p/', 's3://backups//p'])(
    '%s is refused: the manager writes there',
    (path) => {
      expect(() => createGuarding({ manager }, inputs({ path: 's3://backups/p', 'manager-path': path }))).toThrow(
        `manager-path: ${JSON.stringify(path)} is where the manager that wrote the snapshot writes already.`,
      );
    },
  );

  it.each(['green', './green', 's3://', 's3://backups/a b', 's3://backups/"', '/data: x', 's3://backups/x:'])(
    '%s is refused: it is no path for a manager',
    (path) => {
      expect(() => createGuarding({}, inputs({ path: 's3://backups/p', 'manager-path': path }))).toThrow(
        expect.objectContaining({ code: 'INPUT' }),
      );
    },
  );

  it.each(['s3://backups/green', '/data/green'])('%s is taken', (path) => {
    const { releases } = createGuarding({ manager }, inputs({ path: 's3://backups/p', 'manager-path': path }));
    expect(releases.newPath).toBe(path);
  });
});

describe('where the snapshot is read from', () => {
  it.each<[Record<string, string>, string | undefined]>([
    [{ path: 's3://backups/p' }, 's3://backups/p'],
    [{ path: 'name', backend: 'artifact' }, undefined],
    [{ mode: 'promote', 'target-context': 'prod' }, undefined],
    [{ mode: 'promote', 'target-context': 'prod', path: 's3://backups/p' }, 's3://backups/p'],
  ])('%j', (raw, place) => {
    expect(createGuarding({}, inputs(raw)).releases.place).toBe(place);
  });
});

describe('plain objects', () => {
  const deployment = (name: string, release: string) => ({
    ...{ apiVersion: 'apps/v1', kind: 'Deployment' },
    metadata: {
      ...{ name, namespace: 'ops' },
      annotations: { 'meta.helm.sh/release-name': release, 'meta.helm.sh/release-namespace': 'ops' },
    },
  });

  it('of the manager are left out, and told once however often they are read', () => {
    const guarding = createGuarding({ manager }, inputs({ path: 's3://backups/p' }));
    const reporter = keepWarnings();
    for (const _ of [1, 2]) expect(guarding.leavesOut(deployment('a', 'transship'))).toBe(true);
    expect(guarding.leavesOut(deployment('b', 'web'))).toBe(false);
    guarding.tell(reporter);
    expect(reporter.warnings).toEqual([
      'Left out: 1 object of release transship in namespace ops of cluster c1, for it is the manager that wrote this snapshot, and two would keep s3://backups/p up to date.',
    ]);
  });

  it('all come where there is no manager', () => {
    const guarding = createGuarding({}, inputs({ path: 's3://backups/p' }));
    const reporter = keepWarnings();
    expect(guarding.leavesOut(deployment('a', 'transship'))).toBe(false);
    guarding.tell(reporter);
    expect(reporter.warnings).toEqual([]);
  });
});
