// Loaded at first use, and only for credential plugins and auth providers: the library costs about 100 ms.
export { KubeConfig } from '@kubernetes/client-node';
