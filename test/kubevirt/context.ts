import type { KubeObject } from '../../src/cluster/cluster.ts';
import type { Authority } from '../cluster/certificates.ts';
import type { ExportApi } from './crds.ts';
import type { Endpoint } from './endpoint.ts';
import type { CertificateRoom, HttpsStandIn } from './https-server.ts';
import type { Kube, Stores } from './kube.ts';
import type { ReceivedDisk } from './received-disk.ts';
import type { UploadServer } from './upload-server.ts';
import type { TestClock } from './upload-token.ts';
import type { Volumes } from './volumes.ts';

/** An exporter pod that serves. */
export interface RunningExporter {
  /** Of its pod. */
  readonly uid: string;
  readonly server: HttpsStandIn;
  readonly handle: Endpoint['handle'];
  /** Fires when the pod dies, and with it what goes through the proxy. */
  readonly death: AbortController;
  /** Who signed its certificate. */
  readonly authority: Authority;
}

/** Which controllers do nothing for the moment. */
export type Held = 'exports' | 'snapshots' | 'machines' | 'uploads' | 'imports';

/** What the stand-ins for the controllers share. */
export interface Context {
  readonly kube: Kube;
  readonly stores: () => Stores;
  readonly clock: TestClock;
  readonly volumes: Volumes;
  readonly certificates: CertificateRoom;
  readonly exportApi: ExportApi;
  readonly exportsPath: string;
  /** Signs the certificates of exporter pods; it may be another one later. */
  exportAuthority(): Authority;
  /** `<host>:<port>` and certificate of the links from outside; undefined where there is no way in. */
  external(): { readonly host: string; readonly cert: string } | undefined;
  /** Whether internal links lead to this machine rather than to names of Services. */
  readonly internalLinks: 'loopback' | 'services';
  /** Where the pods are that a port can be forwarded to; absent: anywhere. */
  readonly node: string | undefined;
  /** By namespace and name of the export. */
  readonly exporters: Map<string, RunningExporter>;
  /** By UID of the pod. */
  readonly uploads: Map<string, UploadServer>;
  /** What was uploaded or downloaded, by namespace and claim. */
  readonly received: Map<string, ReceivedDisk>;
  /** Imports under way, by UID of the claim. */
  readonly imports: Map<string, AbortController>;
  readonly keepUploads: boolean;
  /** What takes time after an asynchronous upload. */
  readonly processUpload: (() => Promise<void>) | undefined;
  isHeld(what: Held): boolean;
  /** Looks at everything again, soon or after so many milliseconds. */
  again(after?: number): void;
  /** Notes what went wrong outside of a pass of the controllers. */
  report(error: unknown): void;
}

/** Objects of a collection in one namespace. */
export function inNamespace(context: Context, path: string, namespace: string): KubeObject[] {
  return context
    .stores()
    .all(path)
    .filter(({ metadata }) => metadata.namespace === namespace);
}

export function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
