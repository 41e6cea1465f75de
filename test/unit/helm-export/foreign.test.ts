import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { entryOf } from '../../../src/archive/entry.ts';
import { parseSnapshot } from '../../../src/archive/snapshot.ts';
import { freezeChart } from '../../../src/releases/frozen-chart.ts';
import { parseRelease } from '../../../src/releases/record.ts';
import { entryToRecord } from '../../../src/releases/record-entry.ts';
import { type Fields, helm2File } from '../../helpers/helm2-file.ts';
import { CREATED, readFile } from './helpers.ts';

const at = (seconds: number): Fields => [[1, seconds]];
const HOOK =
  'apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations:\n    "helm.sh/hook": pre-install\n';
const MANIFEST = '\n---\n# Source: shop/templates/cm.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop\n';

const RELEASE: Fields = [
  [1, 'shop'],
  [
    2,
    [
      [
        1,
        [
          [1, 1],
          [3, 'RESOURCES: none'],
          [4, 'Enjoy.\n'],
          [
            5,
            [
              [
                3,
                [
                  [1, 'shop-test'],
                  [2, 2],
                  [4, at(1_500_000_010)],
                ],
              ],
            ],
          ],
        ],
      ],
      [2, at(1_500_000_000)],
      [
        3,
        [
          [1, 1_500_000_001],
          [2, 5_000_000],
        ],
      ],
      [5, 'Install complete'],
    ],
  ],
  [
    3,
    [
      [
        1,
        [
          [1, 'shop'],
          [4, '0.1.0'],
          [5, 'A shop'],
          [
            7,
            [
              [1, 'Ann'],
              [2, 'ann@example.com'],
            ],
          ],
          [13, '1.0'],
          [
            16,
            [
              [1, 'k'],
              [2, 'v'],
            ],
          ],
        ],
      ],
      [
        2,
        [
          [1, 'templates/cm.yaml'],
          [2, 'kind: ConfigMap'],
        ],
      ],
      [
        3,
        [
          [
            1,
            [
              [1, 'redis'],
              [4, '9.9.9'],
            ],
          ],
          [
            2,
            [
              [1, 'templates/r.yaml'],
              [2, 'x'],
            ],
          ],
        ],
      ],
      [4, [[1, '# the defaults\nreplicas: 1\nenabled: yes\nwhen: 2001-12-14\n']]],
      [
        5,
        [
          [1, 'README.md'],
          [2, '# shop'],
        ],
      ],
    ],
  ],
  [4, [[1, 'replicas: 0o14\nbig: 12345678901234567890\nmap: {a: on}\n']]],
  [5, MANIFEST],
  [
    6,
    [
      [1, 'migrate'],
      [2, 'Job'],
      [3, 'shop/templates/migrate.yaml'],
      [4, HOOK],
      [5, 1],
      [5, 5],
      [7, 3],
      [8, new Uint8Array([0, 2])],
    ],
  ],
  [
    6,
    [
      [1, 'shop-test'],
      [2, 'Pod'],
      [3, 'shop/templates/test.yaml'],
      [4, HOOK],
      [5, new Uint8Array([9, 10])],
      [8, 1],
    ],
  ],
  [7, 2],
  [8, 'team-a'],
];

async function readOne(release: Fields) {
  const [snapshot, record, ...others] = await readFile(
    helm2File(
      [
        1,
        [
          [1, at(1_500_000_100)],
          [2, 'v2.8.2'],
        ],
      ],
      [2, release],
    ),
  );
  if (snapshot === undefined || record === undefined || others.length > 0)
    throw new Error('there is more or less than one');
  return { snapshot: parseSnapshot(snapshot[1]), record: await entryToRecord(entryOf(...record)) };
}

describe('a file that Helm 2 could have written', () => {
  test('is a snapshot of the time it was made at', async () => {
    expect((await readOne(RELEASE)).snapshot).toEqual({
      id: '17-07-14_02-41-40',
      created: new Date(1_500_000_100_000),
      tool: { name: 'helm', version: 'v2.8.2' },
      cluster: { version: 'unknown', context: 'unknown' },
      scope: { namespaces: ['*'], include: ['releases'], history: 'all' },
    });
  });

  test('is as old as its file when it does not say', async () => {
    const [[, text = ''] = []] = await readFile(helm2File([2, RELEASE]));
    expect(parseSnapshot(text)).toMatchObject({ id: '26-01-31_12-00-00', created: CREATED });
  });

  test('has the records that Helm 3 would have, as helm-2to3 makes them', async () => {
    const { json, ...head } = (await readOne(RELEASE)).record;
    expect(head).toEqual({
      driver: 'secret',
      namespace: 'team-a',
      release: 'shop',
      revision: 2,
      encoding: 'gzip',
      status: 'deployed',
      objectName: 'sh.helm.release.v1.shop.v2',
      labels: { createdAt: '1500000001', name: 'shop', owner: 'helm', status: 'deployed', version: '2' },
    });
    expect(JSON.parse(json)).toEqual({
      name: 'shop',
      info: {
        first_deployed: '2017-07-14T02:40:00Z',
        last_deployed: '2017-07-14T02:40:01.005Z',
        deleted: '',
        description: 'Install complete',
        status: 'deployed',
        notes: 'Enjoy.\n',
      },
      chart: {
        metadata: {
          name: 'shop',
          version: '0.1.0',
          description: 'A shop',
          maintainers: [{ name: 'Ann', email: 'ann@example.com' }],
          apiVersion: 'v1',
          appVersion: '1.0',
          annotations: { k: 'v' },
          type: 'application',
        },
        lock: null,
        templates: [{ name: 'templates/cm.yaml', data: Buffer.from('kind: ConfigMap').toString('base64') }],
        values: { replicas: 1, enabled: true, when: '2001-12-14' },
        schema: null,
        files: [{ name: 'README.md', data: Buffer.from('# shop').toString('base64') }],
      },
      config: { replicas: 12, big: Number('12345678901234567890'), map: { a: true } },
      manifest: MANIFEST,
      hooks: [
        {
          name: 'migrate',
          kind: 'Job',
          path: 'shop/templates/migrate.yaml',
          manifest: HOOK,
          events: ['pre-install', 'pre-upgrade'],
          last_run: { started_at: '', completed_at: '', phase: '' },
          weight: 3,
          delete_policies: ['hook-succeeded', 'before-hook-creation'],
        },
        {
          name: 'shop-test',
          kind: 'Pod',
          path: 'shop/templates/test.yaml',
          manifest: HOOK,
          events: ['test'],
          last_run: { started_at: '2017-07-14T02:40:10Z', completed_at: '', phase: 'Failed' },
          delete_policies: ['hook-failed'],
        },
      ],
      version: 2,
      namespace: 'team-a',
    });
    expect(json).toContain('"big":12345678901234567890');
  });

  test('can be installed: its manifest and hooks make a frozen chart', async () => {
    const { files } = freezeChart(parseRelease((await readOne(RELEASE)).record), 4);
    expect([...files.keys()].sort()).toEqual([
      'Chart.yaml',
      'templates/NOTES.txt',
      'templates/cm.yaml',
      'templates/migrate.yaml',
      'templates/test.yaml',
      'values.yaml',
    ]);
  });

  test.each([
    [0, 'unknown'],
    [2, 'uninstalled'],
    [5, 'uninstalling'],
    [8, 'pending-rollback'],
    [99, 'unknown'],
  ])('has status code %i as %s', async (code, status) => {
    const { record } = await readOne([
      [1, 'a'],
      [2, [[1, [[1, code]]]]],
      [7, 1],
      [8, 'b'],
    ]);
    expect([record.status, JSON.parse(record.json).info.status]).toEqual([status, status]);
  });

  test('may have fields that are not known yet', async () => {
    const more: Fields = [
      [99, 'text'],
      [98, 7],
      [97, new Uint8Array(5000)],
    ];
    const [, record] = await readFile(helm2File(...more, [1, more], ...more, [2, [...RELEASE, ...more]]));
    expect(record?.[0]).toBe('_releases/team-a/shop/2.json');
  });

  test.each([
    [
      'a name',
      [
        [1, 'Shop_Front'],
        [7, 1],
        [8, 'a'],
      ],
      'the name "Shop_Front"',
    ],
    [
      'a namespace',
      [
        [1, 'shop'],
        [7, 1],
      ],
      'the namespace ""',
    ],
    [
      'a revision',
      [
        [1, 'shop'],
        [8, 'a'],
      ],
      'the revision 0',
    ],
    [
      'values',
      [
        [1, 'shop'],
        [4, [[1, 'password: "hunter2']]],
        [7, 1],
        [8, 'a'],
      ],
      'values that are no YAML',
    ],
  ] satisfies [string, Fields, string][])('is refused for %s that Helm 3 can not hold', async (_, release, what) => {
    const error = await readFile(helm2File([2, release])).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'ARCHIVE_UNSUPPORTED',
      message: expect.stringContaining(`of the helm-export file has ${what}, which Helm 3 can't hold.`),
    });
    expect(inspect(error)).not.toContain('hunter2');
  });
});
