/** Every program of the test bed. */
export const TOOL_NAMES = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
  'kwok',
  'helm4',
  'helm3',
  'versitygw',
  'act',
  'actionlint',
] as const;

/** A program of the test bed. `helm4` and `helm3` are both called `helm` on disk. */
export type ToolName = (typeof TOOL_NAMES)[number];

/** The machine a published binary is for, in Go's words: `linux`, `amd64`. */
export interface Platform {
  readonly os: string;
  readonly arch: string;
}

/** Where a release page keeps a program and the digest that it publishes for it. */
export interface Release {
  readonly url: string;
  /** A file with either one SHA-256 or lines of `SHA-256  name`; or GitHub's release API, which knows each file's. */
  readonly checksums: string;
  /** The program's path inside the archive; absent where the file is the program itself. */
  readonly member?: string;
}

/** How one program is built, recognised and downloaded. Its version is in `tools/<module>/go.mod` alone. */
export interface Tool {
  /** The file's name, on PATH and in the cache. */
  readonly binary: string;
  /** The folder of `tools/` whose go.mod pins it. */
  readonly module: string;
  readonly package: string;
  /** The Go module whose required version is the program's. */
  readonly versionOf: string;
  /** Values set at link time, where the program would not know its version otherwise. */
  readonly variables?: (version: string) => Readonly<Record<string, string>>;
  /** Arguments that make it print its version. */
  readonly versionArgs: readonly string[];
  /** The lowest version on PATH that is used instead; absent: exactly the pinned one. */
  readonly atLeast?: string;
  /** Whether the folder KUBEBUILDER_ASSETS holds it: https://book.kubebuilder.io/reference/envtest */
  readonly envtest?: boolean;
  /** `undefined` where nothing is published for the platform. */
  readonly release: (version: string, platform: Platform) => Release | undefined;
}

const GITHUB = 'https://github.com';

// go.mod gives k8s.io/kubernetes no way to know its own version, and charts refuse a server of v0.0.0.
function kubernetesVariables(version: string): Record<string, string> {
  const [major = '', minor = ''] = version.slice(1).split('.');
  const variables = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [`k8s.io/component-base/version.${name}`, value]),
  );
}

function kubernetes(binary: string, extra: Partial<Tool> = {}): Tool {
  return {
    binary,
    module: 'kubernetes',
    package: `k8s.io/kubernetes/cmd/${binary}`,
    versionOf: 'k8s.io/kubernetes',
    variables: kubernetesVariables,
    versionArgs: ['--version'],
    release: (version, { os, arch }) => {
      if (os !== 'linux' && binary !== 'kubectl') return undefined;
      const url = `https://dl.k8s.io/release/${version}/bin/${os}/${arch}/${binary}`;
      return { url, checksums: `${url}.sha256` };
    },
    ...extra,
  };
}

function helm(major: 3 | 4): Tool {
  return {
    binary: 'helm',
    module: `helm${major}`,
    package: `helm.sh/helm/v${major}/cmd/helm`,
    versionOf: `helm.sh/helm/v${major}`,
    variables: (version) => ({ [`helm.sh/helm/v${major}/internal/version.version`]: version }),
    versionArgs: ['version', '--short'],
    release: (version, { os, arch }) => {
      const url = `https://get.helm.sh/helm-${version}-${os}-${arch}.tar.gz`;
      return { url, checksums: `${url}.sha256sum`, member: `${os}-${arch}/helm` };
    },
  };
}

// The names that GoReleaser's templates give: `Linux_x86_64`, `Darwin_arm64`.
function uname({ os, arch }: Platform): string {
  return `${os.charAt(0).toUpperCase()}${os.slice(1)}_${arch === 'amd64' ? 'x86_64' : arch}`;
}

export const TOOLS: Readonly<Record<ToolName, Tool>> = {
  etcd: {
    binary: 'etcd',
    module: 'kubernetes',
    package: 'go.etcd.io/etcd/server/v3',
    versionOf: 'go.etcd.io/etcd/server/v3',
    versionArgs: ['--version'],
    envtest: true,
    release: (version, { os, arch }) => {
      const folder = `etcd-${version}-${os}-${arch}`;
      const page = `${GITHUB}/etcd-io/etcd/releases/download/${version}`;
      const url = `${page}/${folder}.${os === 'linux' ? 'tar.gz' : 'zip'}`;
      return { url, checksums: `${page}/SHA256SUMS`, member: `${folder}/etcd` };
    },
  },
  'kube-apiserver': kubernetes('kube-apiserver', { envtest: true }),
  'kube-controller-manager': kubernetes('kube-controller-manager'),
  'kube-scheduler': kubernetes('kube-scheduler'),
  kubectl: kubernetes('kubectl', { envtest: true, versionArgs: ['version', '--client'], atLeast: 'v1.31.0' }),
  kwok: {
    binary: 'kwok',
    module: 'kwok',
    package: 'sigs.k8s.io/kwok/cmd/kwok',
    versionOf: 'sigs.k8s.io/kwok',
    versionArgs: ['--version'],
    release: (version, { os, arch }) => ({
      url: `${GITHUB}/kubernetes-sigs/kwok/releases/download/${version}/kwok-${os}-${arch}`,
      // Its releases carry no file of checksums.
      checksums: `https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/${version}`,
    }),
  },
  helm4: helm(4),
  helm3: helm(3),
  versitygw: {
    binary: 'versitygw',
    module: 'versitygw',
    package: 'github.com/versity/versitygw/cmd/versitygw',
    versionOf: 'github.com/versity/versitygw',
    variables: (version) => ({ 'main.Version': version.slice(1) }),
    versionArgs: ['--version'],
    release: (version, platform) => {
      const page = `${GITHUB}/versity/versitygw/releases/download/${version}`;
      const folder = `versitygw_${version}_${uname(platform)}`;
      return { url: `${page}/${folder}.tar.gz`, checksums: `${page}/checksums.txt`, member: `${folder}/versitygw` };
    },
  },
  act: {
    binary: 'act',
    module: 'act',
    package: 'github.com/nektos/act',
    versionOf: 'github.com/nektos/act',
    versionArgs: ['--version'],
    release: (version, platform) => {
      const page = `${GITHUB}/nektos/act/releases/download/${version}`;
      return { url: `${page}/act_${uname(platform)}.tar.gz`, checksums: `${page}/checksums.txt`, member: 'act' };
    },
  },
  actionlint: {
    binary: 'actionlint',
    module: 'actionlint',
    package: 'github.com/rhysd/actionlint/cmd/actionlint',
    versionOf: 'github.com/rhysd/actionlint',
    variables: (version) => ({ 'github.com/rhysd/actionlint.version': version.slice(1) }),
    versionArgs: ['-version'],
    release: (version, { os, arch }) => {
      const plain = version.slice(1);
      const page = `${GITHUB}/rhysd/actionlint/releases/download/${version}`;
      const url = `${page}/actionlint_${plain}_${os}_${arch}.tar.gz`;
      return { url, checksums: `${page}/actionlint_${plain}_checksums.txt`, member: 'actionlint' };
    },
  },
};
