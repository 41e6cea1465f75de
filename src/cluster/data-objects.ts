import { isMap } from '../values.ts';
import type { DataObject, KubeObject } from './cluster.ts';
import { type DataList, decodeDataList, isProtobuf, PROTOBUF_TYPE } from './protobuf.ts';
import type { ReadAnswer } from './request.ts';

/** What to ask for: a server that knows no protobuf, or a proxy in front of it, answers with JSON. */
export const DATA_LIST_TYPES = `${PROTOBUF_TYPE}, application/json`;

/** An item of a list has no kind of its own. */
interface JsonItem {
  readonly metadata: KubeObject['metadata'];
  readonly data?: unknown;
  readonly binaryData?: unknown;
}

interface JsonList {
  readonly kind: string;
  readonly metadata?: DataList['metadata'];
  readonly items: readonly JsonItem[] | null;
}

/**
 * Reads an answer that lists Secrets or ConfigMaps.
 *
 * @throws Error when it is anything else, or not whole
 */
export const readDataList: ReadAnswer<DataList> = ({ headers, body }) => {
  if (isProtobuf(headers)) {
    return decodeDataList(body);
  }
  const list: JsonList | null = JSON.parse(body.toString('utf8'));
  if (list?.kind !== 'SecretList' && list?.kind !== 'ConfigMapList') {
    throw new Error(`it holds "${list?.kind}" and no list of Secrets or ConfigMaps`);
  }
  const kind = list.kind === 'SecretList' ? 'Secret' : 'ConfigMap';
  return { metadata: list.metadata ?? {}, items: (list.items ?? []).map((item) => dataObjectOf(kind, item)) };
};

/** The same object with its values as bytes; undefined for one that is neither Secret nor ConfigMap. */
export function toDataObject(object: KubeObject): DataObject | undefined {
  const { kind } = object;
  return kind === 'Secret' || kind === 'ConfigMap' ? dataObjectOf(kind, object) : undefined;
}

function dataObjectOf(kind: DataObject['kind'], { metadata, data, binaryData }: JsonItem): DataObject {
  const values = bytesOf(data, kind === 'Secret' ? 'base64' : 'utf8');
  return { kind, metadata, data: new Map([...values, ...bytesOf(binaryData, 'base64')]) };
}

function bytesOf(values: unknown, encoding: 'base64' | 'utf8'): [key: string, value: Uint8Array][] {
  return Object.entries(isMap(values) ? values : {}).map(([key, value]) => [key, Buffer.from(String(value), encoding)]);
}
