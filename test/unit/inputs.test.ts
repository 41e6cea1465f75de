import { describe, expect, it } from 'vitest';
import { TransshipError } from '../../src/errors.ts';
import { type Door, parseInputs, type RawInputs } from '../../src/inputs.ts';

function refusal(raw: RawInputs, door: Door = 'cli'): string {
  try {
    parseInputs(raw, door);
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'INPUT') return error.message;
    throw error;
  }
  throw new Error('The inputs were accepted.');
}

describe('what a mode gets when only the mode is given', () => {
  it('fills in the defaults of export', () => {
    expect(parseInputs({ mode: 'export' }, 'cli')).toEqual({
      mode: 'export',
      include: ['releases'],
      'cluster-resources': 'needed',
      strict: false,
      history: 'all',
      compression: 'zstd',
      layout: 'archive',
      concurrency: 8,
      summary: true,
      backend: 'local',
      path: 'transship',
    });
  });

  it('fills in the defaults of import', () => {
    expect(parseInputs({ mode: 'import' }, 'action')).toEqual({
      mode: 'import',
      history: 'all',
      snapshot: 'latest',
      'namespace-map': {},
      replace: false,
      recreate: false,
      'no-hooks': false,
      wait: false,
      timeout: 300_000,
      concurrency: 4,
      summary: true,
      backend: 'artifact',
      path: 'transship',
    });
  });

  it('fills in the defaults of list and verify', () => {
    expect(parseInputs({ mode: 'list' }, 'cli')).toEqual({
      mode: 'list',
      summary: true,
      backend: 'local',
      path: 'transship',
    });
    expect(parseInputs({ mode: 'verify' }, 'cli')).toMatchObject({ mode: 'verify', snapshot: 'latest' });
  });
});

it('turns every text into its value', () => {
  const raw = {
    mode: 'import',
    namespace: 'shop, billing\nteam-*',
    include: 'releases,resources',
    selector: 'team=web',
    exclude: 'shop/old-*,Job,shop/secrets/tmp-*',
    'restore-status': 'widgets.example.com',
    history: '3',
    backend: 's3',
    path: 's3://backups/stage',
    snapshot: '26-01-31_12-00-00',
    digest: `SHA256:${'A'.repeat(64)}`.replace('SHA', 'sha'),
    's3-endpoint': 'http://127.0.0.1:9000/',
    's3-region': 'eu-central-1',
    's3-path-style': 'True',
    kubeconfig: '/tmp/config',
    context: 'prod',
    'namespace-map': 'shop:shop-prod\nbilling = money',
    replace: 'true',
    recreate: 'true',
    'no-hooks': 'false',
    wait: 'TRUE',
    timeout: '1h30m',
    'helm-version': 'v4.3.1',
    concurrency: '2',
    'github-token': 'secret',
    summary: 'false',
  };
  expect(parseInputs(raw, 'cli')).toEqual({
    mode: 'import',
    namespace: ['shop', 'billing', 'team-*'],
    include: ['releases', 'resources'],
    selector: 'team=web',
    exclude: ['shop/old-*', 'Job', 'shop/secrets/tmp-*'],
    'restore-status': ['widgets.example.com'],
    history: 3,
    backend: 's3',
    path: 's3://backups/stage',
    snapshot: '26-01-31_12-00-00',
    digest: `sha256:${'a'.repeat(64)}`,
    's3-endpoint': 'http://127.0.0.1:9000',
    's3-region': 'eu-central-1',
    's3-path-style': true,
    kubeconfig: '/tmp/config',
    context: 'prod',
    'namespace-map': { shop: 'shop-prod', billing: 'money' },
    replace: true,
    recreate: true,
    'no-hooks': false,
    wait: true,
    timeout: 5_400_000,
    'helm-version': 'v4.3.1',
    concurrency: 2,
    'github-token': 'secret',
    summary: false,
  });
});

describe('where snapshots are kept', () => {
  it.each([
    ['action', undefined, 'artifact'],
    ['action', 'stage', 'artifact'],
    ['action', './stage', 'local'],
    ['action', '.', 'local'],
    ['action', 'snapshots/stage', 'local'],
    ['action', 's3://backups', 's3'],
    ['cli', undefined, 'local'],
    ['cli', 'stage', 'local'],
    ['cli', 's3://backups/stage', 's3'],
  ] as const)('in the %s, path %s means backend %s', (door, path, backend) => {
    const raw = path === undefined ? { mode: 'list' } : { mode: 'list', path };
    expect(parseInputs(raw, door)).toMatchObject({ backend, path: path ?? 'transship' });
  });

  it('is what backend says, whatever the door would choose', () => {
    expect(parseInputs({ mode: 'export', backend: 'artifact', path: 'stage' }, 'cli')).toMatchObject({
      backend: 'artifact',
    });
    expect(parseInputs({ mode: 'export', backend: 'local', path: 'stage' }, 'action')).toMatchObject({
      backend: 'local',
    });
  });
});

describe('what is refused, and in which words', () => {
  it.each<[string, RawInputs, string]>([
    ['no mode', {}, 'mode: is missing. Give export, import, list or verify.'],
    ['an empty mode', { mode: '' }, 'mode: is missing. Give export, import, list or verify.'],
    [
      'a mistyped mode',
      { mode: 'improt' },
      'mode: "improt" is not a mode. Give export, import, list or verify. Did you mean import?',
    ],
    [
      'a mode that is not there yet',
      { mode: 'teardown' },
      'mode: "teardown" is not a mode. Give export, import, list or verify.',
    ],
    [
      'a mistyped input',
      { mode: 'export', 'name-space': 'shop' },
      'name-space: is not an input. Did you mean namespace?',
    ],
    [
      'an input of one other mode',
      { mode: 'export', replace: 'true' },
      'replace: "true" does not belong to mode export. Remove it: it is for mode import.',
    ],
    [
      'an input of several other modes',
      { mode: 'list', digest: 'x' },
      'digest: "x" does not belong to mode list. Remove it: it is for mode import or verify.',
    ],
    [
      'a secret of another mode, which is not shown',
      { mode: 'verify', kubeconfig: 'hunter2' },
      'kubeconfig: was given, but does not belong to mode verify. Remove it: it is for mode export or import.',
    ],
    ['a flag without a value', { mode: 'list', path: '' }, 'path: has no value. Give it one, or leave it out.'],
    ['a word for a boolean', { mode: 'import', wait: 'yes' }, 'wait: "yes" is neither true nor false.'],
    [
      'a number without a unit as a duration',
      { mode: 'import', timeout: '300' },
      'timeout: "300" is not a duration. Give numbers with a unit (ms, s, m, h), such as 5m or 1h30m.',
    ],
    [
      'a timeout of nothing',
      { mode: 'import', timeout: '0s' },
      'timeout: "0s" is not allowed. Give more than 0 and at most 596h, such as 5m or 1h30m.',
    ],
    [
      'too much at once',
      { mode: 'export', concurrency: '1000' },
      'concurrency: "1000" is not allowed. Give a whole number from 1 to 64.',
    ],
    [
      'half a number',
      { mode: 'export', concurrency: '2.5' },
      'concurrency: "2.5" is not allowed. Give a whole number from 1 to 64.',
    ],
    [
      'no history',
      { mode: 'export', history: '0' },
      'history: "0" is not allowed. Give all, or how many of the newest revisions (1 or more).',
    ],
    [
      'an unknown compression',
      { mode: 'export', compression: 'bzip2' },
      'compression: "bzip2" is not allowed. Give zstd, xz, gzip or none.',
    ],
    [
      'kinds that cannot travel yet',
      { mode: 'export', include: 'releases,vms' },
      'include: "vms" is not allowed. Give releases or resources.',
    ],
    [
      'every wrong item of a list',
      { mode: 'export', namespace: 'shop,Shop,shop_2' },
      'namespace: "Shop" is not a namespace. Give names (lower-case letters, digits and -), globs with * and ?, or * for all. "shop_2" is not a namespace. Give names (lower-case letters, digits and -), globs with * and ?, or * for all.',
    ],
    ['a list of nothing', { mode: 'export', namespace: ',' }, 'namespace: is empty. Give it a value, or leave it out.'],
    [
      'half a pair of namespaces',
      { mode: 'import', 'namespace-map': 'shop' },
      'namespace-map: "shop" is not a pair of namespaces. Give from:to or from=to, such as stage:prod.',
    ],
    [
      'one namespace mapped to two',
      { mode: 'import', 'namespace-map': 'shop:a,shop:b' },
      'namespace-map: "shop" is mapped twice, to a and to b. Give each namespace one target.',
    ],
    [
      'a snapshot that is no id',
      { mode: 'verify', snapshot: 'newest' },
      'snapshot: "newest" is not a snapshot. Give latest, or an id such as 26-01-31_12-00-00; mode list shows them.',
    ],
    [
      'a digest of another kind',
      { mode: 'verify', digest: 'sha1:abc' },
      'digest: "sha1:abc" is not a digest. Give sha256: and 64 hexadecimal digits, as the output `digest` of the export has it.',
    ],
    [
      'a floating version of Helm',
      { mode: 'import', 'helm-version': 'latest' },
      'helm-version: "latest" is not a version of Helm. Give it whole, such as v4.3.1.',
    ],
    [
      'an endpoint with a password, which is not shown',
      { mode: 'list', path: 's3://backups', 's3-endpoint': 'https://me:hunter2@minio' },
      's3-endpoint: is not an endpoint. Give an http:// or https:// URL without credentials, such as https://minio.example:9000.',
    ],
    [
      'S3 without a path',
      { mode: 'list', backend: 's3' },
      'path: is needed for backend s3. Give s3://bucket or s3://bucket/prefix.',
    ],
    [
      'a folder for S3',
      { mode: 'list', backend: 's3', path: './snapshots' },
      'path: "./snapshots" is not a place in S3. Give s3://bucket or s3://bucket/prefix.',
    ],
    [
      'S3 for a folder',
      { mode: 'list', backend: 'local', path: 's3://backups' },
      'path: "s3://backups" is not a folder or file, and backend is local. Set backend to s3 or artifact, or give a path.',
    ],
    [
      'a name no artifact can have',
      { mode: 'list', backend: 'artifact', path: 'stage/shop' },
      'path: "stage/shop" is not a name an artifact can have. Give a name without " : < > | * ? \\ and /.',
    ],
    [
      "another backend's input",
      { mode: 'list', path: './snapshots', 's3-region': 'eu-central-1' },
      's3-region: "eu-central-1" is only for backend s3, and here it is local. Remove it, or set backend to s3.',
    ],
    [
      'retention where GitHub deletes nothing',
      { mode: 'export', path: 's3://backups', 'retention-days': '7' },
      'retention-days: "7" is only for backend artifact, and here it is s3. Remove it, or set backend to artifact.',
    ],
    [
      'a tree as an artifact',
      { mode: 'export', backend: 'artifact', layout: 'tree' },
      'layout: "tree" is only for backend s3 and local, and here it is artifact. Remove it, or give a path in one of those.',
    ],
    [
      'a compressed tree',
      { mode: 'export', path: './snapshots', layout: 'tree', compression: 'xz' },
      'compression: "xz" does not go with layout tree, whose files are plain JSON. Remove one of the two.',
    ],
    [
      'a tree in a file',
      { mode: 'export', path: './backup.tar.zst', layout: 'tree' },
      'path: "./backup.tar.zst" is the name of an archive, and layout is tree. Give a folder, or set layout to archive.',
    ],
    [
      'what is about resources in an export of releases',
      { mode: 'export', 'restore-status': 'widgets' },
      'restore-status: "widgets" is about resources, and include does not have them. Add resources to include, or remove it.',
    ],
    [
      'the same in an import of releases alone',
      { mode: 'import', include: 'releases', 'restore-status': 'widgets' },
      'restore-status: "widgets" is about resources, and include does not have them. Add resources to include, or remove it.',
    ],
    [
      'deleting objects without being allowed to change them',
      { mode: 'import', recreate: 'true' },
      'recreate: "true" needs replace too. Set replace to true.',
    ],
    [
      'a repository without a run',
      { mode: 'import', backend: 'artifact', repository: 'octo-org/shop' },
      'repository: "octo-org/shop" needs run-id too. Give the id of the run there that exported the snapshot.',
    ],
    [
      'another run without a token',
      { mode: 'import', backend: 'artifact', 'run-id': '12' },
      'run-id: "12" needs a token to read that run. Set the environment variable GITHUB_TOKEN to one with the permission actions: read.',
    ],
  ])('%s', (_, raw, message) => {
    expect(refusal(raw)).toBe(message);
  });

  it('names the input and not the variable where a workflow lacks the token', () => {
    expect(refusal({ mode: 'import', 'run-id': '12' }, 'action')).toBe(
      'run-id: "12" needs a token to read that run. Set github-token to one with the permission actions: read.',
    );
  });

  it('names all problems at once, each input once', () => {
    expect(
      refusal({ mode: 'export', wait: 'true', 'run-id': '12', repository: 'x', history: 'some', s3region: 'eu' }),
    ).toBe(
      [
        '5 inputs are wrong:',
        '- history: "some" is not allowed. Give all, or how many of the newest revisions (1 or more).',
        '- wait: "true" does not belong to mode export. Remove it: it is for mode import.',
        '- run-id: "12" does not belong to mode export. Remove it: it is for mode import, list or verify.',
        '- repository: "x" does not belong to mode export. Remove it: it is for mode import, list or verify.',
        '- s3region: is not an input. Did you mean s3-region?',
      ].join('\n'),
    );
  });

  it('cuts a value that would flood the log', () => {
    expect(refusal({ mode: 'import', timeout: 'x'.repeat(5000) })).toBe(
      `timeout: "${'x'.repeat(100)}…" is not a duration. Give numbers with a unit (ms, s, m, h), such as 5m or 1h30m.`,
    );
  });
});
