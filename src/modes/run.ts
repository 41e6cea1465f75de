import type { ExportInputs, ImportInputs, ListInputs, VerifyInputs } from '../inputs.ts';
import type { Outputs } from '../outputs.ts';
import type { Reporter } from '../report/reporter.ts';

/** What a door gives to a mode besides its inputs. */
export interface RunContext {
  readonly reporter: Reporter;
  /** Fires when the user or the runner cancels; its reason is a TransshipError `CANCELLED`. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** An empty folder for this run alone, readable by this user alone; the door removes it with all that is in it. */
  readonly temporaryDirectory: string;
  /** Transship's own version, such as `0.1.0`. */
  readonly version: string;
}

/** What the report says besides the outputs. */
export type Summary =
  | {
      readonly mode: 'export' | 'import';
      /** The context of the cluster, or `in-cluster`. */
      readonly cluster: string;
    }
  | { readonly mode: 'list' }
  | {
      readonly mode: 'verify';
      /** How many files the archive holds, and their bytes uncompressed. */
      readonly files: number;
      readonly bytes: number;
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
export type RunList = Run<ListInputs>;
export type RunVerify = Run<VerifyInputs>;
