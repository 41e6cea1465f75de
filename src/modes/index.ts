import type { Inputs } from '../inputs.ts';
import type {
  RunClear,
  RunContext,
  RunExport,
  RunImport,
  RunList,
  RunPlan,
  RunPromote,
  RunResult,
  RunTeardown,
  RunVerify,
  RunWatch,
} from './run.ts';

/** Runs the mode that the inputs ask for; loads only that one. */
export async function runMode(inputs: Inputs, context: RunContext): Promise<RunResult> {
  switch (inputs.mode) {
    case 'export': {
      const { run }: { run: RunExport } = await import('./export.ts');
      return run(inputs, context);
    }
    case 'import': {
      const { run }: { run: RunImport } = await import('./import.ts');
      return run(inputs, context);
    }
    case 'plan': {
      const { run }: { run: RunPlan } = await import('./plan.ts');
      return run(inputs, context);
    }
    case 'promote': {
      const { run }: { run: RunPromote } = await import('./promote.ts');
      return run(inputs, context);
    }
    case 'teardown': {
      const { run }: { run: RunTeardown } = await import('./teardown.ts');
      return run(inputs, context);
    }
    case 'list': {
      const { run }: { run: RunList } = await import('./list.ts');
      return run(inputs, context);
    }
    case 'verify': {
      const { run }: { run: RunVerify } = await import('./verify.ts');
      return run(inputs, context);
    }
    case 'clear': {
      const { run }: { run: RunClear } = await import('./clear.ts');
      return run(inputs, context);
    }
    case 'watch': {
      const { run }: { run: RunWatch } = await import('./watch.ts');
      return run(inputs, context);
    }
  }
}
