import { BlockList, isIP } from 'node:net';

/**
 * The proxy between here and the API server, by the same rules as kubectl and helm, so that all three take the same
 * way: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config (a kubeconfig's `proxy-url` wins over the environment).
 */
export function findProxy(server: URL, proxyUrl: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (proxyUrl !== undefined) {
    return proxyUrl;
  }
  const proxy =
    server.protocol === 'https:' ? (env.HTTPS_PROXY ?? env.https_proxy) : (env.HTTP_PROXY ?? env.http_proxy);
  if (!proxy || bypassesProxy(server, env.NO_PROXY ?? env.no_proxy ?? '')) {
    return undefined;
  }
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

/** Masks the password that the address of a proxy may hold. */
export function maskPassword(proxy: string | undefined, mask: (secret: string) => void): void {
  if (proxy !== undefined && URL.canParse(proxy) && new URL(proxy).password !== '') {
    mask(decodeURIComponent(new URL(proxy).password));
  }
}

function bypassesProxy(server: URL, noProxy: string): boolean {
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = server.port || (server.protocol === 'https:' ? '443' : '80');
  if (host === 'localhost' || (isIP(host) !== 0 && within(host, ['127.0.0.0/8', '::1/128']))) {
    return true;
  }
  return noProxy
    .split(',')
    .map((rule) => rule.trim().toLowerCase())
    .some((rule) => rule !== '' && matches(rule, host, port));
}

function matches(rule: string, host: string, port: string): boolean {
  if (rule === '*') {
    return true;
  }
  if (rule.includes('/')) {
    return isIP(host) !== 0 && within(host, [rule]);
  }
  const [, name = '', rulePort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(rule) === 6 ? `[${rule}]` : rule) ?? [];
  if (rulePort !== undefined && rulePort !== port) {
    return false;
  }
  const domain = name.replace(/^\*/, '');
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function within(host: string, ranges: readonly string[]): boolean {
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4';
  return ranges.some((range) => {
    const [network = '', prefix = ''] = range.split('/');
    if (isIP(network) !== isIP(host) || !/^\d+$/.test(prefix) || Number(prefix) > (family === 'ipv6' ? 128 : 32)) {
      return false;
    }
    const block = new BlockList();
    block.addSubnet(network, Number(prefix), family);
    return block.check(host, family);
  });
}
