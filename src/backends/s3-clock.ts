import type { S3Client } from './lazy/s3-sdk.ts';

/** When an answer was given, in milliseconds of the service's clock; of this machine's, for one without a date. */
export type TimeOf = (output: object) => number;

/** Lets answers tell when they were given: the library keeps that header to itself. */
export function watchDates(client: S3Client): TimeOf {
  const times = new WeakMap<object, number>();
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const time = Date.parse(dateOf(result.response));
      if (!Number.isNaN(time)) times.set(result.output, time);
      return result;
    },
    { step: 'initialize', name: 'watchDates' },
  );
  return (output) => times.get(output) ?? Date.now();
}

function dateOf(response: unknown): string {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return '';
  const { headers } = response;
  if (typeof headers !== 'object' || headers === null || !('date' in headers)) return '';
  return String(headers.date);
}
