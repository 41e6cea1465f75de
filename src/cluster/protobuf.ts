import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { DataObject } from './cluster.ts';
import type { WireAnswer } from './transport.ts';

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources */
export const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';

export function isProtobuf(headers: WireAnswer['headers']): boolean {
  return headers['content-type']?.startsWith(PROTOBUF_TYPE) === true;
}

/** A list of Secrets or ConfigMaps. */
export interface DataList {
  readonly metadata: { readonly continue?: string };
  readonly items: readonly DataObject[];
}

/** A refusal, with the names that its JSON has; its HTTP status says the rest. */
export interface DecodedStatus {
  readonly kind: 'Status';
  readonly metadata: { readonly continue?: string };
  readonly message: string;
  readonly reason: string;
}

/**
 * Decodes a SecretList or ConfigMapList.
 *
 * @throws Error when it is anything else, or not whole
 */
export function decodeDataList(body: Uint8Array): DataList {
  const { kind, raw } = openEnvelope(body);
  const decodeItem = kind === 'SecretList' ? decodeSecret : kind === 'ConfigMapList' ? decodeConfigMap : undefined;
  if (decodeItem === undefined) {
    throw new Error(`it holds "${kind}" and no list of Secrets or ConfigMaps`);
  }
  const list = fieldsOf(raw);
  return { metadata: decodeListMeta(list[1]), items: (list[2] ?? []).map(decodeItem) };
}

/**
 * Decodes a Status.
 *
 * @throws Error when it is anything else, or not whole
 */
export function decodeStatus(body: Uint8Array): DecodedStatus {
  const { kind, raw } = openEnvelope(body);
  if (kind !== 'Status') {
    throw new Error(`it holds "${kind}" and no Status`);
  }
  const status = fieldsOf(raw);
  return { kind, metadata: decodeListMeta(status[1]), message: textOf(status[3]), reason: textOf(status[4]) };
}

// The numbers are those of the fields in the API's own definitions, where none ever changes its number:
// https://github.com/kubernetes/apimachinery/blob/v0.35.4/pkg/runtime/generated.proto (Unknown, TypeMeta)
// https://github.com/kubernetes/apimachinery/blob/v0.35.4/pkg/apis/meta/v1/generated.proto (ListMeta, ObjectMeta, Status)
// https://github.com/kubernetes/api/blob/v0.35.4/core/v1/generated.proto (Secret, ConfigMap and their lists)

const MAGIC = Buffer.from('k8s\0');

/** Opens what is around every object. */
function openEnvelope(body: Uint8Array): { kind: string; raw: Uint8Array } {
  if (!MAGIC.equals(body.subarray(0, MAGIC.length))) {
    throw new Error('it does not begin as an object of Kubernetes does');
  }
  const unknown = fieldsOf(body.subarray(MAGIC.length));
  const raw = unknown[2]?.at(-1);
  const encoding = textOf(unknown[3]);
  if (raw === undefined || encoding !== '') {
    throw new Error(raw === undefined ? 'it holds no object' : `its object is encoded as "${encoding}"`);
  }
  return { kind: textOf(fieldsOf(unknown[1]?.at(-1))[2]), raw };
}

function decodeListMeta(values: Values): DataList['metadata'] {
  return { continue: textOf(fieldsOf(values?.at(-1))[3]) };
}

function decodeSecret(bytes: Uint8Array): DataObject {
  const { 1: metadata, 2: data } = fieldsOf(bytes);
  return { kind: 'Secret', metadata: decodeObjectMeta(metadata), data: new Map(bytesOf(data)) };
}

function decodeConfigMap(bytes: Uint8Array): DataObject {
  const { 1: metadata, 2: data, 3: binaryData } = fieldsOf(bytes);
  return {
    kind: 'ConfigMap',
    metadata: decodeObjectMeta(metadata),
    data: new Map([...bytesOf(data), ...bytesOf(binaryData)]),
  };
}

function decodeObjectMeta(values: Values): DataObject['metadata'] {
  const { 1: name, 3: namespace, 5: uid, 11: labels, 12: annotations } = fieldsOf(values?.at(-1));
  if (name === undefined) {
    throw new Error('an object in it has no name');
  }
  return {
    name: textOf(name),
    namespace: textOf(namespace),
    uid: textOf(uid),
    ...(labels !== undefined && { labels: textsOf(labels) }),
    ...(annotations !== undefined && { annotations: textsOf(annotations) }),
  };
}

function entriesOf(values: Values): [key: string, value: Uint8Array][] {
  return (values ?? []).map((entry) => {
    const { 1: key, 2: value } = fieldsOf(entry);
    return [textOf(key), value?.at(-1) ?? EMPTY];
  });
}

function textsOf(values: Values): Record<string, string> {
  return Object.fromEntries(entriesOf(values).map(([key, value]) => [key, decoder.decode(value)]));
}

/** Of their own: views would keep the whole page from being used again. */
function bytesOf(values: Values): [key: string, value: Uint8Array][] {
  return entriesOf(values).map(([key, value]) => [key, Buffer.from(value)]);
}

/** Of a field that is there more than once, the last one counts. */
function textOf(values: Values): string {
  const bytes = values?.at(-1);
  return bytes === undefined ? '' : decoder.decode(bytes);
}

/** What one field holds: nothing, or once and again. */
type Values = readonly Uint8Array[] | undefined;

const EMPTY = new Uint8Array();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The texts, bytes and messages in a message by the number of their field, as views of it. Numbers are left out. */
function fieldsOf(message: Uint8Array = EMPTY): readonly Values[] {
  const fields: Uint8Array[][] = [];
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) {
      const values = fields[number];
      if (values === undefined) {
        fields[number] = [reader.bytes()];
      } else {
        values.push(reader.bytes());
      }
    } else {
      reader.skip(type, number);
    }
  }
  return fields;
}
