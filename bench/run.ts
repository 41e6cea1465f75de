// `npm run bench`: what Transship promises of its speed and size, measured against others in the same run, as ratios.
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type Bed, prepareBed } from './bed.ts';
import { benchCluster } from './cluster.ts';
import { benchExport } from './export.ts';
import { benchImport } from './import.ts';
import { type BenchRow, formatTable, holds } from './measure.ts';
import { benchMemory } from './memory.ts';
import { benchPlan } from './plan.ts';
import { benchResources } from './resources.ts';
import { benchResourcesLarge } from './resources-large.ts';
import { benchStart } from './start.ts';
import { benchVms, benchVmsXz } from './vms.ts';
import { benchWatch } from './watch.ts';

const figures: Readonly<Record<string, (bed: Bed) => Promise<BenchRow[]>>> = {
  start: benchStart,
  cluster: benchCluster,
  import: benchImport,
  export: benchExport,
  memory: benchMemory,
  resources: benchResources,
  plan: benchPlan,
  'resources-large': benchResourcesLarge,
  vms: benchVms,
  'vms-xz': benchVmsXz,
  watch: benchWatch,
};

const usage = `Usage: npm run bench -- [NAME ...] [--strict]

Measures what Transship promises and prints a table. Names: ${Object.keys(figures).join(', ')}; all of them by default.

  --strict  end with status 1 when a figure does not hold
`;

const options = { strict: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h' } } as const;
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const unknown = positionals.find((name) => figures[name] === undefined);
if (values.help) {
  process.stdout.write(usage);
} else if (unknown !== undefined) {
  process.stderr.write(`There is no figure ${unknown}.\n\n${usage}`);
  process.exitCode = 2;
} else {
  const { machine, rows } = await measure(positionals.length > 0 ? positionals : Object.keys(figures));
  process.stdout.write(`\n${machine}\n\n${formatTable(rows)}`);
  if (values.strict && !rows.every(holds)) process.exitCode = 1;
}

async function measure(names: readonly string[]): Promise<{ machine: string; rows: BenchRow[] }> {
  const begin = performance.now();
  const note = (message: string) => {
    const seconds = ((performance.now() - begin) / 1000).toFixed(0).padStart(4);
    process.stderr.write(`${seconds} s  ${message}\n`);
  };
  const bed = await prepareBed(note);
  try {
    const rows: BenchRow[] = [];
    for (const name of names) {
      note(`Measuring ${name}; load average ${loadavg()[0]?.toFixed(1)}`);
      rows.push(...((await figures[name]?.(bed)) ?? []));
    }
    return { machine: await bed.machine(), rows };
  } finally {
    await bed.close();
  }
}
