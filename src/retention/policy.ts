/** Which snapshots stay: each that any of the rules keeps. */
export interface RetentionPolicy {
  /** How many of the newest. */
  readonly last?: number | undefined;
  /** Of how many hours, days, weeks, months and years that have some, the newest one. */
  readonly hourly?: number | undefined;
  readonly daily?: number | undefined;
  readonly weekly?: number | undefined;
  readonly monthly?: number | undefined;
  readonly yearly?: number | undefined;
  /** All that are not older, in milliseconds. */
  readonly age?: number | undefined;
}

/** The rules that are a number of snapshots. */
export const countRules = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
