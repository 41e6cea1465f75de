import { TransshipError } from '../errors.ts';
import type { Driver } from './record.ts';

const BOTH: readonly Driver[] = ['secret', 'configmap'];

/**
 * Where to look for records. Helm looks in one place, the one `HELM_DRIVER` names; a snapshot that is to lose nothing looks
 * in both unless told otherwise.
 *
 * @param name - the value of `HELM_DRIVER`, in the spellings that Helm takes
 * @throws TransshipError `INPUT` for a place that is not in the cluster
 */
export function driversOf(name: string | undefined): readonly Driver[] {
  switch (name ?? '') {
    case '':
      return BOTH;
    case 'secret':
    case 'secrets':
      return ['secret'];
    case 'configmap':
    case 'configmaps':
      return ['configmap'];
    default:
      throw new TransshipError(
        'INPUT',
        `HELM_DRIVER: "${name}" keeps releases where the cluster's API does not show them. Transship reads secret and configmap.`,
        { hint: 'Unset HELM_DRIVER to read both, or set it to secret or configmap.' },
      );
  }
}
