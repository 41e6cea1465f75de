import { TransshipError } from '../../../src/errors.ts';
import { type Door, parseInputs, type RawInputs } from '../../../src/inputs.ts';

/** What is said of inputs that are refused. */
export function refusal(raw: RawInputs, door: Door = 'cli'): string {
  try {
    parseInputs(raw, door);
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'INPUT') return error.message;
    throw error;
  }
  throw new Error('The inputs were accepted.');
}
