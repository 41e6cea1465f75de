/** One line of act's log with `--json`: what was said, in which job and step, and for a workflow command its parts. */
export interface LogEntry {
  readonly message: string;
  /** The job's id; of a matrix with its values, as GitHub shows it: `export (shop)`. */
  readonly job: string;
  readonly step: string;
  /** `Pre`, `Main` or `Post`. */
  readonly stage: string;
  /** A workflow command (`error`, `add-mask`, …), or what act did with a file command (`set-output`, `summary`). */
  readonly command: string;
  /** The command's message or the output's value. */
  readonly argument: string;
  readonly title: string;
  /** The output's name. */
  readonly name: string;
  /** Of the entry that ends a job: `success` or `failure`. */
  readonly jobResult: string;
  /** The job summary that a step wrote. */
  readonly summary: string;
  /** The line as act printed it, all fields included. */
  readonly raw: string;
}

/** An annotation as a person finds it on the page of the run. */
export interface LoggedAnnotation {
  readonly title: string;
  readonly message: string;
}

/** Reads what act printed with `--json`; a line that is no JSON is a message of act itself. */
export function parseActLog(output: string): LogEntry[] {
  return output
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((raw) => {
      const fields = parseFields(raw);
      const text = (name: string) => {
        const value = fields[name];
        return typeof value === 'string' ? value : '';
      };
      const properties = fields.kvPairs;
      const title: unknown =
        typeof properties === 'object' && properties !== null ? Reflect.get(properties, 'title') : undefined;
      return {
        message: text('msg'),
        job: [text('jobID'), ...matrixOf(fields)].join(' '),
        step: text('step'),
        stage: text('stage'),
        command: text('command'),
        argument: text('arg'),
        title: typeof title === 'string' ? title : '',
        name: text('name'),
        jobResult: text('jobResult'),
        summary: text('content'),
        raw,
      };
    });
}

function matrixOf({ matrix }: Record<string, unknown>): string[] {
  const values = typeof matrix === 'object' && matrix !== null ? Object.values(matrix) : [];
  return values.length === 0 ? [] : [`(${values.join(', ')})`];
}

function parseFields(line: string): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(line);
    if (typeof fields === 'object' && fields !== null) return { ...fields };
  } catch {
    // Not JSON.
  }
  return { msg: line };
}
