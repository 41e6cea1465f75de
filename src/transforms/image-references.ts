/** An image's name in parts; `docker.io` and `library/` are filled in where they are left out. */
export interface ImageReference {
  /** Such as `docker.io/library/nginx`. */
  readonly name: string;
  /** Without the colon. */
  readonly tag: string | undefined;
  /** Such as `sha256:…`. */
  readonly digest: string | undefined;
}

const REFERENCE =
  /^([a-z0-9](?:[\w.-]*[a-z0-9])?(?::\d+)?(?:\/[a-z0-9](?:[\w.-]*[a-z0-9])?)*)(?::([\w][\w.-]{0,127}))?(?:@([\w+.-]+:[0-9a-fA-F]{32,}))?$/i;

/**
 * Reads an image as container runtimes do: https://github.com/distribution/reference/blob/v0.6.0/normalize.go
 *
 * @returns undefined for what is none
 */
export function parseImage(text: string): ImageReference | undefined {
  const slash = text.indexOf('/');
  const match = REFERENCE.exec(text);
  if (match === null) return undefined;
  let [, name = '', tag, digest] = match;
  // A colon in the only part is a tag's, not a port's.
  if (slash === -1 && tag === undefined) {
    const [image = '', port] = name.split(':');
    name = image;
    tag = port;
  }
  return { name: withRegistry(name), tag, digest };
}

/** Whether the first part of a name is a registry's. */
export function isRegistry(part: string): boolean {
  return part.includes('.') || part.includes(':') || part === 'localhost';
}

function withRegistry(name: string): string {
  const slash = name.indexOf('/');
  const first = slash === -1 ? name : name.slice(0, slash);
  if (slash !== -1 && isRegistry(first)) {
    if (first !== 'docker.io' && first !== 'index.docker.io') return name;
    const rest = name.slice(slash + 1);
    return `docker.io/${rest.includes('/') ? rest : `library/${rest}`}`;
  }
  return slash === -1 ? `docker.io/library/${name}` : `docker.io/${name}`;
}
