import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bed } from './bed.ts';
import { type BenchRow, measurePairs, type Pair, rowOfLimit, rowOfPairs } from './measure.ts';
import { measureBundle, runBundle, runTimed } from './process.ts';
import { createRandom } from './prose.ts';
import { MIXED, NAMESPACE, SIDE_BY_SIDE, SPARSE, type VmBed, withVmBed } from './vms-bed.ts';
import { MIXED_BYTES, SPARSE_BYTES } from './vms-disk.ts';
import type { Upload } from './vms-protocol.ts';

const MIB = 1024 * 1024;
const ZSTD_PAIRS = 5;
/** One takes six minutes on two cores. */
const XZ_PAIRS = 1;
const IMPORT_PAIRS = 5;
const SPARSE_PAIRS = 3;
const CUTS = 20;
const LIMIT_MB = 250;
const SPARSE_LIMIT_BYTES = 2 * MIB;

type Compression = 'zstd' | 'xz';
const SUFFIX = { zstd: '.tar.zst', xz: '.tar.xz' } as const;
/** What the issue names; the levels need not be those that Transship takes, and sizes are noted beside the rates. */
const COMPRESS = { zstd: 'zstd -T0 -3 -q', xz: 'xz -T0 -1' } as const;

/** Disks of virtual machines, out of a cluster and in again, against pipelines of curl and the compressors. */
export function benchVms(bed: Bed): Promise<BenchRow[]> {
  return withVmBed(bed, async (vms) => [
    await exportRow(vms, 'zstd', ZSTD_PAIRS),
    ...(await importRows(vms)),
    ...(await sparseRows(vms, 'zstd')),
    ...(await sparseRows(vms, 'xz')),
    await cutsRow(vms),
    ...(await memoryRows(vms, 'zstd')),
  ]);
}

/** The same with xz, which takes many minutes. */
export function benchVmsXz(bed: Bed): Promise<BenchRow[]> {
  return withVmBed(bed, async (vms) => [await exportRow(vms, 'xz', XZ_PAIRS), ...(await memoryRows(vms, 'xz'))]);
}

/**
 * A machine into a file, against the same bytes as a tar of one file through a pipeline; both from the first request for the
 * disk to the end of the process. What comes before, Kubernetes getting the export ready, is no matter of disks.
 */
async function exportRow(vms: VmBed, compression: Compression, count: number): Promise<BenchRow> {
  const [ours, raw] = [`ours${SUFFIX[compression]}`, `raw${SUFFIX[compression]}`].map((name) => join(vms.folder, name));
  if (ours === undefined || raw === undefined) throw new Error('Two files have names.');
  await writeTarEnds(vms);
  const packed = `{ cat tar.head; ${vms.readCommand(MIXED)}; cat tar.end; } | ${COMPRESS[compression]} > '${raw}'`;
  const pairs = await measurePairs(
    count,
    async () => rateOf(MIXED_BYTES, await fromFirstRead(vms, () => exportMachine(vms, MIXED, ours, compression))),
    async () => rateOf(MIXED_BYTES, await fromFirstRead(vms, () => runScript(vms, packed))),
    (pair) => noteRates(vms, `export to ${SUFFIX[compression]}`, pair),
  );
  const sizes = await Promise.all([ours, raw].map(async (file) => ((await stat(file)).size / 1e6).toFixed(1)));
  vms.note(`Stored: ${sizes.join(' MB, by the pipeline ')} MB`);
  await checkDisk(vms, ours, compression);
  await rm(raw);
  const name = `export of a 2 GiB disk to ${SUFFIX[compression]}, against curl and ${COMPRESS[compression]}`;
  return rowOfPairs(name, 'MiB/s', pairs, { atLeast: 0.9 });
}

/** What the server says of the upload: from the head of its request to its last byte. */
async function importRows(vms: VmBed): Promise<BenchRow[]> {
  const archive = join(vms.folder, 'ours.tar.zst');
  const pipeline = `zstd -dcq '${archive}' | ${vms.uploadCommand}`;
  let copies = 0;
  const importOnce = async () => {
    const args = ['import', '--path', archive, '--name', `copy-${copies++}`];
    return (await runBundle(args, { env: vms.env })).total;
  };
  // A fast import of something else would be no figure.
  await vms.order({ digest: true });
  await uploadOf(vms, importOnce, (upload) => upload.sha256 === vms.mixedDigest);
  await vms.order({ digest: false });
  const wholes: Pair[] = [];
  const whole = { ours: 0, theirs: 0 };
  const pairs = await measurePairs(
    IMPORT_PAIRS,
    () =>
      uploadOf(
        vms,
        async () => (whole.ours = await importOnce()),
        ({ bytes }) => bytes === MIXED_BYTES,
      ),
    () =>
      uploadOf(
        vms,
        async () => (whole.theirs = await runScript(vms, pipeline)),
        ({ bytes }) => bytes > MIXED_BYTES,
      ),
    (pair) => {
      wholes.push({ ...whole });
      noteRates(vms, `import (whole processes ${whole.ours.toFixed(0)} and ${whole.theirs.toFixed(0)} ms)`, pair);
    },
  );
  return [
    rowOfPairs('upload of it by an import, against zstd -d and curl -T -', 'MiB/s', pairs, { atLeast: 0.9 }),
    rowOfPairs('  the same, the whole import with all its objects', 'ms', wholes),
  ];
}

async function sparseRows(vms: VmBed, compression: Compression): Promise<BenchRow[]> {
  const file = join(vms.folder, `sparse${SUFFIX[compression]}`);
  const pairs = await measurePairs(
    SPARSE_PAIRS,
    async () => rateOf(SPARSE_BYTES, await fromFirstRead(vms, () => exportMachine(vms, SPARSE, file, compression))),
    async () =>
      rateOf(SPARSE_BYTES, await fromFirstRead(vms, () => runScript(vms, `${vms.readCommand(SPARSE)} > /dev/null`))),
    (pair) => noteRates(vms, `export of the sparse disk to ${SUFFIX[compression]}`, pair),
  );
  const { size } = await stat(file);
  const name = `export of 16 GiB with 1 MiB of data to ${SUFFIX[compression]}, against curl > /dev/null`;
  return [
    rowOfPairs(name, 'MiB/s', pairs, { atLeast: 0.8 }),
    rowOfLimit('  its archive', 'KiB', size / 1024, SPARSE_LIMIT_BYTES / 1024),
  ];
}

/** Bytes that the server sent, those included that were lost on the way. */
async function cutsRow(vms: VmBed): Promise<BenchRow> {
  const sentBy = async () => {
    await vms.count();
    await exportMachine(vms, MIXED, join(vms.folder, 'cuts.tar.zst'), 'zstd');
    return vms.count();
  };
  const theirs = (await sentBy()).sent / MIB;
  const random = createRandom(20);
  await vms.order({
    cuts: { claim: MIXED, at: Array.from({ length: CUTS }, () => Math.floor(random() * MIXED_BYTES)) },
  });
  const { sent, cuts } = await sentBy();
  if (cuts !== CUTS) throw new Error(`The server was to cut ${CUTS} connections, and has cut ${cuts}.`);
  const ours = sent / MIB;
  const name = `bytes read of it with ${CUTS} cuts at random bytes, against without`;
  return { name, unit: 'MiB', ours, theirs, ratio: ours / theirs, target: { atMost: 1.05 } };
}

async function memoryRows(vms: VmBed, compression: Compression): Promise<BenchRow[]> {
  const path = join(vms.folder, `side-by-side-${compression}`);
  await mkdir(path);
  const machines = SIDE_BY_SIDE.flatMap((name) => ['--vms', name]);
  const args = [
    'export',
    '-n',
    NAMESPACE,
    '--include',
    'vms',
    ...machines,
    '--compression',
    compression,
    '--path',
    path,
  ];
  const exported = await measureBundle(args, { env: vms.env });
  vms.note(`export of four disks had ${exported.peak.toFixed(0)} MB at most, in ${exported.total.toFixed(0)} ms`);
  const copy = ['import', '--path', path, '--namespace-map', `${NAMESPACE}:copy-${compression}`];
  const imported = await measureBundle(copy, { env: vms.env });
  vms.note(`import of four disks had ${imported.peak.toFixed(0)} MB at most, in ${imported.total.toFixed(0)} ms`);
  await rm(path, { recursive: true });
  const limit = (what: string, peak: number) =>
    rowOfLimit(`peak memory of the ${what} of four disks at once, ${compression}`, 'MB', peak, LIMIT_MB);
  return [limit('export', exported.peak), limit('import', imported.peak)];
}

/** Milliseconds to export a machine into a file of its own. */
async function exportMachine(vms: VmBed, machine: string, file: string, compression: Compression): Promise<number> {
  await rm(file, { force: true });
  const args = ['export', '-n', NAMESPACE, '--include', 'vms', '--vms', machine, '--path', file];
  return (await runBundle([...args, '--compression', compression], { env: vms.env })).total;
}

/** Milliseconds from the first request for a disk to the end. */
async function fromFirstRead(vms: VmBed, work: () => Promise<number>): Promise<number> {
  await vms.count();
  const whole = await work();
  const end = Date.now();
  const { firstRead } = await vms.count();
  if (firstRead === undefined) throw new Error('No disk was read.');
  vms.note(`Read for ${end - firstRead} ms of ${whole.toFixed(0)}`);
  return end - firstRead;
}

/** How fast the one upload was that the server has had meanwhile. */
async function uploadOf(
  vms: VmBed,
  work: () => Promise<unknown>,
  isRight: (upload: Upload) => boolean,
): Promise<number> {
  await vms.count();
  await work();
  const [upload, ...more] = (await vms.count()).uploads;
  if (upload === undefined || more.length > 0 || !isRight(upload)) {
    throw new Error(`One disk was to be uploaded, and this was: ${JSON.stringify([upload, ...more])}.`);
  }
  return rateOf(MIXED_BYTES, upload.milliseconds);
}

/** What tar writes around a file of the disk's size: its own program would have to have the file. */
async function writeTarEnds(vms: VmBed): Promise<void> {
  const make = `truncate -s ${MIXED_BYTES} disk.img && { tar --format=gnu -cf - disk.img | head -c 512 > tar.head || true; }`;
  await runScript(vms, `${make}; rm disk.img; head -c 1024 /dev/zero > tar.end`);
}

/** A fast export of something else would be no figure. */
async function checkDisk(vms: VmBed, archive: string, compression: Compression): Promise<void> {
  const unpack = { zstd: 'zstd -dcq', xz: 'xz -T0 -dc' }[compression];
  await runScript(vms, `${unpack} '${archive}' | tar -xO volumes/${MIXED}/disk.img | cmp - '${vms.mixedFile}'`);
}

/** Milliseconds that a pipeline takes, in the folder of the bed. */
async function runScript(vms: VmBed, script: string): Promise<number> {
  return (await runTimed('bash', ['-c', `set -o pipefail; cd '${vms.folder}'; ${script}`])).total;
}

function rateOf(bytes: number, milliseconds: number): number {
  return bytes / MIB / (milliseconds / 1000);
}

function noteRates(vms: VmBed, what: string, { ours, theirs }: Pair): void {
  vms.note(`${what}: ${ours.toFixed(0)} MiB/s, theirs ${theirs.toFixed(0)} MiB/s (${(ours / theirs).toFixed(2)})`);
}
