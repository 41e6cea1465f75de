import { expect, test } from 'vitest';
import { cleanUpClones, UNFINISHED_LABEL } from '../../../src/vms/clone-clean-up.ts';
import { kindOf, objectOf } from '../resources/target-bed.ts';
import { fakeKubevirt, KUBEVIRT_KINDS, refusal } from './fake-kubevirt.ts';

const KINDS = [
  ...KUBEVIRT_KINDS,
  kindOf('v1 configmaps ConfigMap'),
  kindOf('apps/v1 controllerrevisions ControllerRevision'),
  kindOf('cdi.kubevirt.io/v1beta1 datavolumes DataVolume'),
];
const unfinished = (text: string, run = 'run-1') =>
  objectOf(text, { metadata: { labels: { [UNFINISHED_LABEL]: run } } });
const temporary = (text: string, run = 'run-1') =>
  objectOf(text, { metadata: { labels: { 'transship.dev/vm-run': run } } });

test('what a run has left unfinished goes, the machine first; what others have made stays', async () => {
  const cluster = fakeKubevirt(
    [
      temporary('v1 Secret shop/transship-clone-web-1'),
      temporary('v1 ConfigMap shop/transship-clone-web-1'),
      unfinished('v1 Secret shop/init'),
      unfinished('apps/v1 ControllerRevision shop/web-small-abcde'),
      unfinished('cdi.kubevirt.io/v1beta1 DataVolume shop/web-state-abcde'),
      unfinished('kubevirt.io/v1 VirtualMachine shop/web'),
      unfinished('kubevirt.io/v1 VirtualMachine shop/other', 'run-2'),
      // The source, in the same cluster, while it is stopped.
      temporary('kubevirt.io/v1 VirtualMachine stage/web'),
      objectOf('v1 Secret shop/password'),
    ],
    { kinds: KINDS },
  );
  const removed = await cleanUpClones(cluster, cluster.discovery, 'run-1');
  expect(removed[0]).toBe('/apis/kubevirt.io/v1/namespaces/shop/virtualmachines/web');
  expect(removed).toHaveLength(6);
  expect([...cluster.objects.keys()].map((path) => path.split('/').slice(-3).join('/'))).toEqual([
    'shop/virtualmachines/other',
    'stage/virtualmachines/web',
    'shop/secrets/password',
  ]);
});

test('what can not be deleted is named, after all the rest is', async () => {
  const cluster = fakeKubevirt(
    [unfinished('kubevirt.io/v1 VirtualMachine shop/web'), temporary('v1 ConfigMap shop/ca')],
    { kinds: KINDS },
  );
  cluster.intercept = ({ method, path }) => {
    if (method === 'DELETE' && path.endsWith('/web'))
      throw refusal(500, 'InternalError', 'the webhook does not answer');
  };
  await expect(cleanUpClones(cluster, cluster.discovery, 'run-1')).rejects.toMatchObject({
    message:
      'Some of what the clone made is still there. /apis/kubevirt.io/v1/namespaces/shop/virtualmachines/web: the webhook does not answer',
    hint: expect.stringContaining(`${UNFINISHED_LABEL}=run-1`),
  });
  expect(cluster.objects.size).toBe(1);
});

test('kinds that may not be listed are passed over', async () => {
  const cluster = fakeKubevirt([unfinished('kubevirt.io/v1 VirtualMachine shop/web')], { kinds: KINDS });
  cluster.intercept = ({ path }) => {
    if (path.endsWith('/secrets')) throw refusal(403, 'Forbidden', 'no');
  };
  expect(await cleanUpClones(cluster, cluster.discovery, 'run-1', { namespaces: ['shop'] })).toHaveLength(1);
});
