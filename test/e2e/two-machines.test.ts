import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority, placeCredentials } from '../support/certificates.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { MachineNetwork } from '../support/namespaces.ts';
import { Phone } from '../support/phone.ts';
import { phoneMedia } from '../support/phone-media.ts';
import { hasRedis } from '../support/redis.ts';
import { audioOf, callAndTalk, hearEachOther, type Talk } from '../support/talk.ts';

const run = promisify(execFile);

// As in sip-zones/two-machines.yaml.
const NORTH = { name: 'north', address: '10.81.1.1' };
const SOUTH = { name: 'south', address: '10.81.2.1' };
const DOOR = { name: 'door', address: '10.81.3.1' };
const HERE = '10.81.0.1';
const MACHINES = [NORTH, SOUTH, DOOR];
const DOMAIN = 'acme.test';
const USERS = Array.from({ length: 10 }, (_, at) => String(1001 + at));
const ACCOUNT = `account: acme
domains: [${DOMAIN}]
defaults: { digest: [MD5] }
sites:
  - { id: main, name: Main, code: 81, extensions: 1000-1999 }
users:
${USERS.map((user) => `  - { extension: ${user}, name: U${user}, site: main, password: secret-${user} }`).join('\n')}
`;
/** From the death to the last call's audio: a term of the lease, the adoption, and what a busy machine adds. */
const GAP_MS = 4_000;

interface Status {
  zones: { id: string; state: string; calls: number; twinUp: boolean; media: { streams: number }[] }[];
  calls: number;
}

const why = hasRedis ? await MachineNetwork.whyNot(`${HERE}/16`) : 'there is no redis-server';
if (why !== undefined) console.log(`two machines: skipped, since ${why}`);

describe.skipIf(why !== undefined)('one pair of zones on two machines', () => {
  let network: MachineNetwork;
  let directory: string;
  let redis: ChildProcess;
  let north: Installation;
  let south: Installation;
  let door: Installation;
  const phones: Phone[] = [];
  let talks: Talk[] = [];

  const start = (machine: typeof NORTH): Promise<Installation> =>
    Installation.start({
      namespace: network.namespaceOf(machine.name),
      data: path.join(directory, machine.name),
      topology: path.join(ROOT, 'sip-zones/two-machines.yaml'),
      config: path.join(directory, 'account.yaml'),
      arguments: ['--machine', machine.name, '--media-ports', '16384-20383'],
    });

  beforeAll(async () => {
    network = await MachineNetwork.open(MACHINES, `${HERE}/16`);
    directory = await mkdtemp(path.join(tmpdir(), 'twinline-machines-'));
    await writeFile(path.join(directory, 'account.yaml'), ACCOUNT);
    await run(process.execPath, [
      path.join(ROOT, 'dist/cli/main.js'),
      'keys',
      '--data',
      path.join(directory, NORTH.name),
    ]);
    const authority = await makeAuthority(directory, 'company');
    for (const { name } of MACHINES) {
      const data = path.join(directory, name);
      await placeCredentials(data, 'machine', await authority.issue(`machine:${name}`));
      if (name !== NORTH.name)
        await cp(path.join(directory, NORTH.name, 'keys'), path.join(data, 'keys'), { recursive: true });
    }
    redis = spawn(
      'ip',
      [
        ...['netns', 'exec', network.namespaceOf('door'), 'redis-server', '--bind', DOOR.address],
        ...['--port', '6379', '--protected-mode', 'no', '--save', '', '--dir', directory],
        ...['--appendonly', 'yes', '--maxmemory-policy', 'noeviction', '--loglevel', 'warning'],
      ],
      { stdio: 'ignore' },
    );
    door = await start(DOOR);
    [north, south] = await Promise.all([start(NORTH), start(SOUTH)]);
    await statusWhen('both zones are up and see each other', ({ zones }) =>
      zones.every(({ state, twinUp }) => state === 'up' && twinUp),
    );
  });
  afterAll(async () => {
    for (const phone of phones) await phone.close();
    await Promise.all([north?.stop(), south?.stop()]);
    await door?.stop();
    redis.kill('SIGKILL');
    await network?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const status = (at = door) => at.twinline<Status>('status');
  /** Asks until it is so; the installation's own report is the event. */
  const statusWhen = async (
    what: string,
    wished: (status: Status) => boolean,
    at = door,
  ): Promise<Status> => {
    const endMs = performance.now() + 30_000;
    for (;;) {
      const now = await status(at);
      if (wished(now)) return now;
      if (performance.now() > endMs) throw new Error(`not within 30 s: ${what}; ${JSON.stringify(now)}`);
    }
  };
  const callsIn = ({ zones }: Status, id: string) => zones.find((zone) => zone.id === id)!.calls;

  /** Half of the phones with SRTP; two calls of each pair. */
  const manyCalls = async (count: number): Promise<Talk[]> => {
    for (const [at, user] of USERS.entries()) {
      const srtp = at % 4 < 2 ? [] : (['AEAD_AES_256_GCM', 'AES_CM_128_HMAC_SHA1_80'] as const);
      const phone = await Phone.open({
        user,
        password: `secret-${user}`,
        domain: DOMAIN,
        bind: HERE,
        servers: [{ address: DOOR.address, port: 5060 }],
        offer: srtp.length === 0 ? 'plain' : [...srtp],
        media: phoneMedia({ srtp: [...srtp] }),
        waitMs: 10_000,
      });
      phones.push(phone);
      await phone.register();
    }
    const talks: Talk[] = [];
    for (let at = 0; at < count; at++)
      talks.push(await callAndTalk(phones[(2 * at) % 10]!, phones[(2 * at + 1) % 10]!));
    return talks;
  };
  const gapsOf = (talks: readonly Talk[]): number[] =>
    talks
      .flatMap(({ caller, callee }) => [audioOf(caller).stats(), audioOf(callee).stats()])
      .map(({ longestGapMs }) => longestGapMs)
      .sort((a, b) => a - b);
  const listenAnew = (talks: readonly Talk[]): void => {
    for (const { caller, callee } of talks) for (const one of [caller, callee]) audioOf(one).resetGap();
  };
  const describeGaps = (what: string, gaps: readonly number[]): void =>
    console.log(
      `${what}: longest gap of ${gaps.length} streams: median ${gaps[gaps.length >> 1]!.toFixed(0)} ms, worst ${gaps.at(-1)!.toFixed(0)} ms`,
    );
  /** No phone was told of anything, no packet index was used twice. */
  const expectUnnoticed = (talks: readonly Talk[], seen: readonly number[]): void => {
    expect(phones.map((phone) => phone.received.next)).toEqual(seen);
    for (const { caller, callee } of talks)
      for (const one of [caller, callee])
        expect(audioOf(one).stats()).toMatchObject({ indexReused: 0, authFailures: 0 });
  };

  const marks = (): number[] => phones.map((phone) => phone.received.next);
  const bothUp = ({ zones }: Status): boolean => zones.every(({ state, twinUp }) => state === 'up' && twinUp);
  const addressesOf = async ({ name }: { readonly name: string }): Promise<string> =>
    (await run('ip', ['-n', network.namespaceOf(name), '-o', 'address'])).stdout;
  const logsOf = (at: Installation, name: string): string => at.logs()[name] ?? '';
  const endAll = async (ending: readonly Talk[]): Promise<void> => {
    for (const { caller, callee } of ending) {
      await caller.bye();
      await callee.ended();
    }
  };

  it('twenty calls, plain and SRTP, are shared by both', async () => {
    talks = await manyCalls(20);
    const { zones } = await statusWhen('all calls are counted', ({ calls }) => calls === 20);
    expect(zones.map(({ calls }) => calls)).toEqual([10, 10]);
  });

  it('the machines lose sight of each other and both reach the state: nobody adopts, nothing is missed (PH-ZONE-17)', async () => {
    const seen = marks();
    await network.separate('north', 'south');
    await statusWhen('they have lost sight', ({ zones }) => zones.every(({ twinUp }) => !twinUp));
    listenAnew(talks);
    // Longer than a term, twice.
    await Promise.all(talks.map((talk) => hearEachOther(talk, 250, 15_000)));
    describeGaps('out of sight', gapsOf(talks));
    const { zones } = await status();
    expect(zones.map(({ calls }) => calls)).toEqual([10, 10]);
    for (const [at, zone] of [
      [north, 'zone-a'],
      [south, 'zone-b'],
    ] as const)
      expect(logsOf(at, zone)).not.toMatch(/twin\.taken|zone\.taken/);
    expectUnnoticed(talks, seen);
    await network.reunite('north', 'south');
    await statusWhen('they see each other again', bothUp);
    expectUnnoticed(talks, seen);
  });

  it('a machine dies whole: twenty calls go on at the other, which answers hold and BYE; it comes back and takes them again', async () => {
    await statusWhen('both machines have their addresses', bothUp);
    const seen = marks();
    listenAnew(talks);
    await Promise.all([north.killAll(), network.cut('north')]);
    await Promise.all(talks.map((talk) => hearEachOther(talk, 200, 15_000)));
    const gaps = gapsOf(talks);
    describeGaps('machine killed', gaps);
    expect(gaps.at(-1)).toBeLessThan(GAP_MS);
    expectUnnoticed(talks, seen);
    await statusWhen('all calls are at b', (now) => callsIn(now, 'b') === 20);
    await talks[0]!.caller.hold();
    await talks[0]!.caller.resume();
    await hearEachOther(talks[0]!);
    await endAll(talks.slice(0, 10));
    talks = talks.slice(10);

    await network.join('north');
    north = await start(NORTH);
    await statusWhen('they see each other again', bothUp);
    // Now the other way round, with what is left of the first half.
    await Promise.all(talks.map((talk) => hearEachOther(talk, 20)));
    const later = marks();
    listenAnew(talks);
    await Promise.all([south.killAll(), network.cut('south')]);
    await Promise.all(talks.map((talk) => hearEachOther(talk, 200, 15_000)));
    describeGaps('the other machine killed', gapsOf(talks));
    expectUnnoticed(talks, later);
    await network.join('south');
    south = await start(SOUTH);
    await statusWhen('they see each other again', bothUp);
  });

  it('a machine is cut off from everybody and lives: it falls silent, and ends its zone when it is joined again', async () => {
    const more = await Promise.all([0, 4].map((at) => callAndTalk(phones[at]!, phones[at + 1]!)));
    talks.push(...more);
    await statusWhen('both zones have calls', (now) => callsIn(now, 'a') > 0 && callsIn(now, 'b') > 0);
    const seen = marks();
    listenAnew(talks);
    await network.cut('north');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 200, 15_000)));
    describeGaps('machine cut off', gapsOf(talks));
    await statusWhen('all calls are at b', (now) => callsIn(now, 'b') === talks.length);
    await network.join('north');
    await statusWhen('zone a has ended', ({ zones }) => zones[0]?.state === 'down');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 100, 15_000)));
    expectUnnoticed(talks, seen);
    expect(logsOf(north, 'zone-a')).toMatch(/zone\.taken/);
    await north.twinline('start', 'zone', 'a');
    await statusWhen('they see each other again', bothUp);
  });

  it('a media process dies: its streams go on at the other machine, at their address', async () => {
    // The address came over with the streams; with the last of them it goes home.
    expect(await addressesOf(SOUTH)).toContain('10.81.9.1');
    await endAll(talks);
    talks = [];
    await expect.poll(() => addressesOf(NORTH), { timeout: 30_000 }).toContain('10.81.9.1');
    expect(await addressesOf(SOUTH)).not.toContain('10.81.9.1');
    for (const at of [0, 2, 4, 6]) talks.push(await callAndTalk(phones[at]!, phones[at + 1]!));
    await statusWhen('some of them are at a', ({ zones }) => (zones[0]?.media[0]?.streams ?? 0) >= 4);
    const seen = marks();
    listenAnew(talks);
    await north.twinline('kill', 'media', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 100, 15_000)));
    describeGaps('media killed', gapsOf(talks));
    expectUnnoticed(talks, seen);
    // The next streams of zone a are opened at b.
    const more = await callAndTalk(phones[0]!, phones[1]!);
    const other = await callAndTalk(phones[2]!, phones[3]!);
    await endAll([more, other]);
  });

  it('a zone is killed and its machine lives: the machine says so, and nobody waits for the term (PH-ZONE-17)', async () => {
    await statusWhen('they see each other', bothUp);
    const seen = marks();
    const before = logsOf(south, 'zone-b').length;
    listenAnew(talks);
    await north.twinline('kill', 'zone', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 100, 15_000)));
    describeGaps('zone killed', gapsOf(talks));
    expectUnnoticed(talks, seen);
    await statusWhen('all calls are at b', (now) => callsIn(now, 'b') === talks.length);
    expect(logsOf(north, 'launcher')).toMatch(/launcher\.said_dead/);
    expect(logsOf(south, 'zone-b').slice(before)).toMatch(/twin\.taken/);
    await north.twinline('start', 'zone', 'a');
    await statusWhen('they see each other again', bothUp);
  });

  it('a zone is restarted in order: its calls go over and nobody is told (PH-ZONE-19)', async () => {
    const seen = marks();
    listenAnew(talks);
    await south.twinline('restart', 'zone', 'b');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 100, 15_000)));
    describeGaps('zone restarted', gapsOf(talks));
    expectUnnoticed(talks, seen);
    await endAll(talks);
  });
});
