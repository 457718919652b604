import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { processStartTime } from '../native/index.ts';
import { type FoundProcess, findProcesses, parseTarget, processesOf, type ZoneShape } from './processes.ts';

const zones: readonly ZoneShape[] = [
  { id: 'a', switches: ['a1', 'a2'], media: ['a'] },
  { id: 'b', switches: ['b1', 'b2'], media: ['b'] },
];

describe('a target', () => {
  test('is named as an operator says it', () => {
    expect(parseTarget('zone a', zones, ['edge1'])).toEqual({ role: 'zone', id: 'a' });
    expect(parseTarget(' switch  b2 ', zones, ['edge1'])).toEqual({ role: 'switch', id: 'b2' });
    expect(parseTarget('edge', zones, ['edge1'])).toEqual({ role: 'edge', id: 'edge1' });
    expect(parseTarget('control', zones, ['edge1'])).toEqual({ role: 'control', id: 'control' });
  });

  test('that does not exist is answered with what there is', () => {
    for (const text of ['zone c', 'zone', 'edge', 'a', '', 'zone a b', 'constructor a', 'switch a'])
      expect(() => parseTarget(text, zones, ['edge1', 'edge2']), text).toThrow(
        'there is: zone a, zone b, switch a1, switch a2, switch b1, switch b2, media a, media b, edge edge1, edge edge2, control',
      );
  });

  test('a zone is its supervisor first, then what it would start again', () => {
    const found = [
      ['media', 'a'],
      ['switch', 'a2'],
      ['switch', 'b1'],
      ['zone', 'b'],
      ['zone', 'a'],
      ['edge', 'edge1'],
      ['media', 'b'],
    ].map(
      ([role, id], pid): FoundProcess => ({
        role: role!,
        id: id!,
        pid,
        startTime: 1,
        frozen: false,
        rssKib: 0,
      }),
    );
    const names = processesOf({ role: 'zone', id: 'a' }, zones, found).map(({ role, id }) => `${role} ${id}`);
    expect(names).toEqual(['zone a', 'switch a2', 'media a']);
  });
});

test('processes are found by what they were started as, also when they are frozen', async () => {
  const plan = `/tmp/twinline-no-such-plan-${process.pid}`;
  const script = 'process.stdin.resume(); process.stdout.write("up")';
  const child = spawn(process.execPath, ['-e', script, '--', 'run-switch', 'a1', plan], { stdio: 'pipe' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const found = () => findProcesses(plan).map(({ role, id, pid, frozen }) => ({ role, id, pid, frozen }));
    expect(found()).toEqual([{ role: 'switch', id: 'a1', pid: child.pid, frozen: false }]);
    expect(findProcesses(plan)[0]!.startTime).toBe(processStartTime(child.pid!));
    expect(findProcesses(`${plan}2`)).toEqual([]);
    child.kill('SIGSTOP');
    await expect.poll(() => found()[0]?.frozen).toBe(true);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
  expect(findProcesses(plan)).toEqual([]);
});
