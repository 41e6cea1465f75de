/** The custom kinds that releases use or serve, gathered while their records pass by. */
export interface CrdNeeds {
  /** Kinds of objects in manifests and hooks, by `<group>/<kind>`; `running`: a deployed revision has one. */
  readonly kinds: Map<string, { readonly group: string; readonly kind: string; running: boolean }>;
  /** Resources that RBAC and webhook rules name, by group; `*` where a rule names the whole group. */
  readonly resources: Map<string, Set<string>>;
  /** CRDs named outright, `<plural>.<group>`: in a chart's `crds/` folder, or as a document of a manifest. */
  readonly names: Set<string>;
  /** Digests of the texts that have been looked through. */
  readonly seen: Set<string>;
}

/** Needs to start with. */
export function createCrdNeeds(): CrdNeeds {
  return { kinds: new Map(), resources: new Map(), names: new Set(), seen: new Set() };
}
