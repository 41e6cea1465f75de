import { describe, expect, it } from 'vitest';
import { createPathGuard, symlinkProblem } from '../../../src/archive/paths.ts';

describe('what a symlink may point to', () => {
  it.each([
    ['a', 'b'],
    ['a', './b'],
    ['a', 'b/c/'],
    ['d/a', '..'],
    ['d/a', '../b'],
    ['d/e/a', '../../b/c'],
    ['d/e/a', '.././../b'],
    ['a', 'back\\slash:colon'],
    ['a', '..b'],
  ])('allows %s -> %s', (path, target) => {
    expect(symlinkProblem(path, target)).toBeUndefined();
  });

  it.each([
    ['a', '', 'is nothing'],
    ['a', '/', 'is absolute'],
    ['a', '//b', 'is absolute'],
    ['a', '..', 'leads outside'],
    ['a', './../b', 'leads outside'],
    ['d/a', '../..', 'leads outside'],
    ['d/a', '.././/../b', 'leads outside'],
    // Where b is a link to the folder above, this is two above.
    ['d/a', 'b/..', 'goes up again after a name'],
    ['d/e/a', '../b/../c', 'goes up again after a name'],
    ['a', 'b\0', 'has a control character'],
    ['a', 'b\uFFFD', 'is not valid UTF-8'],
  ])('refuses %s -> %s: it %s', (path, target, problem) => {
    expect(symlinkProblem(path, target)).toBe(problem);
  });
});

describe('guarding folders and links of an archive', () => {
  it('lets a folder be named once, before or after what is in it', () => {
    const check = createPathGuard();
    check('a', { type: 'directory' });
    check('a/f');
    check('b/f');
    check('b', { type: 'directory' });
    expect(() => check('a', { type: 'directory' })).toThrow('The path "a" is there twice.');
    expect(() => check('a')).toThrow('The path "a" is a file and a folder.');
    expect(() => check('a/f', { type: 'directory' })).toThrow('The path "a/f" is a file and a folder.');
  });

  it('lets nothing stand below a symlink or a file', () => {
    const check = createPathGuard();
    check('f');
    check('l', { type: 'symlink', linkTarget: 'd' });
    check('h', { type: 'hardlink', linkTarget: 'f' });
    expect(() => check('l/x/y')).toThrow('The path "l/x/y" leads through the symlink l.');
    expect(() => check('l/x', { type: 'directory' })).toThrow('The path "l/x" leads through the symlink l.');
    expect(() => check('h/x')).toThrow('The path "h" is a file and a folder.');
    expect(() => check('l')).toThrow('The path "l" is there twice.');
  });

  it('lets a hard link be to a file, link or symlink before it, and to no folder', () => {
    const check = createPathGuard();
    check('d/f');
    check('l', { type: 'symlink', linkTarget: 'd' });
    check('g', { type: 'hardlink', linkTarget: 'd/f' });
    check('h', { type: 'hardlink', linkTarget: 'g' });
    check('i', { type: 'hardlink', linkTarget: 'l' });
    expect(() => check('j', { type: 'hardlink', linkTarget: 'd' })).toThrow(
      'The link "j" points to "d", which is no file before it.',
    );
    expect(() => check('k', { type: 'hardlink' })).toThrow('The link "k" points to "", which is no file before it.');
  });
});
