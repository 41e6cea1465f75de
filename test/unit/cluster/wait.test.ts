import { expect, test } from 'vitest';
import { readIdentity } from '../../../src/cluster/identity.ts';
import { waitFor, waitForCrd } from '../../../src/cluster/wait.ts';
import {
  answerJson,
  answerStatus,
  jumpingClock,
  kubeconfigOf,
  openTestCluster,
  startServer,
} from './misbehaving-server.ts';

test('waiting looks with growing gaps until what it waits for is there', async () => {
  const clock = jumpingClock();
  let looks = 0;
  const poll = async () =>
    ++looks === 4 ? ({ done: true, value: 'x' } as const) : ({ done: false, state: '' } as const);
  expect(await waitFor(poll, { timeout: 60_000, describe: 'x', clock })).toBe('x');
  expect(clock.sleeps).toEqual([100, 150, 225]);
});

test('a timeout says what was awaited and the last state, after one last look at the deadline', async () => {
  const clock = jumpingClock();
  let looks = 0;
  const waiting = waitFor(async () => ({ done: false, state: `look ${++looks}` }), {
    timeout: 300,
    describe: 'claim data to bind',
    clock,
  });
  await expect(waiting).rejects.toMatchObject({
    code: 'TIMEOUT',
    message: 'Timed out after 0.3 s waiting for claim data to bind. Last seen: look 4.',
  });
  expect(clock.sleeps).toEqual([100, 150, 50]);
});

test('a signal ends the wait with CANCELLED', async () => {
  const controller = new AbortController();
  const poll = async () => {
    controller.abort();
    return { done: false, state: 'pending' } as const;
  };
  const waiting = waitFor(poll, { timeout: 60_000, describe: 'x', signal: controller.signal });
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('an error of a look ends the wait', async () => {
  const poll = async () => {
    throw new Error('forbidden');
  };
  await expect(waitFor(poll, { timeout: 60_000, describe: 'x', clock: jumpingClock() })).rejects.toThrow('forbidden');
});

test('a definition counts as ready once its names are accepted and it is established', async () => {
  const condition = (type: string, status: string) => ({ type, status });
  const server = await startServer((_, response, count) => {
    if (count === 1) {
      answerStatus(response, 404, 'NotFound', 'not found');
      return;
    }
    const established = count > 3 ? 'True' : 'False';
    const conditions = count === 2 ? [] : [condition('NamesAccepted', 'True'), condition('Established', established)];
    answerJson(response, { metadata: { name: 'w' }, status: { conditions } });
  });
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) });
  await waitForCrd(cluster, 'widgets.example.com', { timeout: 10_000, clock: jumpingClock() });
  expect(server.requests).toHaveLength(4);
});

test('a definition whose names are taken is told with the reason of the server', async () => {
  const server = await startServer((_, response) => {
    const message = '"widgets" is already in use';
    answerJson(response, { status: { conditions: [{ type: 'NamesAccepted', status: 'False', message }] } });
  });
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) });
  const waiting = waitForCrd(cluster, 'widgets.example.com', { timeout: 1000, clock: jumpingClock() });
  await expect(waiting).rejects.toThrow(
    'Timed out after 1 s waiting for the CustomResourceDefinition widgets.example.com to be established. ' +
      'Last seen: NamesAccepted is False ("widgets" is already in use).',
  );
});

test('the identity of a cluster is the uid of kube-system, where it may be read, and its version', async () => {
  let allowed = true;
  const server = await startServer((request, response) => {
    if (request.url === '/version') {
      answerJson(response, { gitVersion: 'v1.35.4' });
    } else if (allowed) {
      answerJson(response, { metadata: { name: 'kube-system', uid: 'u-1' } });
    } else {
      answerStatus(response, 403, 'Forbidden', 'no');
    }
  });
  const cluster = await openTestCluster({ kubeconfig: kubeconfigOf({ server: server.url }) });
  expect(await readIdentity(cluster)).toEqual({ uid: 'u-1', version: 'v1.35.4' });
  allowed = false;
  expect(await readIdentity(cluster)).toEqual({ uid: undefined, version: 'v1.35.4' });
});
