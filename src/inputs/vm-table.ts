/** The inputs that are about virtual machines; part of `inputTable`. */
export const vmInputTable = {
  vms: {
    description:
      'With vms in include: which virtual machines, as names, globs or namespace/name; without it, nor vm-snapshots and pvcs, all of them.',
    group: 'What',
    placeholder: 'list',
    list: true,
    defaultNote: {
      export: 'all of the namespaces',
      promote: 'all of the namespaces',
      plan: 'all in the snapshot',
      import: 'all in the snapshot',
    },
  },
  'vm-snapshots': {
    description: 'With vms in include: VirtualMachineSnapshots to export, as names, globs or namespace/name.',
    group: 'What',
    placeholder: 'list',
    list: true,
  },
  pvcs: {
    description: 'With vms in include: claims to export alone, as names, globs or namespace/name.',
    group: 'What',
    placeholder: 'list',
    list: true,
  },
  'running-vms': {
    description:
      'What to do about a virtual machine that runs: error, snapshot (export a VirtualMachineSnapshot, taken for this and deleted afterwards) or stop (and start it again afterwards).',
    group: 'What',
    placeholder: 'error|snapshot|stop',
    default: 'error',
  },
  'vm-links': {
    description:
      'How disks are read: internal (within the cluster), external (through the Ingress or Route of the export proxy), port-forward (through the API server), or auto, the first of these that there is.',
    group: 'Cluster',
    placeholder: 'auto|internal|external|port-forward',
    default: 'auto',
  },
  'vm-export-ttl': {
    description:
      'How long an export of a virtual machine may take as a whole: then KubeVirt deletes it, whatever becomes of this run.',
    group: 'Run',
    placeholder: 'duration',
    default: '24h',
  },
  name: {
    description: 'What the virtual machine is to be called at the target; only for one.',
    group: 'Import',
    placeholder: 'name',
    defaultNote: 'as at the source',
  },
  'vm-identity': {
    description:
      'Whether virtual machines get new MAC addresses, firmware UUIDs and serial numbers, or keep those of the source.',
    group: 'Import',
    placeholder: 'new|keep',
    default: 'new',
  },
  'run-strategy': {
    description:
      'The run strategy of virtual machines once their disks are in place: Always, Halted, Manual, RerunOnFailure or Once.',
    group: 'Import',
    placeholder: 'strategy',
    defaultNote: 'that of the source',
  },
} as const;
