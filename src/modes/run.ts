import type {
  ClearInputs,
  ExportInputs,
  ImportInputs,
  ListInputs,
  PlanInputs,
  PromoteInputs,
  TeardownInputs,
  VerifyInputs,
  WatchInputs,
} from '../inputs.ts';
import type { Outputs } from '../outputs.ts';
import type { Plan } from '../plan/plan.ts';
import type { Reporter } from '../report/reporter.ts';
import type { RollBackResult } from '../undo/undo.ts';

/** What a door gives to a mode besides its inputs. */
export interface RunContext {
  readonly reporter: Reporter;
  /** Fires when the user or the runner cancels; its reason is a TransshipError `CANCELLED`. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** An empty folder for this run alone, readable by this user alone; the door removes it with all that is in it. */
  readonly temporaryDirectory: string;
  /** Labels what is made in clusters for a while, so that the clean-up of a killed run finds it. */
  readonly run: string;
  /** Asks a person yes or no; undefined where nobody can answer. */
  readonly confirm?: ((question: string) => Promise<boolean>) | undefined;
  /** Transship's own version, such as `0.1.0`. */
  readonly version: string;
}

/** What the report says besides the outputs. */
export type Summary =
  | {
      readonly mode: 'export';
      /** The context of the cluster, or `in-cluster`. */
      readonly cluster: string;
    }
  | {
      readonly mode: 'import' | 'promote';
      readonly cluster: string;
      /** Of promote: the context that was exported from. */
      readonly source?: string | undefined;
      /** Of an atomic import that failed: what became of what it had done. */
      readonly undone?: RollBackResult | undefined;
    }
  | {
      readonly mode: 'plan';
      readonly cluster: string;
      readonly plan: Plan;
      /** Whether changes are to be told by the exit status. */
      readonly exitCode: boolean;
    }
  | {
      readonly mode: 'teardown';
      readonly cluster: string;
      /** Nothing was done: it is what would be. */
      readonly dryRun: boolean;
      readonly environments: readonly string[];
      /** Namespaces that were deleted. */
      readonly namespaces: readonly string[];
    }
  | { readonly mode: 'list' }
  | {
      readonly mode: 'clear';
      /** Nothing was deleted: it is what would be. */
      readonly dryRun: boolean;
      /** The person who was asked said no. */
      readonly declined: boolean;
      /** How many snapshots stay. */
      readonly kept: number;
    }
  | { readonly mode: 'watch'; readonly cluster: string /** How many snapshots were stored. */; readonly stored: number }
  | {
      readonly mode: 'verify';
      /** How many files the archive holds, and their bytes uncompressed. */
      readonly files: number;
      readonly bytes: number;
      /** It is encrypted and no identity was given: what is in it was not read. */
      readonly unread?: true | undefined;
      /** What is damaged, a sentence each; empty when the snapshot is whole. */
      readonly problems: readonly string[];
    };

/**
 * What a mode returns when it got far enough to have something to report, also when part of it failed: the door first
 * writes outputs and summary, then fails. A mode that has nothing to report throws instead.
 */
export interface RunResult {
  readonly outputs: Outputs;
  readonly summary: Summary;
  readonly failed: boolean;
}

type Run<I> = (inputs: I, context: RunContext) => Promise<RunResult>;
export type RunExport = Run<ExportInputs>;
export type RunImport = Run<ImportInputs>;
export type RunPlan = Run<PlanInputs>;
export type RunPromote = Run<PromoteInputs>;
export type RunTeardown = Run<TeardownInputs>;
export type RunList = Run<ListInputs>;
export type RunVerify = Run<VerifyInputs>;
export type RunClear = Run<ClearInputs>;
export type RunWatch = Run<WatchInputs>;
