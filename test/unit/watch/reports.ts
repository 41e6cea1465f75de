import { type Reporter, silentReporter } from '../../../src/report/reporter.ts';

/** A reporter that keeps what it is told but for details, as `level: message`. */
export function collectReports(): { readonly reporter: Reporter; readonly lines: string[] } {
  const lines: string[] = [];
  const keep = (level: string) => (message: string) => void lines.push(`${level}: ${message}`);
  return { reporter: { ...silentReporter, info: keep('info'), warn: keep('warn'), error: keep('error') }, lines };
}
