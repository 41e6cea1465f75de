import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bigValues, chart as fixtureChart } from '../e2e/fixtures.ts';
import type { RestoreBed } from './restore-bed.ts';

const CONFIG = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  text: {{ .Values.text | quote }}
  random: {{ randAlphaNum 20 | quote }}
`;
const HOOK = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-hook
  annotations: { helm.sh/hook: "pre-install,pre-upgrade" }
data:
  text: {{ .Values.text | quote }}
`;
/** A Job that waits for a node that will never be. */
const ENDLESS = `{{ if .Values.endless }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-endless
  annotations: { helm.sh/hook: post-install }
spec:
  template:
    spec:
      restartPolicy: Never
      nodeSelector: { kubernetes.io/hostname: nowhere }
      containers: [{ name: wait, image: wait }]
{{ end }}
`;
/** What the API server refuses. */
const REFUSED = `{{ if .Values.refused }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: UPPER
  annotations: { helm.sh/hook: post-install }
{{ end }}
`;

const crd = (plural: string, kind: string, group: string, more = '') => `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: ${plural}.${group}
spec:
  group: ${group}
  scope: Namespaced
  names: { plural: ${plural}, singular: ${kind.toLowerCase()}, kind: ${kind}${more} }
  versions:
  - name: v1
    served: true
    storage: true
    schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
`;
const custom = (kind: string, group: string) => `apiVersion: ${group}/v1
kind: ${kind}
metadata:
  name: {{ .Release.Name }}
spec: { a: 1 }
`;

/**
 * Fills the source with releases made by the real Helm 3 and 4: in `team` several of the chart `app`, in `many` small
 * ones, in `custom` what brings and uses custom resources, in `large` a record of 900 KiB.
 *
 * @returns the path of the chart `app`
 */
export async function fillSource({ folder: scratch, source, chart }: RestoreBed): Promise<string> {
  const app = await chart('app', {
    'values.yaml': 'text: one\nendless: false\nrefused: false\n',
    'templates/config.yaml': CONFIG,
    'templates/hook.yaml': HOOK,
    'templates/endless.yaml': ENDLESS,
    'templates/refused.yaml': REFUSED,
    'templates/NOTES.txt': 'The text is {{ .Values.text }}.',
  });
  const note = await chart('note', { 'templates/config.yaml': CONFIG.replace('.Values.text', '.Release.Name') });
  const owner = await chart('owner', {
    'templates/crd.yaml': crd('gears', 'Gear', 'own.example.com', ', shortNames: [gg]'),
    'templates/gear.yaml': `{{ if .Values.gear }}\n${custom('Gear', 'own.example.com')}{{ end }}\n`,
    'values.yaml': 'gear: false\n',
  });
  const folder = await chart('folder', {
    'crds/crd.yaml': crd('pins', 'Pin', 'folder.example.com'),
    'templates/config.yaml': CONFIG.replace('.Values.text', '.Release.Name'),
  });
  const provider = await chart('provider', {
    'templates/crd.yaml': crd('cogs', 'Cog', 'provider.example.com'),
    'templates/config.yaml': CONFIG.replace('.Values.text', '.Release.Name'),
  });
  const user = await chart('user', { 'templates/cog.yaml': custom('Cog', 'provider.example.com') });
  const pinned = await chart('pinned', { 'templates/pin.yaml': custom('Pin', 'folder.example.com') });

  const helm = source.helm;
  await Promise.all(
    ['team', 'many', 'custom', 'large'].map((name) => source.bed.kubectl(['create', 'namespace', name])),
  );
  await Promise.all([
    (async () => {
      await helm(`install web ${app} -n team --labels team=a,tier=web --description First`);
      await helm(`upgrade web ${app} -n team --set text=two --history-max 0`);
      await helm(`upgrade web ${app} -n team --set text=three --history-max 0`);
    })(),
    (async () => {
      await helm(`install old ${app} -n team --set text=old`, 'configmap', 'helm3');
      await helm(`upgrade old ${app} -n team --set text=older`, 'configmap', 'helm3');
    })(),
    (async () => {
      await helm(`install gone ${app} -n team`);
      await helm(`upgrade gone ${app} -n team --set text=late`);
      await helm('uninstall gone -n team --keep-history');
    })(),
    (async () => {
      await helm(`install client ${app} -n team --server-side=false`);
      await helm(`install refused ${app} -n team --set refused=true --no-hooks`);
      await helm(`install endless ${app} -n team --set endless=true --no-hooks`);
    })(),
    (async () => {
      for (const name of ['a', 'b', 'c', 'd']) await helm(`install ${name} ${note} -n many`);
    })(),
    (async () => {
      await helm(`install owner ${owner} -n custom`);
      await helm(`upgrade owner ${owner} -n custom --set gear=true`);
      await helm(`install folder ${folder} -n custom`);
      await helm(`install pinned ${pinned} -n custom`);
      await helm(`install provider ${provider} -n custom`);
      await helm(`install user ${user} -n custom`);
    })(),
    (async () => {
      const values = join(scratch, 'big.json');
      await writeFile(values, JSON.stringify(bigValues()));
      await helm(`install big ${fixtureChart('big-record')} -n large -f ${values}`);
    })(),
  ]);
  // As when an operator changes its own CRD at run time: what lives is not what the manifest says.
  const patch = JSON.stringify({ spec: { names: { shortNames: ['live'] } } });
  await source.bed.kubectl(['patch', 'crd', 'gears.own.example.com', '--type=merge', '-p', patch]);
  return app;
}
