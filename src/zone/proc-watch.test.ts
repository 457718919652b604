import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { processStartTime } from '../native/index.ts';
import { readProcessFacts } from './proc-watch.ts';
import { standingOf } from './process-facts.ts';

const refOf = (pid: number) => ({ role: 'switch', id: 'a1', pid, startTime: processStartTime(pid) });

describe.skipIf(process.platform !== 'linux')('what the machine tells of a process', () => {
  it('knows one that is stopped', async () => {
    const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)']);
    await once(child.stdout, 'data');
    const ref = refOf(child.pid!);
    child.kill('SIGSTOP');
    while (readProcessFacts(ref)?.state !== 'T') await new Promise((resolve) => setImmediate(resolve));
    expect(standingOf(undefined, readProcessFacts(ref))).toBe('stopped');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readProcessFacts(ref)).toBeUndefined();
  });

  it('knows one that computes and says nothing from one that sleeps', async () => {
    const child = spawn(process.execPath, ['-e', 'console.log("up"); for (;;);']);
    await once(child.stdout, 'data');
    const ref = refOf(child.pid!);
    const before = readProcessFacts(ref)!;
    let now = before;
    while (now.ranMs + now.waitedMs < before.ranMs + before.waitedMs + 20) now = readProcessFacts(ref)!;
    expect(['busy', 'starved']).toContain(standingOf(before, now));
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  it('tells nothing of another process that got the same pid', () => {
    expect(readProcessFacts({ ...refOf(process.pid), startTime: 1 })).toBeUndefined();
    expect(readProcessFacts(refOf(process.pid))).toBeDefined();
  });
});
