import { describe, expect, it } from 'vitest';
import { parseInputs, type RawInputs } from '../../src/inputs.ts';
import { refusal } from './inputs/refusal.ts';

describe('what a mode gets when only the mode is given', () => {
  it('fills in the defaults of export', () => {
    expect(parseInputs({ mode: 'export' }, 'cli')).toEqual({
      mode: 'export',
      include: ['releases'],
      'cluster-resources': 'needed',
      strict: false,
      'running-vms': 'error',
      'vm-links': 'auto',
      'vm-export-ttl': 86_400_000,
      timeout: 300_000,
      history: 'all',
      layout: 'archive',
      'allow-plaintext': false,
      format: 'archive',
      'take-over': false,
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
      'storage-class-map': {},
      'image-map': {},
      'replace-text': {},
      replace: false,
      recreate: false,
      prune: false,
      atomic: false,
      'dry-run': false,
      'no-hooks': false,
      wait: false,
      'vm-identity': 'new',
      timeout: 300_000,
      concurrency: 4,
      summary: true,
      backend: 'artifact',
      path: 'transship',
    });
  });

  it('gives plan what import takes, so that both can be given the same', () => {
    const imported = Object.entries(parseInputs({ mode: 'import' }, 'cli')).filter(([name]) => name !== 'dry-run');
    expect(parseInputs({ mode: 'plan' }, 'cli')).toEqual({
      ...Object.fromEntries(imported),
      mode: 'plan',
      'exit-code': false,
    });
  });

  it('stores nothing of what is promoted unless a place is given', () => {
    const raw = { mode: 'promote', 'target-context': 'prod' };
    expect(parseInputs(raw, 'cli')).toMatchObject({ include: ['releases'], concurrency: 4, storage: undefined });
    expect(parseInputs({ ...raw, path: 's3://backups/stage' }, 'cli')).toMatchObject({
      storage: { backend: 's3', path: 's3://backups/stage' },
    });
  });

  it('gives teardown no storage', () => {
    expect(parseInputs({ mode: 'teardown', environment: 'pr-42' }, 'action')).toEqual({
      mode: 'teardown',
      environment: 'pr-42',
      expired: false,
      'no-hooks': false,
      timeout: 300_000,
      'dry-run': false,
      concurrency: 4,
      summary: true,
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

it('takes texts with commas, line breaks between them, and an empty one to put in place', () => {
  const raw = { mode: 'import', 'replace-text': 'a,b=c,d\nstage.=\nx=1=2' };
  expect(parseInputs(raw, 'cli')).toMatchObject({ 'replace-text': { 'a,b': 'c,d', 'stage.': '', x: '1=2' } });
});

describe('inputs about virtual machines', () => {
  const raw = { mode: 'export', include: 'vms', path: './snapshots' };

  it('are names, globs, and those of one namespace', () => {
    const given = { ...raw, vms: 'db,web-*', 'vm-snapshots': 'shop/nightly', pvcs: 'dump', 'vm-export-ttl': '2d' };
    expect(parseInputs(given, 'cli')).toMatchObject({
      vms: ['db', 'web-*'],
      'vm-snapshots': ['shop/nightly'],
      pvcs: ['dump'],
      'vm-export-ttl': 172_800_000,
    });
  });

  it.each([
    ['export', 'vms', 'db'],
    ['promote', 'running-vms', 'stop'],
    ['export', 'vm-export-ttl', '3h'],
  ])('are refused by %s where include has no virtual machines: %s', (mode, input, value) => {
    expect(refusal({ mode, 'target-context': 'prod', [input]: value })).toContain(
      `${input}: "${value}" is about virtual machines, and include does not have them. Add vms to include, or remove it.`,
    );
  });

  it('need no include on import, where the snapshot says what there is', () => {
    expect(parseInputs({ mode: 'import', name: 'db-copy', 'vm-identity': 'keep' }, 'cli')).toMatchObject({
      name: 'db-copy',
      'vm-identity': 'keep',
    });
    expect(refusal({ mode: 'import', include: 'releases', name: 'db-copy' })).toContain('name: "db-copy" is about');
  });

  it('give one name to one machine only', () => {
    expect(refusal({ mode: 'import', vms: 'a,b', name: 'c' })).toBe(
      'name: "c" is one name, and vms names 2 virtual machines. Import one at a time, or leave it out.',
    );
  });

  it.each([
    ['vms', 'Db', '"Db" is no pattern. Give a name, a glob with * and ?, or namespace/name.'],
    ['running-vms', 'pause', '"pause" is not allowed. Give error, snapshot or stop.'],
    ['vm-links', 'proxy', '"proxy" is not allowed. Give auto, internal, external or port-forward.'],
  ])('are refused where they mean nothing: %s', (input, value, problem) => {
    expect(refusal({ ...raw, [input]: value })).toBe(`${input}: ${problem}`);
  });

  it('let a tree have archives of another compression', () => {
    expect(parseInputs({ ...raw, layout: 'tree', compression: 'zstd' }, 'cli')).toMatchObject({ compression: 'zstd' });
  });
});

it('takes days and hours to live', () => {
  const ttl = (text: string) => parseInputs({ mode: 'import', environment: 'pr-42', ttl: text }, 'cli');
  expect(ttl('7d')).toMatchObject({ ttl: 604_800_000 });
  expect(ttl('1h30m')).toMatchObject({ ttl: 5_400_000 });
});

it('turns every text into its value', () => {
  const raw = {
    mode: 'import',
    namespace: 'shop, billing\nteam-*',
    include: 'releases,resources,vms',
    vms: 'db, web-*',
    'vm-identity': 'keep',
    'run-strategy': 'Halted',
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
    'storage-class-map': 'standard:fast, local-path = premium.example',
    'image-map': 'registry.stage.example=registry.prod.example, nginx:1.27=nginx:1.28',
    'replace-text': 'stage.example.com=www.example.com',
    transforms: 'transforms.yaml',
    prune: 'true',
    atomic: 'true',
    'plan-id': '26-01-31_12-05-00-9f86d081884c7d659a2feaa0c55ad015',
    'dry-run': 'false',
    environment: 'pr-42',
    identity: 'key.txt',
    's3-sse-customer-key': Buffer.alloc(32, 7).toString('base64'),
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
    include: ['releases', 'resources', 'vms'],
    vms: ['db', 'web-*'],
    'vm-identity': 'keep',
    'run-strategy': 'Halted',
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
    'storage-class-map': { standard: 'fast', 'local-path': 'premium.example' },
    'image-map': { 'registry.stage.example': 'registry.prod.example', 'nginx:1.27': 'nginx:1.28' },
    'replace-text': { 'stage.example.com': 'www.example.com' },
    transforms: 'transforms.yaml',
    prune: true,
    atomic: true,
    'plan-id': '26-01-31_12-05-00-9f86d081884c7d659a2feaa0c55ad015',
    'dry-run': false,
    environment: 'pr-42',
    identity: 'key.txt',
    's3-sse-customer-key': Buffer.alloc(32, 7).toString('base64'),
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
    ['action', 'helm-releases.gz', 'local'],
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
    ['no mode', {}, 'mode: is missing. Give export, plan, import, promote, list, verify, clear, teardown or watch.'],
    [
      'an empty mode',
      { mode: '' },
      'mode: is missing. Give export, plan, import, promote, list, verify, clear, teardown or watch.',
    ],
    [
      'a mistyped mode',
      { mode: 'improt' },
      'mode: "improt" is not a mode. Give export, plan, import, promote, list, verify, clear, teardown or watch. Did you mean import?',
    ],
    [
      'a mode that there is not',
      { mode: 'mirror' },
      'mode: "mirror" is not a mode. Give export, plan, import, promote, list, verify, clear, teardown or watch.',
    ],
    [
      'a mistyped input',
      { mode: 'export', 'name-space': 'shop' },
      'name-space: is not an input. Did you mean namespace?',
    ],
    [
      'an input of one other mode',
      { mode: 'export', replace: 'true' },
      'replace: "true" does not belong to mode export. Remove it: it is for mode plan, import or promote.',
    ],
    [
      'an input of several other modes',
      { mode: 'list', digest: 'x' },
      'digest: "x" does not belong to mode list. Remove it: it is for mode plan, import or verify.',
    ],
    [
      'a secret of another mode, which is not shown',
      { mode: 'verify', kubeconfig: 'hunter2' },
      'kubeconfig: was given, but does not belong to mode verify. Remove it: it is for mode export, plan, import, promote, teardown or watch.',
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
      'namespace-map: "shop" is mapped twice, to a and to b. Give each one target.',
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
      'pruning where nothing says what former imports brought',
      { mode: 'import', prune: 'true', replace: 'true' },
      'prune: "true" needs environment too. Name the environment whose former imports are to be looked at.',
    ],
    [
      'pruning without being allowed to change anything',
      { mode: 'plan', prune: 'true', environment: 'pr-42' },
      'prune: "true" needs replace too. Set replace to true.',
    ],
    [
      'pruning of what a selector leaves out',
      { mode: 'import', prune: 'true', replace: 'true', environment: 'pr-42', selector: 'team=web' },
      'prune: "true" does not go with selector: what it leaves out would be deleted. Remove one.',
    ],
    [
      'an end for what has no name',
      { mode: 'import', ttl: '72h' },
      'ttl: "72h" needs environment too. Name the environment that is to expire.',
    ],
    [
      'a time to live that is none',
      { mode: 'import', environment: 'pr-42', ttl: 'a week' },
      'ttl: "a week" is not a duration. Give numbers with a unit, such as 90m, 72h or 7d.',
    ],
    [
      "a name that no label's value can be",
      { mode: 'import', environment: 'feature/x' },
      'environment: "feature/x" is not an environment\'s name. Give at most 63 letters, digits, -, _ and ., such as pr-42.',
    ],
    [
      'a plan that is none',
      { mode: 'import', 'plan-id': 'latest' },
      'plan-id: "latest" is not a plan\'s id. Give the output plan-id of mode plan, such as 26-01-31_12-05-00-9f86d081884c7d659a2feaa0c55ad015.',
    ],
    [
      'a file that no plan is written as',
      { mode: 'plan', 'plan-files': 'plan.pdf' },
      'plan-files: "plan.pdf" is no file for a plan. Give a path that ends in .html, .json, .md or .txt.',
    ],
    [
      'promoting to nowhere',
      { mode: 'promote', context: 'stage' },
      'target-context: is missing. Give the context to import into, or target-kubeconfig.',
    ],
    [
      'how to store what is not stored',
      { mode: 'promote', 'target-context': 'prod', compression: 'xz' },
      'compression: is about a stored snapshot, and nothing is stored. Give path too, or remove it.',
    ],
    [
      'a teardown of nothing',
      { mode: 'teardown' },
      'environment: is missing. Name the environment to remove, or set expired to true.',
    ],
    [
      'a teardown of one and of all that have expired',
      { mode: 'teardown', environment: 'pr-42', expired: 'true' },
      'expired: "true" does not go with environment. Remove one of the two.',
    ],
    [
      'a private key to encrypt to',
      { mode: 'export', 'encrypt-to': 'ssh-ed25519 AAAA' },
      'encrypt-to: "ssh-ed25519 AAAA" is not an age public key. Give one that begins with age1, as age-keygen prints it.',
    ],
    [
      'plaintext of what is encrypted',
      { mode: 'export', backend: 'artifact', 'encrypt-to': `age1${'q'.repeat(58)}`, 'allow-plaintext': 'true' },
      'allow-plaintext: "true" does not go with encrypt-to. Remove one of the two.',
    ],
    [
      'a KMS key without KMS',
      { mode: 'export', path: 's3://backups', 's3-sse': 'AES256', 's3-sse-kms-key-id': 'alias/backups' },
      's3-sse-kms-key-id: "alias/backups" needs s3-sse aws:kms or aws:kms:dsse. Set s3-sse, or remove it.',
    ],
    [
      'a customer key that is none, which is not shown',
      { mode: 'list', path: 's3://backups', 's3-sse-customer-key': 'hunter2' },
      's3-sse-customer-key: is not a key. Give 32 random bytes in base64, such as openssl rand -base64 32 prints them.',
    ],
    [
      'a customer key for a folder, which is not shown',
      { mode: 'list', path: './snapshots', 's3-sse-customer-key': Buffer.alloc(32, 7).toString('base64') },
      's3-sse-customer-key: was given, but it is only for backend s3, and here it is local. Remove it, or set backend to s3.',
    ],
    [
      'an image that is mapped twice',
      { mode: 'import', 'image-map': 'a.example=b.example,a.example=c.example' },
      'image-map: "a.example" is mapped twice, to b.example and to c.example. Give each one target.',
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
        '- wait: "true" does not belong to mode export. Remove it: it is for mode plan, import or promote.',
        '- run-id: "12" does not belong to mode export. Remove it: it is for mode plan, import, list, verify or clear.',
        '- repository: "x" does not belong to mode export. Remove it: it is for mode plan, import, list, verify or clear.',
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
