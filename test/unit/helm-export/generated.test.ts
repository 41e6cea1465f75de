import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const CHECKED_IN = 'src/helm-export/generated';

function readAll(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(names.map((name) => [name.slice(folder.length + 1), readFileSync(name, 'utf8')]));
}

test('the generated code is what the .proto files make: npm run proto', () => {
  const folder = mkdtempSync(join(tmpdir(), 'transship-proto-'));
  try {
    const env = { ...process.env, PATH: `${join(process.cwd(), 'node_modules', '.bin')}:${process.env.PATH}` };
    const args = ['generate', '--template', 'src/helm-export/buf.gen.yaml', '--output', folder];
    execFileSync('buf', args, { env, stdio: 'pipe', timeout: 60_000 });
    const made = readAll(join(folder, CHECKED_IN));
    expect(Object.keys(made).length).toBe(4);
    expect(readAll(CHECKED_IN)).toEqual(made);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
