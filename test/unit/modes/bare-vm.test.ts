import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { LocalBackend } from '../../../src/backends/local.ts';
import { parseInputs } from '../../../src/inputs.ts';
import { openBareVm } from '../../../src/modes/bare-vm.ts';
import { run as verify } from '../../../src/modes/verify.ts';
import { silentReporter } from '../../../src/report/reporter.ts';
import { MIB, mixedDisk } from '../../kubevirt/disks.ts';
import { writeVmArchive } from '../../kubevirt/vm-archives.ts';
import { temporaryFolder } from '../archive/helpers.ts';

const OTHER = `sha256:${'0'.repeat(64)}`;

let file: string;
let digest: string;
let size: number;

beforeEach(async () => {
  file = join(temporaryFolder(), 'db.tar.zst');
  await writeVmArchive(file, { namespace: 'shop', name: 'db', claims: [{ name: 'root', disk: mixedDisk(MIB) }] });
  const stored = readFileSync(file);
  size = stored.byteLength;
  digest = `sha256:${createHash('sha256').update(stored).digest('hex')}`;
});

it('the archive of one machine is told from others by the digest of what is stored, also when none is expected', async () => {
  const backend = new LocalBackend(file);
  const opened = await openBareVm(backend, await backend.find('latest'), { directory: temporaryFolder() });
  onTestFinished(async () => opened?.spool.close());
  expect(opened?.spool).toMatchObject({ digest, size });
});

it('the archive of one machine is not opened when it is not the expected one', async () => {
  const backend = new LocalBackend(file);
  const options = { directory: temporaryFolder(), digest: OTHER };
  await expect(openBareVm(backend, await backend.find('latest'), options)).rejects.toMatchObject({
    code: 'ARCHIVE_DAMAGED',
    message: `The archive is not the expected one: its digest is ${digest}, expected is ${OTHER}.`,
  });
});

it('the archive of one machine is verified with its digest', async () => {
  for (const given of [{}, { digest }]) {
    const { outputs, summary, failed } = await verifyFile(given);
    expect(failed).toBe(false);
    expect(outputs).toMatchObject({ location: file, digest, size });
    expect(summary).toMatchObject({ mode: 'verify', problems: [] });
  }
});

it('the archive of one machine does not verify with another digest than the expected one', async () => {
  const { summary, failed } = await verifyFile({ digest: OTHER });
  expect(failed).toBe(true);
  expect(summary).toMatchObject({
    problems: [`The snapshot is not the expected one: its digest is ${digest}, expected is ${OTHER}.`],
  });
});

async function verifyFile(given: Record<string, string>) {
  const inputs = parseInputs({ mode: 'verify', path: file, ...given }, 'cli');
  if (inputs.mode !== 'verify') throw new Error('It is another mode.');
  return verify(inputs, {
    reporter: silentReporter,
    signal: new AbortController().signal,
    env: {},
    temporaryDirectory: temporaryFolder(),
    run: 'test',
    version: '1.0.0',
  });
}
