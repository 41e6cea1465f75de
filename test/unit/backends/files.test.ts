import { expect, it } from 'vitest';
import { fileError } from '../../../src/backends/files.ts';

it.each([
  ['ENOSPC', 'write', 'BACKEND', 'Cannot write /d/s.tar: the disk is full.'],
  ['EDQUOT', 'write', 'BACKEND', 'Cannot write /d/s.tar: the disk quota is used up.'],
  ['EACCES', 'read', 'BACKEND', 'Cannot read /d/s.tar: permission denied.'],
  ['EPERM', 'write', 'BACKEND', 'Cannot write /d/s.tar: permission denied.'],
  ['EROFS', 'write', 'BACKEND', 'Cannot write /d/s.tar: the file system is read-only.'],
  ['ENOENT', 'write', 'BACKEND', 'Cannot write /d/s.tar: the folder it belongs in does not exist.'],
  ['ENOENT', 'read', 'SNAPSHOT_NOT_FOUND', '/d/s.tar does not exist.'],
  ['EIO', 'read', 'BACKEND', 'Cannot read /d/s.tar: the disk failed.'],
] as const)('tells %s at a %s in words', (code, verb, expectedCode, message) => {
  const cause = Object.assign(new Error(code), { code, syscall: verb });
  expect(fileError(verb, '/d/s.tar', cause)).toMatchObject({
    code: expectedCode,
    message,
    hint: expect.any(String),
    cause,
  });
});

it('tells an unknown failure in the words of the system', () => {
  const cause = Object.assign(new Error('ESTALE: stale file handle, write'), { code: 'ESTALE', syscall: 'write' });
  expect(fileError('write', '/d/s.tar', cause).message).toBe('Cannot write /d/s.tar: ESTALE: stale file handle, write');
});
