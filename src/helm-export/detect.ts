/** A length-delimited field 1 or 2: the metadata of an export, or a release. */
const METADATA_TAG = 0x0a;
const RELEASE_TAG = 0x12;

/**
 * Whether bytes, after gzip, begin as `hapi.export.Export` does: with its metadata or a release, whose first field is a
 * text or a message, as all that are usual there are. No tar does: one begins with a name.
 *
 * @param head - the first bytes
 */
export function isHelmExport(head: Uint8Array): boolean {
  if (head[0] !== METADATA_TAG && head[0] !== RELEASE_TAG) return false;
  let at = 1;
  let size = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = head[at++];
    if (byte === undefined || shift > 28) return false;
    size += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  // Nothing but what is empty may follow what is empty.
  if (size === 0) return head[at] === undefined || head[at] === METADATA_TAG || head[at] === RELEASE_TAG;
  const tag = head[at] ?? 0;
  return (tag & 0x07) === 2 && tag >> 3 > 0;
}
