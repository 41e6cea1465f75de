import { expect, it } from 'vitest';
import { createPaint, renderText, tableLines } from '../../../src/report/text.ts';
import { halfImported } from '../../helpers/results.ts';

it('shows a result as aligned lines, with the reasons below', () => {
  expect(renderText(halfImported, createPaint(false))).toBe(`Imported 1 of 3 releases into prod
  Snapshot  26-01-31_12-00-00
  Location  s3://backups/26-01-31_12-00-00.tar.zst

RELEASE  NAMESPACE  CHART  VERSION  APP VERSION  REVISION  RESULT
db       shop       web    1.2.3    2.0          3 (of 3)  failed
web      shop       web    1.2.3    2.0          3 (of 3)  skipped
api      shop       web    1.2.3    2.0          3 (of 3)  created

shop/db failed
  failed pre-install:
  1 error | <timeout>

shop/web skipped
  shop/db, which it needs, failed.
`);
});

it('colours what became of a thing, not the space behind it in a way that breaks alignment', () => {
  const table = { columns: ['State', 'Name'], rows: [['failed', 'a']] };
  expect(tableLines(table, createPaint(true))).toEqual([
    '\x1b[1mSTATE \x1b[22m  \x1b[1mNAME\x1b[22m',
    '\x1b[31mfailed\x1b[39m  a',
  ]);
});

it('lets no text move the cursor or break a line', () => {
  const table = { columns: ['Name'], rows: [['a\x1b[2J\x07\nb']] };
  expect(tableLines(table, createPaint(false))).toEqual(['NAME', 'a b']);
});
