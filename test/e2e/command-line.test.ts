import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Installation, ROOT } from '../support/installation.ts';

interface Status {
  zones: {
    id: string;
    state: string;
    pid: number;
    switches: { id: string; pid: number; state: string }[];
    media: { id: string }[];
  }[];
  edges: { id: string; state: string; openZones: string[] }[];
  calls: number;
  registrations: number;
}

/** A command as a person types it: exit code and what it said. */
function twinline(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(ROOT, 'dist/cli/main.js'), ...args],
    {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  return { code: status, stdout, stderr };
}

/** Processes whose command line names this data directory. */
function processesOf(data: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data);
      } catch {
        return false;
      }
    });
}

describe('a running installation', () => {
  let installation: Installation;
  const status = () => installation.twinline<Status>('status');
  beforeAll(async () => {
    installation = await Installation.start();
  });
  afterAll(() => installation.stop());

  test('says where to register, who can call whom and what to try; `ready` comes last', () => {
    const lines = installation.output.trimEnd().split('\n');
    expect(lines.at(-1)).toBe('ready');
    expect(installation.output).toContain(`UDP  127.0.0.1:${installation.port('udp')}`);
    expect(installation.output).toContain(`WSS  wss://127.0.0.1:${installation.port('wss')}`);
    expect(installation.output).toContain('password demo-<extension>');
    expect(installation.output).toContain('kill zone a');
  });

  test('keeps its secrets to its user', () => {
    const mode = (name: string) => (statSync(path.join(installation.data, name)).mode & 0o777).toString(8);
    expect(mode('run')).toBe('700');
    expect(mode('run/control.sock')).toBe('600');
    expect(mode('keys/pair.secret')).toBe('600');
    expect(mode('tls/sip.key')).toBe('600');
    expect(Object.values(installation.logs()).join()).not.toMatch(/demo-10\d\d/);
  });

  test('shows two zones with two switches and a media process each', async () => {
    const { zones, edges, calls } = await status();
    expect(zones.map(({ id, state }) => `${id} ${state}`)).toEqual(['a up', 'b up']);
    expect(zones.map((zone) => zone.switches.map(({ id }) => id))).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ]);
    expect(zones.map((zone) => zone.media.map(({ id }) => id))).toEqual([['a'], ['b']]);
    expect(edges.map(({ id, state, openZones }) => [id, state, openZones])).toEqual([
      ['edge1', 'up', ['a', 'b']],
    ]);
    expect(calls).toBe(0);
    expect(await installation.twinline('calls')).toEqual({ calls: [] });
    expect(twinline('status', '--data', installation.data).stdout).toContain('switch a1  up');
  });

  test('a second one with the same data directory is refused', () => {
    const second = twinline('up', '--data', installation.data, '--port-base', '4000');
    expect([second.code, second.stderr]).toEqual([
      1,
      `an installation already runs with data directory ${installation.data}: stop it, or choose another --data\n`,
    ]);
  });

  test('a second one on the same ports names them', () => {
    const data = mkdtempSync(path.join(tmpdir(), 'twinline-second-'));
    const second = twinline('up', '--data', data, '--port-base', String(installation.portBase));
    rmSync(data, { recursive: true });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`UDP port ${installation.port('udp')} on 127.0.0.1 (udp) is in use`);
  });

  test('a killed switch is there again with another pid', async () => {
    const running = async () => {
      const { zones } = await status();
      return zones[0]!.switches.find(({ id, state }) => id === 'a1' && state === 'up')?.pid;
    };
    const before = await running();
    await installation.twinline('kill', 'switch', 'a1');
    const isAnother = async () => ![undefined, before].includes(await running());
    await expect.poll(isAnother, { timeout: 20_000 }).toBe(true);
  });

  test('a killed zone stays down until it is started', async () => {
    const { processes } = await installation.twinline<{ processes: { role: string }[] }>('kill', 'zone', 'a');
    expect(processes.map(({ role }) => role)).toEqual(['zone', 'switch', 'switch', 'media']);
    const { zones, edges } = await status();
    expect([zones[0]!.state, zones[1]!.state, edges[0]!.openZones]).toEqual(['down', 'up', ['b']]);
    expect(twinline('kill', 'zone', 'a', '--data', installation.data)).toMatchObject({
      code: 1,
      stderr: 'zone a does not run\n',
    });
    await installation.twinline('start', 'zone', 'a');
    expect((await status()).edges[0]!.openZones).toEqual(['a', 'b']);
    expect(twinline('start', 'zone', 'a', '--data', installation.data)).toMatchObject({
      code: 1,
      stderr: 'zone a runs already\n',
    });
  });

  test('a frozen zone is ended by its twin', async () => {
    await installation.twinline('freeze', 'zone', 'b');
    await expect.poll(async () => (await status()).zones[1]!.state, { timeout: 10_000 }).toBe('down');
    await installation.twinline('start', 'zone', 'b');
    expect((await status()).zones[1]!.state).toBe('up');
  });

  test('a draining zone gets no new calls', async () => {
    await installation.twinline('drain', 'zone', 'a');
    await expect.poll(async () => (await status()).edges[0]!.openZones).toEqual(['b']);
    await installation.twinline('undrain', 'zone', 'a');
    await expect.poll(async () => (await status()).edges[0]!.openZones).toEqual(['a', 'b']);
  });

  test('edge and control are started again by the launcher', async () => {
    await installation.twinline('kill', 'edge');
    await expect
      .poll(async () => (await status()).edges[0]!.openZones, { timeout: 20_000 })
      .toEqual(['a', 'b']);
    await installation.twinline('kill', 'control');
    await expect
      .poll(async () => (await status().catch(() => undefined))?.zones.map(({ state }) => state), {
        timeout: 20_000,
      })
      .toEqual(['up', 'up']);
  });

  test('a configuration with three mistakes changes nothing and names all three', () => {
    const file = path.join(installation.data, 'bad.yaml');
    writeFileSync(
      file,
      `account: demo
domains: [demo.twinline.test]
sites:
  - { id: main, name: Main, code: 81, extensions: 1000-1999 }
users:
  - { extension: 1001, name: Ada, site: main, password: x }
  - { extension: 1001, name: Bob, site: main, password: x }
  - { extension: 1002, name: Cyd, site: nowhere, password: x }
  - { extension: 1003, name: Dan, site: main, password: x, media: desk-512 }
`,
    );
    const applied = twinline('apply', file, '--data', installation.data);
    expect(applied.code).toBe(1);
    expect(
      applied.stderr
        .trimEnd()
        .split('\n')
        .map((line) => line.slice(file.length).split(':')[1]),
    ).toEqual(['7', '8', '9']);
    expect(twinline('apply', 'config/demo', '--data', installation.data).stdout).toBe(
      'account demo: 10 users, 10 devices, unchanged since snapshot 1\n',
    );
  });

  test('what is mistyped is answered with a sentence', () => {
    const data = ['--data', installation.data];
    expect(twinline('kill', 'zone', 'z', ...data).stderr).toMatch(
      /^"zone z" names nothing here; there is: zone a, /,
    );
    expect(twinline('call', 'nobody', ...data).stderr).toMatch(/^no switch knows a call "nobody"/);
    expect(twinline('status', '--data', '/tmp/twinline-nowhere').stderr).toMatch(
      /^no installation runs with data directory \/tmp\/twinline-nowhere/,
    );
  });
});

describe('the end', () => {
  test('SIGTERM ends everything, also what is frozen', async () => {
    const installation = await Installation.start();
    await installation.twinline('freeze', 'media', 'a');
    const { code } = await installation.stop();
    expect(code).toBe(0);
    expect(processesOf(installation.data)).toEqual([]);
  });

  test('nothing outlives a killed launcher', async () => {
    const installation = await Installation.start();
    const plan = JSON.parse(readFileSync(path.join(installation.data, 'run/plan.json'), 'utf8')) as {
      launcher: { pid: number };
    };
    expect(processesOf(installation.data).length).toBeGreaterThan(8);
    process.kill(plan.launcher.pid, 'SIGKILL');
    await expect.poll(() => processesOf(installation.data), { timeout: 10_000 }).toEqual([]);
    await installation.stop();
  });
});
