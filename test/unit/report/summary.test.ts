import { describe, expect, it } from 'vitest';
import type { RunResult } from '../../../src/modes/run.ts';
import { renderFailureSummary, renderSummary } from '../../../src/report/summary.ts';
import { exported, halfImported, releaseResult } from '../../helpers/results.ts';

function withReleases(releases: RunResult['outputs']['releases']): RunResult {
  return { ...halfImported, outputs: { ...halfImported.outputs, releases } };
}

it('shows an export: where it is and what is in it', () => {
  expect(renderSummary(exported)).toBe(`### ✅ Exported 2 releases from stage

- **Snapshot:** <code>26-01-31_12-00-00</code>
- **Location:** <code>./snapshots/26-01-31_12-00-00.tar.zst</code>
- **Size:** <code>1.5 KiB</code>
- **Digest:** <code>sha256:abc</code>

| Release | Namespace | Chart | Version | App version | Revision | Result |
| --- | --- | --- | --- | --- | --- | --- |
| db | shop | web | 1.2.3 | 2.0 | 1 | exported |
| web | shop | web | 1.2.3 | 2.0 | 3 (of 3) | exported |
`);
});

it('shows an import that failed in part: first why, in the words of Helm, then every release, failed ones first', () => {
  expect(renderSummary(halfImported, [{ title: 'shop/api', message: 'Its webhook | names\nstage.' }])).toBe(
    `### ❌ Imported 1 of 3 releases into prod

- **Snapshot:** <code>26-01-31_12-00-00</code>
- **Location:** <code>s3://backups/26-01-31_12-00-00.tar.zst</code>

<details><summary>shop/db failed</summary>

<pre>failed pre-install:
1 error | &lt;timeout&gt;</pre>

</details>

<details><summary>shop/web skipped</summary>

<pre>shop/db, which it needs, failed.</pre>

</details>

**Warnings**

- **shop/api:** Its webhook \\| names stage.

| Release | Namespace | Chart | Version | App version | Revision | Result |
| --- | --- | --- | --- | --- | --- | --- |
| db | shop | web | 1.2.3 | 2.0 | 3 (of 3) | failed |
| web | shop | web | 1.2.3 | 2.0 | 3 (of 3) | skipped |
| api | shop | web | 1.2.3 | 2.0 | 3 (of 3) | created |
`,
  );
});

it('shows what a backend holds', () => {
  const snapshots = [
    {
      id: '26-01-31_12-00-00',
      layout: 'archive' as const,
      location: 's3://b/1.tar.zst',
      size: 3_500_000,
      state: 'complete' as const,
    },
    {
      id: '26-01-30_12-00-00',
      layout: 'archive' as const,
      location: 's3://b/0.tar.zst',
      size: 12,
      state: 'unfinished' as const,
    },
  ];
  expect(renderSummary({ failed: false, summary: { mode: 'list' }, outputs: { snapshots } })).toBe(`### ✅ 2 snapshots

| Snapshot | Size | Layout | State | Location |
| --- | --- | --- | --- | --- |
| 26-01-31\\_12-00-00 | 3.3 MiB | archive | complete | s3://b/1.tar.zst |
| 26-01-30\\_12-00-00 | 12 B | archive | unfinished | s3://b/0.tar.zst |
`);
});

it('says when a backend holds nothing', () => {
  expect(renderSummary({ failed: false, summary: { mode: 'list' }, outputs: { snapshots: [] } })).toBe(
    '### ✅ No snapshots\n',
  );
});

it('shows what is damaged in a snapshot', () => {
  const result: RunResult = {
    failed: true,
    outputs: { snapshot: '26-01-31_12-00-00' },
    summary: { mode: 'verify', files: 1, bytes: 2048, problems: ['a.json has another SHA-256.'] },
  };
  expect(renderSummary(result)).toBe(`### ❌ Snapshot 26-01-31\\_12-00-00 is damaged

- **Snapshot:** <code>26-01-31_12-00-00</code>
- **Content:** <code>1 file, 2.0 KiB</code>

<details><summary>Damage</summary>

<pre>a.json has another SHA-256.</pre>

</details>
`);
});

it('shows a run that ended before it had a result', () => {
  expect(renderFailureSummary('export', 'No answer <from> prod.\nIs the VPN up?')).toBe(
    '### ❌ export failed\n\n<pre>No answer &lt;from&gt; prod.\nIs the VPN up?</pre>\n',
  );
});

describe('text from charts and clusters', () => {
  it('cannot become HTML, Markdown, another cell or another row', () => {
    const rows = renderSummary(
      withReleases([releaseResult({ chart: 'a|b<img src=x>[c](http://d)`e`*f*\n| g |', appVersion: '1_0_0' })]),
    ).split('\n');
    expect(rows.find((row) => row.startsWith('| web'))).toBe(
      '| web | shop | a\\|b&lt;img src=x&gt;\\[c\\](http://d)\\`e\\`\\*f\\* \\| g \\| | 1.2.3 | 1\\_0\\_0 | 3 (of 3) | created |',
    );
  });

  it('cannot leave the block it is quoted in, and loses the colours of a terminal', () => {
    const message = '\x1b[31merror\x1b[0m</pre></details>\r\n\r\n# heading';
    expect(renderSummary(withReleases([releaseResult({ outcome: 'failed', message })]))).toContain(
      '<pre>error&lt;/pre&gt;&lt;/details&gt;\n\n# heading</pre>',
    );
  });
});

describe('a summary that would be larger than GitHub takes', () => {
  const mebibyte = 1024 * 1024;

  it('shows as many releases as fit, whole rows, and says how many are missing', () => {
    const releases = Array.from({ length: 20_000 }, (_, index) => releaseResult({ name: `web-${index}` }));
    const markdown = renderSummary(withReleases(releases));
    expect(Buffer.byteLength(markdown)).toBeLessThanOrEqual(mebibyte);
    expect(Buffer.byteLength(markdown)).toBeGreaterThan(mebibyte * 0.9);
    const shown = markdown.split('\n').filter((line) => line.endsWith('| created |')).length;
    expect(markdown).toMatch(
      new RegExp(`\\nCut to what GitHub shows: ${shown} of 20000 rows\\. The log and the outputs have all\\.\\n$`),
    );
  });

  it('keeps rows beside thousands of long failures, each cut', () => {
    const message = 'é'.repeat(mebibyte);
    const releases = Array.from({ length: 2000 }, (_, index) =>
      releaseResult({ name: `web-${index}`, outcome: 'failed', message }),
    );
    const markdown = renderSummary(withReleases(releases), [{ message: 'x'.repeat(mebibyte) }]);
    expect(Buffer.byteLength(markdown)).toBeLessThanOrEqual(mebibyte);
    expect(markdown.split('\n').filter((line) => line.endsWith('| failed |'))).toHaveLength(2000);
    expect(markdown).toContain(`é\n… (${2 * mebibyte - 32 * 1024} bytes more)</pre>`);
    expect(markdown).not.toContain('\uFFFD');
    expect(markdown).toMatch(/Cut to what GitHub shows: \d+ of 2000 failures, 0 of 1 warnings\./);
  });
});
