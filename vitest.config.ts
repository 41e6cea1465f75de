import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // One process for many files: to load what they test takes longer than most of them. A helper is loaded once, too: its
          // hooks go into a function that each file calls. By default there is one process less than cores.
          isolate: false,
          maxWorkers: availableParallelism(),
          testTimeout: 10_000,
          expect: { poll: { timeout: 8000 } },
        },
      },
      {
        test: {
          // Real API servers, Helm, S3 and workflow runner; each file starts what it needs, and waits much of its time.
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // A second, the default, is short for a process to start on a busy machine.
          expect: { poll: { timeout: 60_000 } },
          maxWorkers: availableParallelism() + 1,
          // Helm and the servers are written in Go, and collect garbage for a quarter of their time by default.
          env: { GOGC: '400' },
          // After the unit tests, which take as many workers as there are cores.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
