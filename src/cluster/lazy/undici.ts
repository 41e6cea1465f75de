// Loaded at first use, and of the library only what a direct connection needs: with fetch, WebSocket and the rest it
// takes 45 ms more. The package has no exports map, so its files can be imported; undici-parts.d.ts has their types.
export type { Dispatcher } from 'undici';
export { default as buildConnector } from 'undici/lib/core/connect.js';
export { default as Agent } from 'undici/lib/dispatcher/agent.js';
