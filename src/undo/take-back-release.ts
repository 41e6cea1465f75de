import { join } from 'node:path';
import type { Cluster, KubeObject } from '../cluster/cluster.ts';
import { TransshipError } from '../errors.ts';
import {
  type Helm,
  helmEnvironment,
  helmWords,
  type RunProgram,
  rollbackArguments,
  uninstallArguments,
} from '../releases/helm.ts';
import type { Driver } from '../releases/record.ts';
import { recordsPath } from '../releases/target-releases.ts';
import { failed, type UndoContext } from './context.ts';
import type { Installing, Upgrading } from './journal.ts';
import { putBack } from './put-back.ts';
import { deleteObject } from './remove-created.ts';

/** What running Helm takes. */
export interface HelmSettings {
  /** Undefined when the import has no releases. */
  readonly helm?: Helm | undefined;
  readonly runProgram: RunProgram;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Neither are hooks run that Helm runs when it takes back. */
  readonly noHooks: boolean;
  /** For Helm's discovery cache. */
  readonly directory: string;
}

/** Enough of a stored record. */
interface Stored {
  readonly path: string;
  readonly name: string;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly revision: number;
  readonly status: string | undefined;
}

const DRIVERS: readonly Driver[] = ['secret', 'configmap'];

/**
 * Uninstalls a release that was not there before, and takes away its records.
 *
 * @returns whether there was anything of it
 * @throws TransshipError `HELM` in Helm's own words
 */
export async function takeInstallBack(
  context: UndoContext,
  settings: HelmSettings,
  { namespace, name }: Installing,
): Promise<boolean> {
  let wasThere = false;
  for (const driver of DRIVERS) {
    const records = await listRecords(context, driver, namespace, name);
    if (records.length === 0) continue;
    wasThere = true;
    // Helm removes what the newest record says, and those above the one that runs came along as history.
    const running = Math.max(
      0,
      ...records.filter(({ status }) => status === 'deployed').map(({ revision }) => revision),
    );
    const above = records.filter(({ revision }) => running > 0 && revision > running);
    for (const { path, uid } of above) await deleteObject(context, path, uid);
    await runHelm(context, settings, driver, (helm, run) => uninstallArguments(helm, run), { namespace, name });
    for (const { path, uid } of await listRecords(context, driver, namespace, name)) {
      await deleteObject(context, path, uid);
    }
  }
  context.uninstalled.add(`${namespace}/${name}`);
  return wasThere;
}

/**
 * Rolls a release back to the revision it had, and puts its records back exactly.
 *
 * @param records - those it had, read anew each time
 * @returns whether anything was to be done
 * @throws TransshipError `HELM` in Helm's own words; the records then stay as Helm left them
 */
export async function takeUpgradeBack(
  context: UndoContext,
  settings: HelmSettings,
  { namespace, name, revision }: Upgrading,
  records: () => AsyncIterable<KubeObject>,
): Promise<boolean> {
  const before = new Map<string, string | undefined>();
  let driver: Driver | undefined;
  let target: KubeObject | undefined;
  for await (const record of records()) {
    const { metadata } = record;
    before.set(metadata.name, metadata.resourceVersion);
    driver = record.kind === 'ConfigMap' ? 'configmap' : 'secret';
    if (metadata.labels?.version === String(revision)) target = record;
  }
  if (driver === undefined || target === undefined) throw failed(`The record of revision ${revision} was not there.`);
  const list = () => listRecords(context, driver, namespace, name);

  const now = await list();
  const isSame = ({ name: record, resourceVersion }: Stored) => before.get(record) === resourceVersion;
  if (now.length === before.size && now.every(isSame)) return false;
  const putAllBack = async () => {
    for await (const record of records()) {
      await putBack(context, recordsPath(driver, namespace, record.metadata.name), record);
    }
  };
  // Without its record, Helm can't go back to a revision: the release was uninstalled.
  const isGone = !now.some(({ revision: one }) => one === revision);
  if (isGone) await putAllBack();
  // Helm writes a record before it changes anything else.
  if (isGone || now.some(({ name: record }) => !before.has(record))) {
    const wasUninstalled = target.metadata.labels?.status === 'uninstalled';
    await runHelm(
      context,
      settings,
      driver,
      (helm, run) => (wasUninstalled ? uninstallArguments(helm, run, true) : rollbackArguments(helm, run, revision)),
      { namespace, name },
    );
  }
  await putAllBack();
  for (const { path, name: record, uid } of await list()) {
    if (!before.has(record)) await deleteObject(context, path, uid);
  }
  return true;
}

async function listRecords(
  { cluster, outage, signal }: UndoContext,
  driver: Driver,
  namespace: string,
  name: string,
): Promise<Stored[]> {
  const labelSelector = `owner=helm,name=${name}`;
  return outage.guard(async () => {
    const found: Stored[] = [];
    for await (const { metadata } of cluster.list(recordsPath(driver, namespace), { labelSelector, signal })) {
      const { uid, resourceVersion, labels = {} } = metadata;
      const path = recordsPath(driver, namespace, metadata.name);
      found.push({
        ...{ path, name: metadata.name, uid, resourceVersion },
        revision: Number(labels.version),
        status: labels.status,
      });
    }
    return found;
  });
}

async function runHelm(
  { cluster, timeout, signal }: UndoContext & { readonly cluster: Cluster },
  { helm, runProgram, env, noHooks, directory }: HelmSettings,
  driver: Driver,
  argumentsFor: (helm: Helm, run: Parameters<typeof uninstallArguments>[1]) => string[],
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<void> {
  if (helm === undefined) throw failed('There is no helm to take it back with.');
  const { access } = cluster;
  const run = { release: name, namespace, access, timeout: `${Math.ceil(timeout / 1000)}s`, noHooks };
  const environment = helmEnvironment(env, access, driver, join(directory, 'kube-cache'));
  const { exitCode, stderr } = await runProgram(helm.path, argumentsFor(helm, run), { env: environment, signal });
  signal?.throwIfAborted();
  if (exitCode !== 0) throw new TransshipError('HELM', helmWords(stderr, exitCode));
}
