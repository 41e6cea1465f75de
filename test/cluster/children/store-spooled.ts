/** Started by a test to be killed: stores a snapshot, a tree beside the newest one, as the daemon does. */
import { tmpdir } from 'node:os';
import { openBackend } from '../../../src/backends/open.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { createSpool } from '../../../src/watch/spool.ts';
import { storeSpooled } from '../../../src/watch/store-spooled.ts';
import { readStoredContents } from '../../../src/watch/stored-contents.ts';
import { collected } from '../../unit/watch/spooled.ts';
import { filesOf, type StoreOrder } from '../store-order.ts';

process.once('message', async (order: StoreOrder) => {
  const backend = openBackend(order.options);
  const options = { cluster: 'stage', layout: order.layout, compression: 'none', reporter: silentReporter } as const;
  const newest = order.layout === 'tree' ? await backend.find('latest') : undefined;
  const base = newest && (await readStoredContents(backend, newest, options));
  const spooled = await createSpool(tmpdir()).add(collected(order.id, filesOf(order)));
  const counted = {
    ...spooled,
    async *entries() {
      for await (const entry of spooled.entries()) {
        process.send?.('entry');
        yield entry;
      }
    },
  };
  await storeSpooled(backend, counted, { ...options, base });
  await spooled.remove();
  process.disconnect();
});
