// Preloaded into a process that stands for a pod's container: what the kubelet would mount where a pod finds its service
// account is read from the folder that POD_SERVICE_ACCOUNT names. Only root could put it there.
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/';
const folder = process.env.POD_SERVICE_ACCOUNT;

if (folder !== undefined) {
  const moved = (path: unknown) =>
    typeof path === 'string' && path.startsWith(MOUNT) ? `${folder}/${path.slice(MOUNT.length)}` : path;
  for (const name of ['readFile', 'stat'] as const) {
    const original = files[name];
    const replaced = (path: unknown, ...rest: unknown[]) => Reflect.apply(original, files, [moved(path), ...rest]);
    Reflect.set(files, name, replaced);
  }
  syncBuiltinESMExports();
}
