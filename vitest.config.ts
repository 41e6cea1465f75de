import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 10_000,
        },
      },
      {
        test: {
          // Real API servers, Helm, S3 and workflow runner; each file starts what it needs, and waits much of its time.
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
          // After the unit tests, which take as many workers as there are cores.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
