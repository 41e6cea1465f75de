// Loaded at first use: the library costs about 20 ms.
export { Agent, buildConnector, type Dispatcher, ProxyAgent } from 'undici';
