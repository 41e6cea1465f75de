import type { VmName } from './snapshot-object.ts';

/**
 * What the bytes of an archive come from, in a way that tells whether they are still the same: a snapshot never changes, an
 * export's disks can't be written while it is ready. Where there is nothing to export, the machine itself.
 */
export type ExportedFrom =
  | ({ readonly kind: 'snapshot'; readonly uid: string } & VmName)
  | ({ readonly kind: 'export'; readonly readySince: string; readonly uid: string } & VmName)
  | ({ readonly kind: 'vm'; readonly uid: string } & VmName);

/** As one line, as journals keep it: `export:shop/transship-export-db-1a2b3c4d:<uid>:<ready since>`. */
export function formatSources(sources: readonly ExportedFrom[]): string {
  return sources
    .map((one) => {
      const text = `${one.kind}:${one.namespace}/${one.name}:${one.uid}`;
      return one.kind === 'export' ? `${text}:${one.readySince}` : text;
    })
    .join(' ');
}

/** The reverse of {@link formatSources}; what is none is left out. */
export function parseSources(text = ''): ExportedFrom[] {
  return text.split(' ').flatMap((part): ExportedFrom[] => {
    const match = /^(snapshot|export|vm):([^/:]+)\/([^/:]+):([^:]+)(?::(.+))?$/.exec(part);
    if (match === null) return [];
    const [, kind, namespace = '', name = '', uid = '', readySince] = match;
    const found = { namespace, name, uid };
    if (kind === 'export') return readySince === undefined ? [] : [{ kind, ...found, readySince }];
    return readySince === undefined && (kind === 'snapshot' || kind === 'vm') ? [{ kind, ...found }] : [];
  });
}
