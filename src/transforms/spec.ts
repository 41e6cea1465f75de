import type { FieldPath } from './field-paths.ts';

/** Where something is said: the line of a file, or the input. */
export type Place = string;

/** One of the pairs of a map. */
export interface Pair {
  readonly from: string;
  readonly to: string;
  readonly place: Place;
}

/** Which objects a transform is for; each of the lists that are given must have one that fits. */
export interface SelectionSpec {
  readonly kinds?: readonly string[] | undefined;
  readonly names?: readonly string[] | undefined;
  readonly namespaces?: readonly string[] | undefined;
  /** A label selector. */
  readonly labels?: string | undefined;
}

/** Labels or annotations to set and to take away. */
export interface MetadataSpec {
  readonly set: Readonly<Record<string, string>>;
  /** Names, or globs. */
  readonly remove: readonly string[];
  /** Those of pod templates too. */
  readonly templates: boolean;
}

export type ReplaceSpec =
  | { readonly text: string; readonly with: string; readonly in?: readonly FieldPath[] | undefined }
  | {
      readonly regex: string;
      readonly flags: string;
      readonly with: string;
      readonly in?: readonly FieldPath[] | undefined;
    };

/** One operation of a JSON patch, checked. */
export interface PatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

export type JsonMap = Readonly<Record<string, unknown>>;

/** What a transform does. */
export type ActionSpec =
  | { readonly type: 'namespaces'; readonly pairs: readonly Pair[] }
  | { readonly type: 'storageClasses'; readonly pairs: readonly Pair[] }
  | { readonly type: 'images'; readonly pairs: readonly Pair[] }
  /** All pairs at once, in all strings. */
  | { readonly type: 'replaceText'; readonly pairs: readonly Pair[] }
  | { readonly type: 'replace'; readonly replace: ReplaceSpec }
  | { readonly type: 'labels'; readonly metadata: MetadataSpec }
  | { readonly type: 'annotations'; readonly metadata: MetadataSpec }
  | { readonly type: 'jsonPatch'; readonly operations: readonly PatchOperation[] }
  | { readonly type: 'mergePatch'; readonly patch: JsonMap }
  | { readonly type: 'strategicPatch'; readonly patch: JsonMap };

/** One transform, read and checked. */
export interface TransformSpec {
  /** What a person calls it, such as `hosts`, `transforms[2]` or `image-map`. */
  readonly title: string;
  readonly place: Place;
  readonly select: SelectionSpec;
  readonly action: ActionSpec;
}
