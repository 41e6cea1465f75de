/** Started by a test to be killed: starts a cluster and an S3 server, tells what there is, and waits. */
import { startCluster } from '../cluster.ts';
import { startS3 } from '../s3.ts';

const cluster = await startCluster({ name: 'doomed' });
const s3 = await startS3();
process.send?.({
  pids: [...Object.values(cluster.pids), ...Object.values(s3.pids)],
  folders: [cluster.folder, s3.folder],
});
setInterval(() => {}, 60_000);
