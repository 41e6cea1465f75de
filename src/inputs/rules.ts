import { daemonConflicts } from './daemon-rules.ts';
import { oneOf, quote } from './parsers.ts';
import { type BackendName, backendNames } from './schema.ts';
import type { Door, InputName } from './table.ts';
import { includes, leavesOut, vmConflicts } from './vm-rules.ts';

/** The texts a caller gave, by input. */
export type GivenInputs = Readonly<Partial<Record<InputName, string>>>;

/** What is wrong with an input: a line for the user. */
export interface Problem {
  readonly input: string;
  /** A sentence that follows the input's name. */
  readonly message: string;
}

/** The backend and path to use, from what was given. */
export interface Storage {
  readonly backend: BackendName;
  readonly path: string;
}

const ONLY_FOR: Readonly<Partial<Record<InputName, BackendName>>> = {
  's3-endpoint': 's3',
  's3-region': 's3',
  's3-path-style': 's3',
  'run-id': 'artifact',
  repository: 'artifact',
  'retention-days': 'artifact',
  's3-sse': 's3',
  's3-sse-kms-key-id': 's3',
  's3-sse-customer-key': 's3',
  'allow-plaintext': 'artifact',
};

/** Their values are not for messages. */
const SECRET: readonly string[] = ['s3-sse-customer-key'];

/** https://github.com/actions/toolkit/blob/main/packages/artifact/src/internal/upload/path-and-artifact-name-validation.ts */
const NOT_IN_ARTIFACT_NAMES = /["<>|*?:\r\n\\/]/;

/** Chooses the backend: the one given, else what the path looks like (a file's name ends like an archive), else the door's own. */
export function chooseStorage(given: GivenInputs, door: Door, defaultPath: string): Storage | undefined {
  // What is promoted is stored only where that is asked for.
  if (given.mode === 'promote' && given.path === undefined && given.backend === undefined) return undefined;
  const path = given.path?.trim() || defaultPath;
  if (given.backend !== undefined) {
    const backend = backendNames.find((name) => name === given.backend);
    return backend === undefined ? undefined : { backend, path };
  }
  if (path.startsWith('s3://')) return { backend: 's3', path };
  if (door === 'cli' || /[\\/]|^\.{1,2}$|(?:\.tar(?:\.\w+)?|\.gz(?:\.age)?)$/.test(path))
    return { backend: 'local', path };
  return { backend: 'artifact', path };
}

/** What is wrong with inputs taken together. Looks at texts only, so it can speak beside other problems. */
export function findConflicts(given: GivenInputs, storage: Storage | undefined, door: Door): Problem[] {
  return [
    ...(storage === undefined ? [] : storageConflicts(given, storage)),
    ...otherRunConflicts(given, door),
    ...resourceConflicts(given),
    ...importConflicts(given),
    ...encryptionConflicts(given, storage),
    ...promoteConflicts(given, storage),
    ...teardownConflicts(given),
    ...vmConflicts(given),
    ...daemonConflicts(given, storage, door),
  ];
}

function storageConflicts(given: GivenInputs, { backend, path }: Storage): Problem[] {
  const problems: Problem[] = layoutConflicts(given, backend, path);
  const pathProblem = findPathProblem(given, backend, path);
  if (pathProblem !== undefined) problems.push({ input: 'path', message: pathProblem });
  for (const [input, only] of Object.entries(ONLY_FOR)) {
    const value = Object.entries(given).find(([name]) => name === input)?.[1];
    if (value === undefined || value === 'false' || only === backend) continue;
    const shown = SECRET.includes(input) ? 'was given, but it' : quote(value);
    const chosen = given.backend === undefined ? 'here it is' : 'it is set to';
    problems.push({
      input,
      message: `${shown} is only for backend ${only}, and ${chosen} ${backend}. Remove it, or set backend to ${only}.`,
    });
  }
  return problems;
}

function findPathProblem(given: GivenInputs, backend: BackendName, path: string): string | undefined {
  switch (backend) {
    case 's3':
      if (given.path === undefined) return 'is needed for backend s3. Give s3://bucket or s3://bucket/prefix.';
      return /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/.*)?$/.test(path)
        ? undefined
        : `${quote(path)} is not a place in S3. Give s3://bucket or s3://bucket/prefix.`;
    case 'local':
      return /^[a-z0-9]+:\/\//i.test(path)
        ? `${quote(path)} is not a folder or file, and backend is local. Set backend to ${oneOf(['s3', 'artifact'])}, or give a path.`
        : undefined;
    case 'artifact':
      return NOT_IN_ARTIFACT_NAMES.test(path)
        ? `${quote(path)} is not a name an artifact can have. Give a name without " : < > | * ? \\ and /.`
        : undefined;
  }
}

function layoutConflicts(given: GivenInputs, backend: BackendName, path: string): Problem[] {
  if (given.layout !== 'tree') return [];
  const problems: Problem[] = [];
  if (backend === 'artifact') {
    problems.push({
      input: 'layout',
      message: `"tree" is only for backend s3 and local, and here it is artifact. Remove it, or give a path in one of those.`,
    });
  }
  // The archives of virtual machines are archives in either layout.
  if (given.compression !== undefined && !includes(given, 'vms')) {
    problems.push({
      input: 'compression',
      message: `${quote(given.compression)} does not go with layout tree, whose files are plain JSON. Remove one of the two.`,
    });
  }
  if (backend === 'local' && /\.(?:tar(?:\.\w+)?|tgz|txz|tzst|gz)$/.test(path)) {
    problems.push({
      input: 'path',
      message: `${quote(path)} is the name of an archive, and layout is tree. Give a folder, or set layout to archive.`,
    });
  }
  return problems;
}

const WITH_RESOURCES: readonly InputName[] = ['cluster-resources', 'restore-status', 'strict'];

function resourceConflicts(given: GivenInputs): Problem[] {
  const problems: Problem[] = [];
  for (const input of WITH_RESOURCES) {
    const value = given[input];
    if (value === undefined || value === 'false' || !leavesOut(given, 'resources')) continue;
    problems.push({
      input,
      message: `${quote(value)} is about resources, and include does not have them. Add resources to include, or remove it.`,
    });
  }
  return problems;
}

function isTrue(text: string | undefined): boolean {
  return /^true$/i.test(text ?? '');
}

/** Inputs of an import that mean nothing without another. */
const NEEDS: readonly (readonly [InputName, InputName, string])[] = [
  ['recreate', 'replace', 'Set replace to true.'],
  ['prune', 'replace', 'Set replace to true.'],
  ['prune', 'environment', 'Name the environment whose former imports are to be looked at.'],
  ['ttl', 'environment', 'Name the environment that is to expire.'],
];

function importConflicts(given: GivenInputs): Problem[] {
  return NEEDS.flatMap(([input, needed, advice]): Problem[] => {
    const value = given[input];
    const isAsked = value !== undefined && !/^false$/i.test(value);
    const isThere = needed === 'environment' ? given.environment !== undefined : isTrue(given[needed]);
    return isAsked && !isThere ? [{ input, message: `${quote(value)} needs ${needed} too. ${advice}` }] : [];
  }).concat(
    isTrue(given.prune) && given.selector !== undefined
      ? [
          {
            input: 'prune',
            message: '"true" does not go with selector: what it leaves out would be deleted. Remove one.',
          },
        ]
      : [],
  );
}

function encryptionConflicts(given: GivenInputs, storage: Storage | undefined): Problem[] {
  const problems: Problem[] = [];
  if (given['encrypt-to'] !== undefined && isTrue(given['allow-plaintext'])) {
    problems.push({ input: 'allow-plaintext', message: '"true" does not go with encrypt-to. Remove one of the two.' });
  }
  if (storage?.backend !== 's3') return problems;
  const [sse, key] = [given['s3-sse'], given['s3-sse-kms-key-id']];
  if (key !== undefined && sse?.startsWith('aws:kms') !== true) {
    problems.push({
      input: 's3-sse-kms-key-id',
      message: `${quote(key)} needs s3-sse aws:kms or aws:kms:dsse. Set s3-sse, or remove it.`,
    });
  }
  if (sse !== undefined && given['s3-sse-customer-key'] !== undefined) {
    problems.push({
      input: 's3-sse',
      message: `${quote(sse)} does not go with s3-sse-customer-key: S3 encrypts with one of them. Remove the other.`,
    });
  }
  return problems;
}

/** Inputs of promote that are about a snapshot that is stored. */
const ABOUT_STORAGE: readonly InputName[] = [
  's3-endpoint',
  's3-region',
  's3-path-style',
  's3-sse',
  's3-sse-kms-key-id',
  's3-sse-customer-key',
  'compression',
  'layout',
  'format',
  'retention-days',
  'encrypt-to',
  'allow-plaintext',
];

function promoteConflicts(given: GivenInputs, storage: Storage | undefined): Problem[] {
  if (given.mode !== 'promote') return [];
  const problems: Problem[] = [];
  if (given['target-context'] === undefined && given['target-kubeconfig'] === undefined) {
    problems.push({
      input: 'target-context',
      message: 'is missing. Give the context to import into, or target-kubeconfig.',
    });
  }
  if (storage === undefined && given.backend === undefined) {
    for (const input of ABOUT_STORAGE) {
      if (given[input] === undefined || /^false$/i.test(given[input])) continue;
      problems.push({
        input,
        message: 'is about a stored snapshot, and nothing is stored. Give path too, or remove it.',
      });
    }
  }
  return problems;
}

function teardownConflicts(given: GivenInputs): Problem[] {
  if (given.mode !== 'teardown') return [];
  const byName = given.environment !== undefined;
  if (byName !== isTrue(given.expired)) return [];
  return byName
    ? [{ input: 'expired', message: '"true" does not go with environment. Remove one of the two.' }]
    : [{ input: 'environment', message: 'is missing. Name the environment to remove, or set expired to true.' }];
}

function otherRunConflicts(given: GivenInputs, door: Door): Problem[] {
  const problems: Problem[] = [];
  if (given.repository !== undefined && given['run-id'] === undefined) {
    problems.push({
      input: 'repository',
      message: `${quote(given.repository)} needs run-id too. Give the id of the run there that exported the snapshot.`,
    });
  }
  if (given['run-id'] !== undefined && given['github-token'] === undefined) {
    const where = door === 'action' ? 'Set github-token' : 'Set the environment variable GITHUB_TOKEN';
    problems.push({
      input: 'run-id',
      message: `${quote(given['run-id'])} needs a token to read that run. ${where} to one with the permission actions: read.`,
    });
  }
  return problems;
}
