import type { Tool } from '../tool-list.ts';

/** A tool for tests of how tools are found and made: it prints its version, and nothing publishes it. */
export const GREET: Tool = {
  binary: 'greet',
  module: 'greet',
  package: 'example.com/greet',
  versionOf: 'example.com/greet',
  versionArgs: ['--version'],
  release: () => undefined,
};
