import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ChartBed } from './chart-bed.ts';

/** Makes what the chart is installed beside and what it saves: namespaces, credentials, custom kinds, a release. */
export async function fill(chart: ChartBed): Promise<void> {
  const { cluster, s3, helm } = chart;
  const secret = { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey };
  const namespaces = ['ops', 'cron', 'shop', 'billing', 'machines'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    // The chart has to be let in where the strictest of the standards is enforced.
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  }));
  const credentials = ['ops', 'cron'].map((namespace) => ({
    ...{ apiVersion: 'v1', kind: 'Secret', stringData: secret },
    metadata: { name: 's3', namespace },
  }));
  const kinds = [
    crd('example.com', 'widgets', 'Widget', 'Namespaced'),
    crd('example.com', 'regions', 'Region', 'Cluster'),
  ];
  const monitors = crd('monitoring.coreos.com', 'podmonitors', 'PodMonitor', 'Namespaced');
  await apply(chart, [...namespaces, ...credentials, ...kinds, monitors]);
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
  await apply(chart, [
    { apiVersion: 'example.com/v1', kind: 'Region', metadata: { name: 'north' } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'shop' }, data: { a: '1' } },
  ]);
  const widgets = await chart.folder('widgets');
  await mkdir(join(widgets, 'templates'));
  await writeFile(join(widgets, 'Chart.yaml'), 'apiVersion: v2\nname: widgets\nversion: 1.0.0\n');
  await writeFile(
    join(widgets, 'templates/widget.yaml'),
    'apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: a }\n',
  );
  await helm.helm4.run(['install', 'widgets', widgets, '--namespace', 'shop']);
}

async function apply({ cluster }: ChartBed, objects: readonly object[]): Promise<void> {
  await cluster.kubectl(['apply', '--filename', '-'], objects.map((object) => stringify(object)).join('---\n'));
}

function crd(group: string, plural: string, kind: string, scope: string): object {
  const openAPIV3Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      ...{ group, scope, names: { kind, plural, singular: kind.toLowerCase() } },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}
