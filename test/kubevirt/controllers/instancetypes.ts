import type { KubeObject } from '../../../src/cluster/cluster.ts';
import type { Context } from '../context.ts';
import { field, namespaceOf, ownedBy, pathIn, text } from '../objects.ts';

const GROUP = '/apis/instancetype.kubevirt.io/v1beta1';
const REVISIONS = '/apis/apps/v1/controllerrevisions';

/**
 * Keeps a copy of the instancetype and the preference of a machine in a ControllerRevision, once.
 *
 * @returns what `status` says of them
 * @see https://github.com/kubevirt/kubevirt/blob/main/pkg/instancetype/revision/store.go
 */
export async function ensureRevisions(context: Context, vm: KubeObject): Promise<Record<string, unknown>> {
  const refs: Record<string, unknown> = {};
  for (const [what, plain, cluster] of [
    ['instancetype', 'VirtualMachineInstancetype', 'VirtualMachineClusterInstancetype'],
    ['preference', 'VirtualMachinePreference', 'VirtualMachineClusterPreference'],
  ] as const) {
    const name = text(vm, 'spec', what, 'name');
    if (name === undefined) continue;
    const known = field(vm, 'status', `${what}Ref`);
    if (known !== undefined) {
      refs[`${what}Ref`] = known;
      continue;
    }
    const isPlain = [plain, `${plain}s`].some(
      (one) => one.toLowerCase() === text(vm, 'spec', what, 'kind')?.toLowerCase(),
    );
    const revision =
      text(vm, 'spec', what, 'revisionName') ?? (await store(context, vm, isPlain ? plain : cluster, name, isPlain));
    if (revision === undefined) continue;
    refs[`${what}Ref`] = { name, kind: isPlain ? plain : cluster, controllerRevisionRef: { name: revision } };
  }
  return refs;
}

async function store(
  context: Context,
  vm: KubeObject,
  kind: string,
  name: string,
  isNamespaced: boolean,
): Promise<string | undefined> {
  const namespace = namespaceOf(vm);
  const collection = `${GROUP}/${kind.toLowerCase()}s`;
  const object = await context.kube.get(isNamespaced ? pathIn(collection, namespace, name) : `${collection}/${name}`);
  if (object === undefined) return undefined;
  const { uid, generation } = object.metadata;
  const revision = `${vm.metadata.name}-${name}-v1beta1-${uid}-${String(generation)}`;
  const {
    labels: _,
    annotations: __,
    finalizers: ___,
    ownerReferences: ____,
    managedFields: _____,
    ...metadata
  } = object.metadata;
  await context.kube.create(pathIn(REVISIONS, namespace), {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: revision,
      namespace,
      labels: {
        'instancetype.kubevirt.io/object-generation': String(generation),
        'instancetype.kubevirt.io/object-kind': kind,
        'instancetype.kubevirt.io/object-name': name,
        'instancetype.kubevirt.io/object-uid': uid,
        'instancetype.kubevirt.io/object-version': 'v1beta1',
      },
      ...ownedBy(vm),
    },
    data: { ...object, metadata },
    revision: 0,
  });
  return revision;
}
