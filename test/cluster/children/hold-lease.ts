// Holds the lease of a path until it is killed: hold-lease.ts PATH NAMESPACE/RELEASE
import { openBackend } from '../../../src/backends/open.ts';
import { managerOf } from '../../../src/manager/identity.ts';
import { acquireLease } from '../../../src/manager/lease.ts';
import { silentReporter } from '../../../src/report/reporter.ts';

const [path = '', name = ''] = process.argv.slice(2);
const { lease: store } = openBackend({ path, backend: path.startsWith('s3://') ? 's3' : 'local' });
if (store === undefined) throw new Error(`${path} has no lease.`);
await acquireLease(store, managerOf({ cluster: 'a', name, path }), {
  takeOver: false,
  holder: { host: 'child', pid: process.pid },
  reporter: silentReporter,
  duration: 2000,
  renewEvery: 500,
});
process.stdout.write('held\n');
setInterval(() => {}, 1000);
