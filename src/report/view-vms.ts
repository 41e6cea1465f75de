import { countOf, formatSize } from './format.ts';
import type { VmResult } from './results.ts';
import type { Failure, Table } from './view.ts';

/** `1 virtual machine`, `2 virtual machines and 1 claim`: what they are together. */
export function describeVms(vms: readonly VmResult[]): string {
  const claims = vms.filter(({ kind }) => kind === 'pvc').length;
  const machines = vms.length - claims;
  const parts = [
    ...(machines > 0 || claims === 0 ? [countOf(machines, 'virtual machine')] : []),
    ...(claims > 0 ? [countOf(claims, 'claim')] : []),
  ];
  return parts.join(' and ');
}

/** A row for each machine, and each claim that travels alone. */
export function vmTable(vms: readonly VmResult[]): Table | undefined {
  if (vms.length === 0) return undefined;
  const isStored = vms.some(({ size }) => size !== undefined);
  const hasResumed = vms.some(({ resumed }) => resumed !== undefined && resumed > 0);
  return {
    columns: [
      ...['Virtual machine', 'Namespace', 'Volumes', 'Content'],
      ...(isStored ? ['Stored'] : []),
      ...(hasResumed ? ['Gone on with'] : []),
      'Result',
    ],
    rows: vms.map(({ kind, name, namespace, volumes, size, resumed, outcome }) => [
      kind === 'pvc' ? `${name} (claim)` : name,
      namespace,
      volumes.map(({ claim }) => claim).join(', ') || 'none',
      formatSize(volumes.reduce((sum, volume) => sum + volume.size, 0)),
      ...(isStored ? [size === undefined ? '' : formatSize(size)] : []),
      ...(hasResumed ? [resumed ? formatSize(resumed) : ''] : []),
      outcome,
    ]),
  };
}

/** Those that failed or were left out, and why. */
export function vmFailures(vms: readonly VmResult[]): Failure[] {
  return vms
    .filter(({ outcome }) => outcome === 'failed' || outcome === 'skipped')
    .map(({ namespace, name, outcome, message }) => ({
      title: `${namespace}/${name} ${outcome}`,
      words: message ?? 'No reason was given.',
      skipped: outcome === 'skipped',
    }));
}
