import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { joinSockets } from '../../../src/vms/join-sockets.ts';

/** Both ends of a port-forward, as far as they are used; each call is noted. */
function ends({ writes = true } = {}) {
  const calls: string[] = [];
  const note =
    (what: string) =>
    (...args: unknown[]) => {
      const told = args.flatMap((arg) => {
        if (arg instanceof Uint8Array) return [[...arg].join()];
        return typeof arg === 'number' ? [String(arg)] : [];
      });
      calls.push([what, ...told].join(' '));
      return writes;
    };
  const sent: (() => void)[] = [];
  const local = Object.assign(new EventEmitter(), {
    destroyed: false,
    ...Object.fromEntries(
      ['write', 'pause', 'resume', 'end', 'resetAndDestroy'].map((name) => [name, note(`local.${name}`)]),
    ),
  });
  const remote = Object.assign(new EventEmitter(), {
    bufferedAmount: 0,
    send: (data: Uint8Array, done: () => void) => {
      calls.push(`remote.send ${[...data].join()}`);
      sent.push(done);
    },
    ...Object.fromEntries(
      ['ping', 'pause', 'resume', 'close', 'terminate'].map((name) => [name, note(`remote.${name}`)]),
    ),
  });
  const problems: string[] = [];
  joinSockets(local as unknown as Socket, remote as unknown as WebSocket, (problem) => problems.push(problem));
  return { local, remote, calls, sent, problems };
}

describe('the two ends of a port-forward', () => {
  it('leave out the port each channel begins with, also when it comes with data or in halves', () => {
    const together = ends();
    together.remote.emit('message', Buffer.from([0, 0xfb, 0x20, 7, 8]));
    together.remote.emit('message', Buffer.from([0, 9]));
    expect(together.calls).toEqual(['remote.resume', 'local.write 7,8', 'local.write 9']);

    const halves = ends();
    for (const bytes of [
      [0, 0xfb],
      [1, 0xfb, 0x20],
      [0, 0x20],
      [0, 7],
    ])
      halves.remote.emit('message', Buffer.from(bytes));
    expect(halves.calls).toEqual(['remote.resume', 'local.write 7']);
  });

  it('read no faster from the cluster than is taken here', () => {
    const { local, remote, calls } = ends({ writes: false });
    remote.emit('message', Buffer.from([0, 0, 0, 7]));
    local.emit('drain');
    expect(calls).toEqual(['remote.resume', 'local.write 7', 'remote.pause', 'remote.resume']);
  });

  it('read no faster here than the cluster takes', () => {
    const { local, remote, calls, sent } = ends();
    remote.bufferedAmount = 1024 * 1024;
    local.emit('data', Buffer.from([7]));
    remote.bufferedAmount = 0;
    sent[0]?.();
    expect(calls).toEqual(['remote.resume', 'remote.send 0,7', 'local.pause', 'local.resume']);
  });

  it.each([
    [1000, 'local.end'],
    [1005, 'local.end'],
    [1006, 'local.resetAndDestroy'],
    [1011, 'local.resetAndDestroy'],
  ])('pass on an end with the code %i as %s', (code, call) => {
    const { remote, calls } = ends();
    remote.emit('close', code);
    expect(calls.slice(1)).toEqual([call]);
  });

  it('pass on what the pod refused as a reset, with its words, though the end is a proper one', () => {
    const { remote, calls, problems } = ends();
    remote.emit('message', Buffer.from('\u0001\0\0connection refused'));
    remote.emit('close', 1000);
    expect(problems).toEqual(['connection refused']);
    expect(calls.slice(1)).toEqual(['local.resetAndDestroy']);
  });

  it('close the way to the cluster when nobody is left here', () => {
    const { local, calls } = ends();
    local.emit('close');
    expect(calls.slice(1)).toEqual(['remote.close 1000', 'remote.resume']);
  });
});
