import { Hook_DeletePolicy, Hook_Event, Status_Code, TestRun_Status } from './generated/hapi/release_pb.ts';

/** What Helm 3 and 4 call what Helm 2 has a number for; helm-2to3 has the same words. */
export interface Words<T> {
  /** @returns undefined for a word that Helm 2 did not have */
  toNumber(word: unknown): T | undefined;
  /** @returns undefined for a number that stands for nothing */
  toWord(number: number): string | undefined;
}

/** `deployed`, `pending-upgrade`: https://github.com/helm/helm-2to3/blob/v0.10.3/pkg/v3/release.go (mapStatus) */
export const statusWords = wordsOf([
  ['unknown', Status_Code.UNKNOWN],
  ['deployed', Status_Code.DEPLOYED],
  ['uninstalled', Status_Code.DELETED],
  ['superseded', Status_Code.SUPERSEDED],
  ['failed', Status_Code.FAILED],
  ['uninstalling', Status_Code.DELETING],
  ['pending-install', Status_Code.PENDING_INSTALL],
  ['pending-upgrade', Status_Code.PENDING_UPGRADE],
  ['pending-rollback', Status_Code.PENDING_ROLLBACK],
]);

/** `pre-install`; Helm 3 has one event for tests, whose first word is the one it writes. */
export const eventWords = wordsOf([
  ['pre-install', Hook_Event.PRE_INSTALL],
  ['post-install', Hook_Event.POST_INSTALL],
  ['pre-delete', Hook_Event.PRE_DELETE],
  ['post-delete', Hook_Event.POST_DELETE],
  ['pre-upgrade', Hook_Event.PRE_UPGRADE],
  ['post-upgrade', Hook_Event.POST_UPGRADE],
  ['pre-rollback', Hook_Event.PRE_ROLLBACK],
  ['post-rollback', Hook_Event.POST_ROLLBACK],
  ['test', Hook_Event.RELEASE_TEST_SUCCESS],
  ['test', Hook_Event.RELEASE_TEST_FAILURE],
  ['test-success', Hook_Event.RELEASE_TEST_SUCCESS],
  ['test-failure', Hook_Event.RELEASE_TEST_FAILURE],
  ['crd-install', Hook_Event.CRD_INSTALL],
]);

/** `hook-succeeded` */
export const policyWords = wordsOf([
  ['hook-succeeded', Hook_DeletePolicy.SUCCEEDED],
  ['hook-failed', Hook_DeletePolicy.FAILED],
  ['before-hook-creation', Hook_DeletePolicy.BEFORE_HOOK_CREATION],
]);

/** `Succeeded`: how a hook last ran. */
export const phaseWords = wordsOf([
  ['Unknown', TestRun_Status.UNKNOWN],
  ['Succeeded', TestRun_Status.SUCCESS],
  ['Failed', TestRun_Status.FAILURE],
  ['Running', TestRun_Status.RUNNING],
]);

/** Of what is there twice, the first counts. */
function wordsOf<T extends number>(pairs: readonly (readonly [string, T])[]): Words<T> {
  return {
    toNumber: (word) => pairs.find(([one]) => one === word)?.[1],
    toWord: (number) => pairs.find(([, one]) => one === number)?.[0],
  };
}
