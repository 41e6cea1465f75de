/**
 * Whether a release's JSON could be of the chart transship, without parsing it. Helm writes its JSON without spaces, other
 * tools may not.
 */
export function mayManage(json: string): boolean {
  return /"name":\s*"transship"/.test(json);
}
