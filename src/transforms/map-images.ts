import type { KubeObject } from '../cluster/cluster.ts';
import { isMap } from '../values.ts';
import { type ImageReference, isRegistry, parseImage } from './image-references.ts';
import type { PairMapper } from './map-storage-classes.ts';
import type { Pair } from './spec.ts';

const CONTAINER_LISTS = ['containers', 'initContainers', 'ephemeralContainers'];

/**
 * What is wrong with a pair of an image map.
 *
 * @returns undefined for a good one
 */
export function checkImagePair(from: string, to: string): string | undefined {
  const scheme = [from, to].find((text) => text.includes('://'));
  if (scheme !== undefined) return `${JSON.stringify(scheme)} has a scheme. Leave ${scheme.split('://')[0]}:// away.`;
  if (parseKey(from) === undefined) return `${JSON.stringify(from)} is no registry, repository or image.`;
  const target = parseTarget(to);
  if (target === undefined) return `${JSON.stringify(to)} is no registry, repository or image.`;
  if (isPinned(target) && parseKey(from)?.isRegistry === true) {
    return `${JSON.stringify(to)} has a tag, and ${JSON.stringify(from)} is more than one image.`;
  }
  return undefined;
}

/** Maps the images of containers and image volumes, wherever they stand in an object. */
export function createImageMapper(pairs: readonly Pair[]): PairMapper {
  const used = new Set<Pair>();
  const prefixes = new Map<string, Pair>();
  const exact = new Map<string, Pair>();
  for (const pair of pairs) {
    const key = parseKey(pair.from);
    const target = parseTarget(pair.to);
    if (key === undefined || target === undefined) continue;
    if (isPinned(key) || isPinned(target)) exact.set(writeImage(key), pair);
    else for (const name of [key.name, ...key.alsoNames]) prefixes.set(name, pair);
  }
  const known = new Map<string, string | undefined>();

  const find = (text: string): string | undefined => {
    const image = parseImage(text);
    if (image === undefined) return undefined;
    const { name, digest } = image;
    const tag = image.tag ?? (digest === undefined ? 'latest' : undefined);
    const one =
      exact.get(`${name}:${tag}@${digest}`) ??
      exact.get(`${name}@${digest}`) ??
      exact.get(`${name}:${tag}`) ??
      exact.get(name);
    if (one !== undefined) {
      used.add(one);
      return replaceWhole(image, one.to);
    }
    for (let end = name.length; end > 0; end = name.lastIndexOf('/', end - 1)) {
      const pair = prefixes.get(name.slice(0, end));
      if (pair === undefined) continue;
      used.add(pair);
      return end === name.length
        ? replaceWhole(image, pair.to)
        : writeImage({ ...image, name: pair.to.replace(/\/$/, '') + name.slice(end) });
    }
    return undefined;
  };
  const mapField = (owner: unknown, field: string): boolean => {
    if (!isMap(owner)) return false;
    const text = owner[field];
    if (typeof text !== 'string') return false;
    if (!known.has(text)) known.set(text, find(text));
    const mapped = known.get(text);
    if (mapped === undefined || mapped === text) return false;
    owner[field] = mapped;
    return true;
  };
  const visit = (value: unknown): boolean => {
    let changed = false;
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object') changed = visit(item) || changed;
      return changed;
    }
    if (!isMap(value)) return false;
    for (const list of CONTAINER_LISTS) {
      const containers = value[list];
      if (!Array.isArray(containers)) continue;
      for (const container of containers) changed = mapField(container, 'image') || changed;
    }
    if (Array.isArray(value.volumes)) {
      for (const volume of value.volumes) {
        if (!isMap(volume)) continue;
        changed = mapField(volume.image, 'reference') || changed;
        // https://kubevirt.io/user-guide/storage/disks_and_volumes/#containerdisk
        changed = mapField(volume.containerDisk, 'image') || changed;
      }
    }
    for (const key in value) {
      const item = value[key];
      if (typeof item === 'object' && item !== null) changed = visit(item) || changed;
    }
    return changed;
  };
  return {
    apply: (object: KubeObject) => (object.kind === 'CustomResourceDefinition' ? false : visit(object)),
    mayChange: (text) => text.includes('image'),
    unused: () => pairs.filter((pair) => !used.has(pair)),
  };
}

interface ImageKey extends ImageReference {
  /** All of a registry's images. */
  readonly isRegistry: boolean;
  readonly alsoNames: readonly string[];
}

/** Reads the key of a pair; a slash at its end makes sure that it is a registry. */
function parseKey(text: string): ImageKey | undefined {
  const plain = text.replace(/\/$/, '').replace(/^index\.docker\.io(?=\/|$)/, 'docker.io');
  if (isHost(plain, text.endsWith('/'))) {
    const isName = parseImage(`${plain}/x/x`) !== undefined;
    return isName ? { name: plain, tag: undefined, digest: undefined, isRegistry: true, alsoNames: [] } : undefined;
  }
  const image = parseImage(plain);
  if (image === undefined) return undefined;
  // docker.io/nginx is docker.io/library/nginx, but docker.io/bitnami may be all of an organisation.
  const isShort = !isPinned(image) && /^docker\.io\/[^/]+$/.test(plain);
  return { ...image, isRegistry: false, alsoNames: isShort ? [plain] : [] };
}

/** What a pair maps to: a registry and maybe a repository, or an image with a tag or digest. */
function parseTarget(text: string): Omit<ImageReference, 'name'> | undefined {
  const plain = text.replace(/\/$/, '');
  if (!isHost(plain, text.endsWith('/'))) return parseImage(plain);
  return parseImage(`${plain}/x/x`) === undefined ? undefined : { tag: undefined, digest: undefined };
}

/** Whether there is nothing but the name of a registry. What has a colon and no dot is an image with its tag. */
function isHost(plain: string, hasSlash: boolean): boolean {
  const host = /^([^/:@]+)(?::\d+)?$/.exec(plain)?.[1];
  return host !== undefined && (hasSlash || isRegistry(host));
}

function isPinned({ tag, digest }: Omit<ImageReference, 'name'>): boolean {
  return tag !== undefined || digest !== undefined;
}

/** The image under another name. Its tag and digest stay, unless the new one has its own: a digest is of one tag only. */
function replaceWhole(image: ImageReference, to: string): string {
  const target = parseTarget(to);
  if (target === undefined || !isPinned(target)) return writeImage({ ...image, name: to.replace(/\/$/, '') });
  const keepsDigest = target.digest === undefined && target.tag === image.tag;
  return keepsDigest && image.digest !== undefined ? `${to}@${image.digest}` : to;
}

function writeImage({ name, tag, digest }: ImageReference): string {
  return `${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
