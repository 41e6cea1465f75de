import { mapsIn } from '../values.ts';

/** How a volume can be read; `gzip` is never used, for it hides read errors behind a 200. */
export type VolumeFormat = 'raw' | 'gzip' | 'dir' | 'tar.gz';

/** Where one exported volume can be read. */
export interface VolumeLink {
  /** Of the claim; that of a snapshot's claim is the original's. */
  readonly name: string;
  /** URLs. */
  readonly formats: Readonly<Partial<Record<VolumeFormat, string>>>;
}

/** All that is needed to read the volumes of an export, until something goes wrong: pods restart, certificates rotate. */
export interface ExportLinks {
  readonly volumes: readonly VolumeLink[];
  /** PEM. Undefined where the system's authorities are to be trusted. */
  readonly ca: string | undefined;
  /** The name the certificate is for, where it is not that of the host that is connected to. */
  readonly serverName?: string;
  /** Where to connect to instead of the host of the URLs. */
  readonly connect?: { readonly host: string; readonly port: number };
}

/** An export that is ready; both its objects exist until it is closed. */
export interface VmExport {
  readonly name: string;
  readonly namespace: string;
  /** For the header `x-kubevirt-export-token`. */
  readonly token: string;
  /**
   * @param fresh - reads the export object again, waiting until it is ready again
   * @throws TransshipError when it is gone or can't become ready: its source is in use, its TTL has passed
   */
  links(fresh?: boolean): Promise<ExportLinks>;
  /** Deletes what was made for it. May be called again; what can't be deleted is told as a warning, and ends with its TTL. */
  close(): Promise<void>;
}

const FORMATS: readonly VolumeFormat[] = ['raw', 'gzip', 'dir', 'tar.gz'];

/**
 * The internal or external link of an export's status, `undefined` where it names no volumes.
 *
 * https://github.com/kubevirt/kubevirt/blob/main/staging/src/kubevirt.io/api/export/v1/types.go
 */
export function readLinks(link: unknown): ExportLinks | undefined {
  const [{ cert, volumes } = {}] = mapsIn([link]);
  const read = mapsIn(volumes).flatMap(({ name, formats }) => {
    const found = mapsIn(formats).flatMap(({ format, url }) => {
      const known = FORMATS.find((one) => one === format);
      return known !== undefined && typeof url === 'string' ? [[known, url] as const] : [];
    });
    return typeof name === 'string' && found.length > 0 ? [{ name, formats: Object.fromEntries(found) }] : [];
  });
  if (read.length === 0) return undefined;
  return { volumes: read, ca: typeof cert === 'string' && cert.trim() !== '' ? cert : undefined };
}

/** The host that the URLs of these links are at, such as `virt-export-web.shop.svc`. */
export function hostOf({ volumes }: ExportLinks): string | undefined {
  const [url] = volumes.flatMap(({ formats }) => Object.values(formats));
  return url !== undefined && URL.canParse(url) ? new URL(url).hostname : undefined;
}
