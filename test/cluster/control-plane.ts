import { arch } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ToolName } from './tool-list.ts';

/** The programs of one cluster. */
export const CLUSTER_TOOLS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kwok',
  'kubectl',
] as const satisfies readonly ToolName[];

/** Files and ports of one cluster's control plane. */
export interface ControlPlane {
  readonly tools: Readonly<Record<(typeof CLUSTER_TOOLS)[number], string>>;
  readonly folder: string;
  readonly ports: { readonly etcd: number; readonly etcdPeer: number; readonly apiServer: number };
  /** Of an administrator, for the controllers. */
  readonly kubeconfig: string;
  readonly ca: { readonly certFile: string; readonly keyFile: string };
  readonly serving: { readonly certFile: string; readonly keyFile: string };
  readonly serviceAccountKey: string;
  readonly tokens: string;
}

// By default these clients hold themselves back to 20 and 50 requests a second, which a big import would wait for.
const UNLIMITED = ['--kube-api-qps=1000', '--kube-api-burst=1000'];
const STAGES = fileURLToPath(new URL('kwok-stages.yaml', import.meta.url));

export function etcdCommand({ tools, folder, ports }: ControlPlane): string[] {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  return [
    tools.etcd,
    `--data-dir=${folder}/etcd`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // What it keeps ends with the cluster anyway.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

export function apiServerCommand({ tools, folder, ports, ...files }: ControlPlane): string[] {
  return [
    tools['kube-apiserver'],
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${ports.apiServer}`,
    // The address in the Endpoints of the Service `kubernetes`, which may not be a loopback one; for documentation, as
    // nothing connects to it: https://www.rfc-editor.org/rfc/rfc5737
    '--advertise-address=192.0.2.1',
    `--cert-dir=${folder}`,
    `--tls-cert-file=${files.serving.certFile}`,
    `--tls-private-key-file=${files.serving.keyFile}`,
    `--client-ca-file=${files.ca.certFile}`,
    `--token-auth-file=${files.tokens}`,
    '--authorization-mode=Node,RBAC',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${files.serviceAccountKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--allow-privileged=true',
    '--profiling=false',
  ];
}

export function controllerManagerCommand({ tools, kubeconfig, ca, serviceAccountKey }: ControlPlane): string[] {
  return [
    tools['kube-controller-manager'],
    `--kubeconfig=${kubeconfig}`,
    '--secure-port=0', // No listener at all.
    '--leader-elect=false',
    '--controllers=*',
    ...UNLIMITED,
    // A claim that it hears of before its volume is looked at again only then, by default after 15 s.
    '--pvclaimbinder-sync-period=1s',
    `--service-account-private-key-file=${serviceAccountKey}`,
    `--root-ca-file=${ca.certFile}`,
    `--cluster-signing-cert-file=${ca.certFile}`,
    `--cluster-signing-key-file=${ca.keyFile}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--profiling=false',
  ];
}

export function schedulerCommand({ tools, kubeconfig }: ControlPlane): string[] {
  return [
    tools['kube-scheduler'],
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--secure-port=0',
    '--leader-elect=false',
    ...UNLIMITED,
    '--profiling=false',
  ];
}

export function kwokCommand({ tools, kubeconfig }: ControlPlane): string[] {
  return [
    tools.kwok,
    `--kubeconfig=${kubeconfig}`,
    `--config=${STAGES}`,
    '--manage-all-nodes',
    '--node-lease-duration-seconds=40',
    '--node-ip=192.0.2.2', // Else that of the machine.
  ];
}

/** The one node of a cluster, as its kubelet would register it; kwok adds the rest of its status. */
export function nodeObject(clusterName: string): object {
  const name = `${clusterName}-node`;
  const capacity = { cpu: '1k', memory: '1Ti', pods: '10k', 'ephemeral-storage': '1Ti' };
  const machine = { os: 'linux', arch: arch() === 'x64' ? 'amd64' : arch() };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: {
        'kubernetes.io/os': machine.os,
        'kubernetes.io/arch': machine.arch,
        'kubernetes.io/hostname': name,
      },
    },
    spec: { podCIDR: '10.244.0.0/16' },
    status: {
      capacity,
      allocatable: capacity,
      nodeInfo: {
        operatingSystem: machine.os,
        architecture: machine.arch,
        ...{ machineID: '', systemUUID: '', bootID: '', kernelVersion: '', osImage: '', containerRuntimeVersion: '' },
        ...{ kubeletVersion: '', kubeProxyVersion: '' },
      },
    },
  };
}

/** The default StorageClass; kwok makes its volumes. */
export const STORAGE_CLASS = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: 'test.transship.dev/volumes',
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'Immediate',
};
