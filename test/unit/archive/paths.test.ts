import { describe, expect, it } from 'vitest';
import { createPathGuard, pathProblem, treePathProblem } from '../../../src/archive/paths.ts';

describe('a path in an archive', () => {
  it.each([
    'a',
    'a/b.json',
    '_releases/shop/web/1.json',
    'Ünïcode/日本.json',
    'a b',
    '..a/b..',
    '.hidden',
    '-rf',
    'rbac:admin',
  ])('may be %j', (path) => expect(pathProblem(path)).toBeUndefined());

  it.each([
    ['', 'is empty'],
    ['/etc/passwd', 'is absolute'],
    ['C:/Windows', 'is absolute'],
    ['c:file', 'is absolute'],
    ['..', 'leads out of the archive'],
    ['a/../../b', 'leads out of the archive'],
    ['a/..', 'leads out of the archive'],
    ['.', 'has an empty segment'],
    ['./a', 'has an empty segment'],
    ['a//b', 'has an empty segment'],
    ['a/', 'has an empty segment'],
    ['a/./b', 'has an empty segment'],
    ['..\\a', 'has a backslash'],
    ['a\nb', 'has a control character'],
    ['a\0', 'has a control character'],
    ['a\r', 'has a control character'],
    ['\ud800', 'is not valid UTF-8'],
    ['a\ufffd', 'is not valid UTF-8'],
  ])('may not be %j', (path, problem) => expect(pathProblem(path)).toBe(problem));

  it('may not be longer than tar can unpack', () => {
    expect(pathProblem('ü'.repeat(2048))).toBeUndefined();
    expect(pathProblem('ü'.repeat(2049))).toBe('is longer than 4096 bytes');
  });

  it('may be there only once', () => {
    const check = createPathGuard();
    check('a/b');
    check('a/c');
    expect(() => check('a/b')).toThrow('The path "a/b" is there twice.');
  });

  it('may not be a file where another path needs a folder, whichever comes first', () => {
    const fileFirst = createPathGuard();
    fileFirst('a/b');
    expect(() => fileFirst('a/b/c/d')).toThrow('The path "a/b" is a file and a folder.');
    const folderFirst = createPathGuard();
    folderFirst('a/b/c/d');
    expect(() => folderFirst('a/b')).toThrow('The path "a/b" is a file and a folder.');
  });
});

describe('a path in a tree', () => {
  it.each(['a/b.json', '_releases/shop/web/1.json', `${'n'.repeat(255)}/a`, '..a/b', '.hidden'])('may be %j', (path) =>
    expect(treePathProblem(path)).toBeUndefined(),
  );

  it.each([
    ['rbac:admin', 'has a :, which not every file system takes'],
    ['a/b?.json', 'has a ?, which not every file system takes'],
    ['a./b', 'has a name that ends in a blank or dot, which not every file system takes'],
    ['a/b ', 'has a name that ends in a blank or dot, which not every file system takes'],
    [`a/${'ü'.repeat(128)}`, 'has a name longer than 255 bytes'],
    ['../a', 'leads out of the archive'],
  ])('may not be %j', (path, problem) => expect(treePathProblem(path)).toBe(problem));
});
