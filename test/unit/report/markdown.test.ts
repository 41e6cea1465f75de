import { describe, expect, it } from 'vitest';
import { bytesOf, code, cut, fenced, inline, pre, takeWithin } from '../../../src/report/markdown.ts';

describe('text that is not ours', () => {
  it('is no Markdown as code, which by itself would let it act', () => {
    expect(code('*a* _b_ `c` [d](e) ~~f~~ $g$ h|i \\j <k>')).toBe(
      '<code>&#42;a&#42; &#95;b&#95; &#96;c&#96; &#91;d&#93;(e) &#126;&#126;f&#126;&#126; &#36;g&#36; h&#124;i &#92;j &lt;k&gt;</code>',
    );
    expect(code('26-01-31_12-00-00')).toBe('<code>26-01-31_12-00-00</code>');
  });

  it('is no Markdown in a line', () => {
    expect(inline('*a* | <b>\n# c')).toBe('\\*a\\* \\| &lt;b&gt; \\# c');
  });

  it('can not end the block it is in', () => {
    expect(pre('a</pre>\n\n# b')).toBe('<pre>a&lt;/pre&gt;\n\n# b</pre>\n');
    expect(fenced('diff', '+a\n')).toBe('```diff\n+a\n```\n');
    expect(fenced('diff', '+a\n```\n`````')).toBe('``````diff\n+a\n```\n`````\n``````\n');
  });
});

it('a text is cut to bytes between characters, and says how many more there were', () => {
  expect(cut('ééé', 5)).toBe('éé\n… (2 bytes more)');
  expect(cut('ééé', 6)).toBe('ééé');
});

it('as many items are taken as fit, in their order, and none after the first that does not', () => {
  const taken = takeWithin(8, ['aaa', 'é', 'bbbbb', 'c'], (item) => item);
  expect(taken).toEqual(['aaa', 'é']);
  expect(bytesOf(taken)).toBe(7);
});
