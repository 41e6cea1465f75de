import { createObject } from '../cluster/apply.ts';
import type { Clock } from '../cluster/clock.ts';
import { ClusterError, type KubeObject } from '../cluster/cluster.ts';
import { cancelledBy, TransshipError } from '../errors.ts';
import type { Reporter } from '../report/reporter.ts';
import { isMap } from '../values.ts';
import { UNFINISHED_LABEL } from './clone-clean-up.ts';
import type { CloneWriter, MadeObject } from './clone-objects.ts';
import { waitUntilImported } from './clone-progress.ts';
import type { CloneSide, OpenSource } from './clone-source.ts';
import {
  caConfigMap,
  caData,
  type HttpAccess,
  headerSecret,
  httpSource,
  importUrl,
  settledTemplates,
  withSource,
  withTemplateSources,
} from './http-source.ts';
import type { ExportLinks, VmExport } from './links.ts';
import { ownedBy, type VmImportPlan } from './plan-vm-import.ts';
import type { PlannedVolume } from './plan-volumes.ts';
import { removeTemporary } from './remove-temporary.ts';
import { allowed, type NamespacedKind, pathIn, SECRETS, temporaryName } from './temporary-objects.ts';
import { checkCapacity } from './wait-volume.ts';

export interface CloneTargetOptions {
  readonly namespace: string;
  /** Of the machine, or the claim alone, at the target. */
  readonly name: string;
  /** To begin a line with, such as `VM shop/web`. */
  readonly what: string;
  readonly run: string;
  /** Milliseconds without progress. */
  readonly timeout: number;
  /** Milliseconds that the export lasts. */
  readonly ttl: number;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A clone at the target, from its first object on. */
export interface CloneAtTarget {
  /** Creates all: what the machine needs, the machine, its disks and what CDI reads them with. */
  create(): Promise<void>;
  /** Waits until all disks are copied. @throws LinksMoved when that is in vain */
  fill(): Promise<void>;
  /** Sets when the machine runs: from then on it is whole. */
  finish(): Promise<void>;
  /** Deletes what CDI has read with. */
  closeAccess(): Promise<void>;
  /** Deletes machine and disks. @returns what could not be deleted, with why */
  takeBack(): Promise<string[]>;
}

/** The links of an export are others than the DataVolumes were made with, whose source can't be changed. */
export class LinksMoved extends Error {
  override name = 'LinksMoved';
}

/** One export as the target knows it. */
interface Access extends HttpAccess {
  readonly vmExport: VmExport;
  readonly volumes: readonly PlannedVolume[];
  readonly urls: ReadonlyMap<string, string>;
  ca: string | undefined;
}

const CONFIG_MAPS: NamespacedKind = { group: '', apiVersion: 'v1', plural: 'configmaps' };
const TRIES = 5;
const GAP = 500;
const MERGE = 'application/merge-patch+json';

/** @param objects - gets what the machine needs and others may need too, which `takeBack` leaves */
export function cloneAtTarget(
  { cluster, discovery }: CloneSide,
  plan: VmImportPlan,
  source: OpenSource,
  writer: CloneWriter,
  objects: MadeObject[],
  options: CloneTargetOptions,
): CloneAtTarget {
  const { namespace, what, run, reporter, signal, clock } = options;
  const purpose = `Cloning the ${what}`;
  const made: MadeObject[] = [];
  const temporary: string[] = [];
  let accesses: readonly Access[] = [];
  let machine: MadeObject | undefined;

  function accessOf({ source: claim }: PlannedVolume): { url: string; access: Access } {
    for (const access of accesses) {
      const url = access.urls.get(claim);
      if (url !== undefined) return { url, access };
    }
    throw new TransshipError('CLUSTER', `The export of the ${what} does not have the claim ${claim}.`);
  }

  const sourceOf = (volume: PlannedVolume) => {
    const { url, access } = accessOf(volume);
    return httpSource(url, access);
  };

  async function createTemporary(object: KubeObject, kind: NamespacedKind, root: KubeObject): Promise<void> {
    const { apiVersion, kind: ownerKind, metadata } = root;
    // So that a killed run leaves it no longer than what it was made for.
    const owner = { apiVersion, kind: ownerKind, name: metadata.name, uid: metadata.uid ?? '' };
    const owned = { ...object, metadata: { ...object.metadata, ownerReferences: [owner] } };
    temporary.push(pathIn(kind, namespace, object.metadata.name));
    const wanted = { verb: 'create', group: '', resource: kind.plural, namespace, purpose };
    await allowed(wanted, () => createObject(cluster, discovery, owned));
  }

  async function openAccess(root: KubeObject): Promise<void> {
    for (const { vmExport, secret, configMap, ca } of accesses) {
      reporter.mask(Buffer.from(`x-kubevirt-export-token:${vmExport.token}`).toString('base64'));
      await createTemporary(headerSecret({ name: secret, namespace, run }, vmExport.token), SECRETS, root);
      if (configMap === undefined) continue;
      await createTemporary(caConfigMap({ name: configMap, namespace, run }, ca ?? ''), CONFIG_MAPS, root);
    }
  }

  async function refresh(): Promise<void> {
    for (const access of accesses) {
      const links = await access.vmExport.links(true);
      const urls = urlsOf(access.volumes, source, links);
      const hasMoved = [...access.urls].some(([claim, url]) => urls.get(claim) !== url);
      // Whether there is a ConfigMap is a part of a DataVolume's source.
      if (hasMoved || (links.ca === undefined) !== (access.ca === undefined)) {
        throw new LinksMoved(
          `The links of the export ${access.vmExport.namespace}/${access.vmExport.name} have changed.`,
        );
      }
      if (links.ca === undefined || links.ca === access.ca || access.configMap === undefined) continue;
      const path = pathIn(CONFIG_MAPS, namespace, access.configMap);
      await cluster.json({ method: 'PATCH', path, contentType: MERGE, body: { data: caData(links.ca) }, signal });
      access.ca = links.ca;
      reporter.info(`${what}: the certificate of the export has changed; CDI gets the new one.`);
    }
  }

  async function create(): Promise<void> {
    accesses = await Promise.all(
      source.exports.map(async ({ vmExport, claims }): Promise<Access> => {
        const links = await vmExport.links();
        const volumes = plan.dataVolumes.filter((volume) => claims.includes(volume.source));
        const name = temporaryName('transship-clone', options.name);
        const configMap = links.ca === undefined ? undefined : name;
        return { vmExport, volumes, urls: urlsOf(volumes, source, links), ca: links.ca, secret: name, configMap };
      }),
    );
    const sources = new Map(plan.dataVolumes.map((volume) => [volume.name, sourceOf(volume)]));
    for (const object of plan.objects) {
      if (signal.aborted) throw cancelledBy(signal, purpose);
      if (object.kind === 'Namespace') await writer.createNamespace(object, purpose);
      else await writer.create(object, objects, purpose);
    }
    let root: KubeObject | undefined;
    if (plan.vm !== undefined) {
      if (signal.aborted) throw cancelledBy(signal, purpose);
      root = await writer.create(
        withTemplateSources(plan.vm, (name) => sources.get(name)),
        made,
        purpose,
      );
      machine = made.at(-1);
      // First, for CDI's pods wait for it.
      await openAccess(root);
      await ownRevisions(root);
    }
    for (const { dataVolume, name, isTemplate } of plan.dataVolumes) {
      if (isTemplate) continue;
      if (signal.aborted) throw cancelledBy(signal, purpose);
      const filled = withSource(dataVolume, sources.get(name));
      const owners = root === undefined ? {} : { ownerReferences: [ownedBy(root)] };
      const live = await writer.create({ ...filled, metadata: { ...filled.metadata, ...owners } }, made, purpose);
      if (root === undefined) await openAccess(live);
    }
  }

  async function ownRevisions(root: KubeObject): Promise<void> {
    const mine = new Set(
      plan.objects.filter(({ kind }) => kind === 'ControllerRevision').map(({ metadata }) => metadata.name),
    );
    for (const { kind, name, path } of objects) {
      if (kind !== 'ControllerRevision' || !mine.has(name)) continue;
      const body = { metadata: { ownerReferences: [ownedBy(root)] } };
      await cluster.json({ method: 'PATCH', path, contentType: MERGE, body, signal });
    }
  }

  async function fill(): Promise<void> {
    const volumes = plan.dataVolumes.map((volume) => {
      return { name: volume.name, source: volume.source, url: accessOf(volume).url };
    });
    const claims = await waitUntilImported(cluster, discovery, volumes, { ...options, longest: options.ttl, refresh });
    for (const volume of plan.dataVolumes) {
      const claim = claims.get(volume.source);
      if (claim !== undefined && volume.contentType === 'kubevirt') checkCapacity(claim, volume.size);
    }
  }

  async function finish(): Promise<void> {
    // The machine last: until then all goes when the run is killed.
    for (const object of made) if (object !== machine) await writer.settle(object);
    if (machine === undefined) return;
    const { path } = machine;
    for (let tries = 1; ; tries += 1) {
      const live = await cluster.json<KubeObject>({ method: 'GET', path });
      const templates = settledTemplates(live);
      const body = {
        metadata: { resourceVersion: live.metadata.resourceVersion, labels: { [UNFINISHED_LABEL]: null } },
        spec: {
          ...(plan.runStrategy !== undefined && { runStrategy: plan.runStrategy }),
          ...(templates !== undefined && { dataVolumeTemplates: templates }),
        },
      };
      try {
        await cluster.json({ method: 'PATCH', path, contentType: MERGE, body });
        return;
      } catch (error) {
        // KubeVirt has changed it in between.
        if (!(error instanceof ClusterError) || error.status !== 409 || tries === TRIES) throw error;
        await clock.sleep(GAP);
      }
    }
  }

  return {
    create,
    fill,
    finish,
    async closeAccess() {
      await removeTemporary(cluster, temporary.splice(0), 'It is of no use when the export is gone.', reporter);
    },
    takeBack: () => writer.remove(made.splice(0)),
  };
}

function urlsOf(
  volumes: readonly PlannedVolume[],
  { description }: OpenSource,
  links: ExportLinks,
): Map<string, string> {
  return new Map(
    volumes.map(({ source }) => {
      const volume = description.volumes.find(({ pvc }) => pvc === source);
      if (!isMap(volume)) throw new TransshipError('CLUSTER', `The claim ${source} is not described.`);
      return [source, importUrl(volume, links)];
    }),
  );
}
