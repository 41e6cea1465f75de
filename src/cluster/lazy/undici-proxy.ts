// Loaded at first use through a proxy.
export { ProxyAgent } from 'undici';
