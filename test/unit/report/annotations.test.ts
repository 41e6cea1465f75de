import { expect, it } from 'vitest';
import { type Annotation, createAnnotations } from '../../../src/report/annotations.ts';

function add(count: number, most?: number) {
  const shown: Annotation[] = [];
  const annotations = createAnnotations((annotation) => shown.push(annotation), most);
  const atOnce = Array.from({ length: count }, (_, index) => annotations.add({ message: `m${index}`, title: 't' }));
  annotations.flush();
  annotations.flush();
  return { shown, atOnce: atOnce.filter(Boolean).length };
}

it('shows as many as GitHub does, each as it is', () => {
  const { shown, atOnce } = add(10);
  expect(shown.map(({ message }) => message)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8', 'm9']);
  expect(atOnce).toBe(9);
});

it('folds those that are too many into the last', () => {
  const { shown } = add(12);
  expect(shown).toHaveLength(10);
  expect(shown.at(-1)).toEqual({ title: '3 more', message: '- t: m9\n- t: m10\n- t: m11' });
});

it('shows nothing when there was nothing', () => {
  expect(add(0).shown).toEqual([]);
});

it('leaves room when told to', () => {
  expect(add(12, 9).shown).toHaveLength(9);
});
