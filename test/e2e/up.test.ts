import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { twinline } from '../support/command-line.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { processesOf, runs } from '../support/installation-processes.ts';
import { callAndTalk, hearEachOther, registeredPhone } from '../support/talk.ts';

interface Status {
  zones: {
    id: string;
    state: string;
    pid: number;
    loadPercent: number;
    switches: { id: string; pid: number; state: string; calls: number }[];
    media: { id: string; pid: number; state: string; streams: number }[];
  }[];
  edges: { id: string; state: string; pid: number; openZones: string[] }[];
  control: { pid: number };
  calls: number;
  registrations: number;
}

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'twinline-up-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What `up` says when it does not come up: one or more plain lines, no stack, and nothing of it left running. */
async function refusal(args: readonly string[], options: { uid?: number } = {}): Promise<string[]> {
  const data = args.includes('--data') ? args[args.indexOf('--data') + 1]! : path.join(scratch, 'refused');
  const all = ['up', ...args, ...(args.includes('--data') ? [] : ['--data', data])];
  const said = await twinline(all, options);
  expect({ code: said.code, stdout: said.stdout }, said.stderr).toEqual({ code: 1, stdout: '' });
  expect(said.stderr).not.toMatch(/\n\s+at /);
  expect(processesOf(data)).toEqual([]);
  return said.stderr.trimEnd().split('\n');
}

describe('what keeps an installation from starting is said in plain sentences', () => {
  const onlyLine = async (args: readonly string[], options?: { uid?: number }): Promise<string> => {
    const lines = await refusal(args, options);
    expect(lines).toHaveLength(1);
    return lines[0]!;
  };

  test('options that make no sense', async () => {
    expect(await onlyLine(['--media-ports', 'many'])).toMatch(/^--media-ports many must be two numbers/);
    expect(await onlyLine(['--media-ports', '30000-20000'])).toMatch(
      /^--media-ports 30000-20000 must be two numbers/,
    );
    expect(await onlyLine(['--media-ports', '16384-70000'])).toMatch(/between 1024 and 65535/);
    expect((await refusal(['--media-ports', '20000-20002']))[0]).toMatch(/20000-20002/);
    expect(await onlyLine(['--port-base', '0'])).toMatch(/^--port-base 0 must be a whole number/);
    expect(await onlyLine(['--port-base', '65000x'])).toMatch(/^--port-base 65000x must be/);
    expect(await onlyLine(['--bind', 'somewhere'])).toMatch(/^--bind somewhere is no IP address/);
    expect(await onlyLine(['--bind', '198.51.100.9'])).toMatch(/is not an address of this machine/);
    expect(await onlyLine(['--colour', 'red'])).toMatch(/^unknown option '--colour'; "twinline --help"/);
  });

  test('a data directory that is a file, or lies below one', async () => {
    const file = path.join(scratch, 'a-file');
    writeFileSync(file, '');
    expect(await onlyLine(['--data', file])).toBe(`the data directory ${file} is not a directory`);
    expect(await onlyLine(['--data', path.join(file, 'below')])).toMatch(
      /^the data directory .*below cannot be used: a file is in the way$/,
    );
  });

  test.runIf(process.getuid?.() === 0)('a missing right is named', async () => {
    const closed = path.join(scratch, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const line = await onlyLine(['--data', closed], { uid: 65_534 });
    expect(line).toContain(`the data directory ${closed}`);
    expect(line).toMatch(/right|cannot be made/);
  });

  test('a topology with three mistakes: each with its line', async () => {
    const topology = path.join(scratch, 'topology.yaml');
    const sound = readFileSync(path.join(ROOT, 'sip-zones/local.yaml'), 'utf8');
    const broken = sound
      .replace('twin: b', 'twin: z')
      .replace('transport: ws,', 'transport: pigeon,')
      .replace(/switches: 2\n/, 'switches: none\n');
    writeFileSync(topology, broken);
    const lineOf = (text: string): number => broken.slice(0, broken.indexOf(text)).split('\n').length;
    const lines = await refusal(['--topology', topology]);
    const named = lines.map((line) => {
      expect(line.startsWith(`${topology}:`), line).toBe(true);
      return Number(line.slice(topology.length + 1).split(':')[0]);
    });
    for (const text of ['transport: pigeon', 'switches: none']) expect(named).toContain(lineOf(text));
    expect((await onlyLine(['--topology', path.join(scratch, 'none.yaml')])).startsWith(scratch)).toBe(true);
  });
});

describe('two installations side by side', () => {
  let one: Installation;
  let other: Installation;
  beforeAll(async () => {
    one = await Installation.start();
    other = await Installation.start();
  });
  afterAll(async () => {
    await one?.stop();
    await other?.stop();
  });

  test('what a newcomer reads: addresses, who can call whom, the next command, and `ready` as the last line', () => {
    const said = one.output;
    for (const transport of ['udp', 'tcp', 'tls'] as const)
      expect(said).toContain(`${transport.toUpperCase()}  127.0.0.1:${one.port(transport)}`);
    expect(said).toContain(`ws://127.0.0.1:${one.port('ws')}`);
    expect(said).toContain('1001 Ada Lovelace');
    expect(said).toContain('1010 Emma Nutt');
    expect(said).toContain('Everybody can call everybody');
    expect(said).toContain(`kill zone a --data ${one.data}`);
    expect(said.trimEnd().split('\n').at(-1)).toBe('ready');
  });

  test('status and calls have their promised shapes', async () => {
    await using ada = await registeredPhone(one, '1001');
    await using charles = await registeredPhone(one, '1002');
    const talk = await callAndTalk(ada, charles);
    // Figures come once a second.
    await expect.poll(async () => (await one.twinline<Status>('status')).calls, { timeout: 5_000 }).toBe(1);
    const status = await one.twinline<Status>('status');
    const whole = expect.any(Number);
    expect(status).toMatchObject({
      zones: ['a', 'b'].map((id) => ({
        id,
        state: 'up',
        loadPercent: whole,
        switches: [1, 2].map((at) => ({ id: `${id}${at}`, state: 'up', pid: whole, calls: whole })),
        media: [{ id, state: 'up', pid: whole, streams: whole }],
      })),
      edges: [{ id: 'edge1', state: 'up', pid: whole }],
      registrations: 2,
      calls: 1,
    });
    const { calls } = await one.twinline<{ calls: Record<string, unknown>[] }>('calls');
    expect(calls).toEqual([
      {
        id: expect.stringMatching(/./),
        from: '1001',
        to: '1002',
        state: 'talking',
        zone: expect.stringMatching(/^[ab]$/),
        switch: expect.stringMatching(/^[ab][12]$/),
        since: whole,
      },
    ]);
    expect(Math.abs(Number(calls[0]!.since) - Date.now())).toBeLessThan(60_000);
    await talk.caller.bye();
  });

  test('have nothing in common: a zone killed here is up there, and both talk', async () => {
    await using ada = await registeredPhone(one, '1001');
    await using charles = await registeredPhone(one, '1002');
    await using grace = await registeredPhone(other, '1003');
    await using alan = await registeredPhone(other, '1004');
    const here = await callAndTalk(ada, charles);
    const there = await callAndTalk(grace, alan);
    const before = await other.twinline<Status>('status');
    await one.twinline('kill', 'zone', 'a');
    await Promise.all([hearEachOther(here, 50), hearEachOther(there, 50)]);
    const after = await other.twinline<Status>('status');
    expect(after.zones.map(({ state, pid }) => [state, pid])).toEqual(
      before.zones.map(({ state, pid }) => [state, pid]),
    );
    expect(after.calls).toBe(1);
    await one.twinline('start', 'zone', 'a');
    await here.caller.bye();
    await there.callee.bye();
  });

  test('each kind of target is killed, frozen and thawed by name', async () => {
    for (const target of [
      ['switch', 'b2'],
      ['media', 'b'],
      ['edge', 'edge1'],
    ]) {
      const frozen = await other.twinline<{ target: string; processes: unknown[] }>('freeze', ...target);
      expect(frozen).toMatchObject({ target: target.join(' '), processes: [{ id: target[1] }] });
      await other.twinline('thaw', ...target).catch((error: Error) => {
        // Its supervisor may have been quicker to end it than we to thaw it.
        expect(error.message).toMatch(/is not frozen|does not run/);
      });
      await expect.poll(() => allUp(other), { timeout: 20_000 }).toBe(true);
      const { processes } = await other.twinline<{ processes: { pid: number }[] }>('kill', ...target);
      expect(processesOf(other.data)).not.toContain(processes[0]!.pid);
      await expect.poll(() => allUp(other), { timeout: 20_000 }).toBe(true);
    }
    // Without its name where there is but one; started again by itself, so there is nothing to start.
    expect(await other.twinline('kill', 'edge')).toMatchObject({ target: 'edge edge1' });
    await expect.poll(() => allUp(other), { timeout: 20_000 }).toBe(true);
  });

  test('a switch is drained and undrained', async () => {
    expect(await other.twinline('drain', 'switch', 'a1')).toMatchObject({ target: 'switch a1', calls: 0 });
    expect(await other.twinline('drain', 'switch', 'a2')).toMatchObject({ target: 'switch a2', calls: 0 });
    const open = async () => (await other.twinline<Status>('status')).edges[0]!.openZones;
    await expect.poll(open, { timeout: 10_000 }).toEqual(['b']);
    await other.twinline('undrain', 'switch', 'a1');
    await other.twinline('undrain', 'switch', 'a2');
    await expect.poll(open, { timeout: 10_000 }).toEqual(['a', 'b']);
  });

  test.each(['kill', 'freeze', 'thaw', 'start', 'drain', 'undrain'])(
    '%s of what does not exist, or cannot be done to it, is one sentence',
    async (verb) => {
      for (const target of [
        ['zone', 'z'],
        ['switch', 'a9'],
        ['phone', '1001'],
        ['zone'],
        ['zone', 'a', 'b'],
      ]) {
        const said = await twinline([verb, ...target, '--data', other.data]);
        expect([said.code, said.stdout]).toEqual([1, '']);
        expect(said.stderr).toMatch(/^"[^"]*" names nothing here; there is: zone a, zone b, [^\n]*\n$/);
      }
      const unfit: Record<string, [string[], RegExp]> = {
        kill: [['zone'], /names nothing here/],
        freeze: [['control'], /^control cannot be frozen/],
        thaw: [['media', 'a'], /^media a is not frozen/],
        start: [['switch', 'a1'], /^switch a1 is started again by itself/],
        drain: [['edge'], /^edge edge1 cannot be drained/],
        undrain: [['edge'], /^edge edge1 cannot be drained/],
      };
      const [target, sentence] = unfit[verb]!;
      const said = await twinline([verb, ...target, '--data', other.data]);
      expect(said.code).toBe(1);
      expect(said.stderr).toMatch(sentence);
      expect(said.stderr.trimEnd().split('\n')).toHaveLength(1);
    },
  );

  test('what uses a port is not disturbed by who wants it too', async () => {
    const lines = await refusal(['--data', path.join(scratch, 'taken'), '--port-base', String(one.portBase)]);
    expect(lines[0]).toMatch(new RegExp(`^UDP port ${one.port('udp')} on 127.0.0.1 .* is in use`));
    expect(lines.length).toBeGreaterThanOrEqual(5);
    await using grace = await registeredPhone(one, '1003');
    expect(grace.registrations[0]!.registered).toBe(true);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s ends all of it, with calls up, and gives 0',
    async (signal) => {
      const installation = signal === 'SIGINT' ? one : other;
      await using ada = await registeredPhone(installation, '1001');
      await using charles = await registeredPhone(installation, '1002');
      await callAndTalk(ada, charles);
      const deathsBefore = deaths(installation);
      const pids = processesOf(installation.data);
      expect(pids.length).toBeGreaterThanOrEqual(11);
      expect(await installation.stop(signal)).toEqual({ code: 0, signal: null });
      expect(processesOf(installation.data)).toEqual([]);
      expect(pids.filter(runs)).toEqual([]);
      // In order: no zone took its twin's end for a death.
      expect(deaths(installation)).toBe(deathsBefore);
    },
  );
});

/** How often something ended otherwise than in order, by the logs. */
const deaths = (installation: Installation): number =>
  Object.values(installation.logs())
    .join('\n')
    .split(/"how":"SIGKILL"|"fence\.ended"|"adoption\.failed"/).length - 1;

async function allUp(installation: Installation): Promise<boolean> {
  const status = await installation.twinline<Status>('status').catch(() => undefined);
  if (status === undefined) return false;
  return (
    status.edges.every(({ state, openZones }) => state === 'up' && openZones.length === 2) &&
    status.zones.every(
      ({ state, switches, media }) =>
        state === 'up' &&
        switches.every((one) => one.state === 'up') &&
        media.every((one) => one.state === 'up'),
    )
  );
}
