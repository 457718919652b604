import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import {
  bootId,
  endProcess,
  isSameProcess,
  killExact,
  onProcessEnd,
  processStartTime,
  systemClock,
  systemRandom,
} from './index.ts';
import { isLinux } from './libc.ts';

const children: ChildProcess[] = [];
async function sleeper(): Promise<{ child: ChildProcess; pid: number; startTime: number }> {
  const child = spawn('sleep', ['60']);
  children.push(child);
  await once(child, 'spawn');
  return { child, pid: child.pid!, startTime: processStartTime(child.pid!) };
}
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

describe.runIf(isLinux)('processes', () => {
  test('a process is killed by pid and start time', async () => {
    const { child, pid, startTime } = await sleeper();
    expect(isSameProcess(pid, startTime)).toBe(true);
    const exit = once(child, 'exit');
    expect(killExact(pid, startTime, 'SIGTERM')).toBe(true);
    expect(await exit).toEqual([null, 'SIGTERM']);
    expect(isSameProcess(pid, startTime)).toBe(false);
    expect(killExact(pid, startTime, 'SIGTERM')).toBe(false);
  });

  test('a process that took over the pid of another is left alone', async () => {
    const { pid, startTime } = await sleeper();
    expect(killExact(pid, startTime - 1, 'SIGKILL')).toBe(false);
    expect(endProcess(pid, startTime - 1, 100)).toBe(true);
    expect(isSameProcess(pid, startTime)).toBe(true);
  });

  test('a frozen process is ended, and is gone when that returns', async () => {
    const { pid, startTime } = await sleeper();
    expect(killExact(pid, startTime, 'SIGSTOP')).toBe(true);
    expect(endProcess(pid, startTime, 1000)).toBe(true);
    expect(isSameProcess(pid, startTime)).toBe(false);
  });

  test('the end of a process is told once, at once also when it is over already', async () => {
    const { pid, startTime } = await sleeper();
    let told = 0;
    const ended = new Promise<void>((done) =>
      onProcessEnd(pid, startTime, () => {
        told++;
        done();
      }),
    );
    onProcessEnd(pid, startTime, () => expect.unreachable())();
    expect(told).toBe(0);
    killExact(pid, startTime, 'SIGKILL');
    await ended;
    expect(isSameProcess(pid, startTime)).toBe(false);
    await new Promise<void>((done) => onProcessEnd(pid, startTime, done));
    await new Promise<void>((done) => onProcessEnd(process.pid, 1, done));
    expect(told).toBe(1);
  });

  test('no pid of ours can mean a group or the first process', () => {
    for (const pid of [0, -1, 1, 1.5, Number.NaN]) expect(killExact(pid, 0, 'SIGKILL')).toBe(false);
  });

  test('the clock is the boot-time clock that /proc/uptime shows', () => {
    const before = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000;
    expect(Math.abs(systemClock.nowMs() - before)).toBeLessThan(1000);
    expect(bootId()).toMatch(/^[0-9a-f-]{36}$/);
  });
});

test('a timer runs once and never early; a cancelled one does not run', async () => {
  const from = systemClock.nowMs();
  let cancelledRan = false;
  systemClock.after(1, () => (cancelledRan = true)).cancel();
  await new Promise<void>((done) => systemClock.after(5.5, done));
  expect(systemClock.nowMs() - from).toBeGreaterThanOrEqual(5.5);
  expect(cancelledRan).toBe(false);
});

test('chance gives what was asked for and never the same', () => {
  for (const length of [0, 1, 16, 255, 256, 257, 5000])
    expect(systemRandom.bytes(length)).toHaveLength(length);
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) seen.add(Buffer.from(systemRandom.bytes(10)).toString('hex'));
  expect(seen.size).toBe(2000);
});
