import { oneOf, quote } from './parsers.ts';
import { type BackendName, backendNames } from './schema.ts';
import type { Door, InputName } from './table.ts';

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
};

/** https://github.com/actions/toolkit/blob/main/packages/artifact/src/internal/upload/path-and-artifact-name-validation.ts */
const NOT_IN_ARTIFACT_NAMES = /["<>|*?:\r\n\\/]/;

/** Chooses the backend: the one given, else what the path looks like (a file's name ends like an archive), else the door's own. */
export function chooseStorage(given: GivenInputs, door: Door, defaultPath: string): Storage | undefined {
  const path = given.path?.trim() || defaultPath;
  if (given.backend !== undefined) {
    const backend = backendNames.find((name) => name === given.backend);
    return backend === undefined ? undefined : { backend, path };
  }
  if (path.startsWith('s3://')) return { backend: 's3', path };
  if (door === 'cli' || /[\\/]|^\.{1,2}$|\.tar(?:\.\w+)?$/.test(path)) return { backend: 'local', path };
  return { backend: 'artifact', path };
}

/** What is wrong with inputs taken together. Looks at texts only, so it can speak beside other problems. */
export function findConflicts(given: GivenInputs, storage: Storage | undefined, door: Door): Problem[] {
  return [
    ...(storage === undefined ? [] : storageConflicts(given, storage)),
    ...otherRunConflicts(given, door),
    ...resourceConflicts(given),
  ];
}

function storageConflicts(given: GivenInputs, { backend, path }: Storage): Problem[] {
  const problems: Problem[] = layoutConflicts(given, backend, path);
  const pathProblem = findPathProblem(given, backend, path);
  if (pathProblem !== undefined) problems.push({ input: 'path', message: pathProblem });
  for (const [input, only] of Object.entries(ONLY_FOR)) {
    const value = Object.entries(given).find(([name]) => name === input)?.[1];
    if (value === undefined || only === backend) continue;
    const chosen = given.backend === undefined ? 'here it is' : 'it is set to';
    problems.push({
      input,
      message: `${quote(value)} is only for backend ${only}, and ${chosen} ${backend}. Remove it, or set backend to ${only}.`,
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
  if (given.compression !== undefined) {
    problems.push({
      input: 'compression',
      message: `${quote(given.compression)} does not go with layout tree, whose files are plain JSON. Remove one of the two.`,
    });
  }
  if (backend === 'local' && /\.(?:tar(?:\.\w+)?|tgz|txz|tzst)$/.test(path)) {
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
  const included = given.include?.split(/[,\n]/).map((item) => item.trim());
  const exportsNone = given.mode === 'export' && included?.includes('resources') !== true;
  const importsNone = given.mode === 'import' && included?.includes('resources') === false;
  for (const input of WITH_RESOURCES) {
    const value = given[input];
    if (value === undefined || value === 'false' || !(exportsNone || importsNone)) continue;
    problems.push({
      input,
      message: `${quote(value)} is about resources, and include does not have them. Add resources to include, or remove it.`,
    });
  }
  if (/^true$/i.test(given.recreate ?? '') && !/^true$/i.test(given.replace ?? '')) {
    problems.push({
      input: 'recreate',
      message: `${quote(given.recreate ?? '')} needs replace too. Set replace to true.`,
    });
  }
  return problems;
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
