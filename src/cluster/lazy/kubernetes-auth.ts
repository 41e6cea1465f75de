// Loaded at first use, and only for credential plugins and auth providers. Each from its own file: the library's index brings
// its models of every kind of object, 3.4 MB of the bundle and 100 ms of each start with a plugin. Its
// provider for OpenID Connect does so too; ours is in ../oidc.ts.
export { AzureAuth } from '@kubernetes/client-node/dist/azure_auth.js';
export { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js';
export { FileAuth } from '@kubernetes/client-node/dist/file_auth.js';
export { GoogleCloudPlatformAuth } from '@kubernetes/client-node/dist/gcp_auth.js';
