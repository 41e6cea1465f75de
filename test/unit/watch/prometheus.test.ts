import { expect, it } from 'vitest';
import { renderMetrics } from '../../../src/watch/prometheus.ts';

it('a metric has its help, its type and its values', () => {
  const text = renderMetrics([
    { name: 'a_total', type: 'counter', help: 'How many.', samples: 3 },
    {
      name: 'b',
      type: 'gauge',
      help: 'By step.',
      samples: [
        { labels: { step: 'push' }, value: 0.5 },
        { labels: { step: 'export', more: 'x' }, value: 1e21 },
      ],
    },
  ]);
  expect(text).toBe(`# HELP a_total How many.
# TYPE a_total counter
a_total 3
# HELP b By step.
# TYPE b gauge
b{step="push"} 0.5
b{step="export",more="x"} 1e+21
`);
});

it('what would end a line or a value is escaped', () => {
  const labels = { version: 'a"b\\c\nd' };
  const text = renderMetrics([
    { name: 'a', type: 'gauge', help: 'one\\two\n"three"', samples: [{ labels, value: 1 }] },
  ]);
  expect(text).toBe('# HELP a one\\\\two\\n"three"\n# TYPE a gauge\na{version="a\\"b\\\\c\\nd"} 1\n');
});

it('what is not known yet is left out', () => {
  expect(renderMetrics([{ name: 'a', type: 'gauge', help: 'A.', samples: undefined }])).toBe('');
});

it('numbers that are none are written as Go writes them', () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const samples = values.map((value) => ({ labels: {}, value }));
  const text = renderMetrics([{ name: 'a', type: 'gauge', help: 'A.', samples }]);
  expect(text.split('\n').slice(2, 5)).toEqual(['a NaN', 'a +Inf', 'a -Inf']);
});
