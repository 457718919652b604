import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { header, RFC_TIMES } from '../../src/sip/index.ts';
import { callRecords } from '../support/call-records.ts';
import { makeAuthority, placeCredentials } from '../support/certificates.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { MachineNetwork } from '../support/namespaces.ts';
import { Phone } from '../support/phone.ts';
import { phoneMedia } from '../support/phone-media.ts';
import { callAndTalk, hearEachOther } from '../support/talk.ts';

// As in sip-zones/two-dc.yaml.
const FRA = { name: 'fra', address: '10.80.1.1' };
const AMS = { name: 'ams', address: '10.80.2.1' };
const HERE = '10.80.0.1';
const MACHINES = [FRA, AMS];
const SIP_PORT = 5060;
const DOMAIN = 'acme.test';
/** PH-ZONE-10. */
const BACK_WITHIN_MS = 60_000;
const USERS = ['1001', '1002', '1003', '1004', '1005', '1006'];

const ACCOUNT = `account: acme
domains: [${DOMAIN}]
region-lock: eu
defaults: { digest: [MD5] }
sites:
  - { id: main, name: Main, code: 81, extensions: 1000-1999, zone: fraa }
  - { id: north, name: North, code: 82, extensions: 2000-2999, zone: amsb }
users:
${USERS.map((user) => `  - { extension: ${user}, name: U${user}, site: main, password: secret-${user} }`).join('\n')}
  - { extension: 2001, name: North, site: north, password: secret-2001 }
`;

interface Status {
  zones: { id: string; calls: number }[];
  calls: number;
  dataCentres: {
    here: string;
    serving: { home: string; serving: string; why: string }[];
    peers: { id: string; state: string; differing?: string[] }[];
  };
}

const why = await MachineNetwork.whyNot(`${HERE}/16`);
if (why !== undefined) console.log(`two data centres: skipped, since ${why}`);

describe.skipIf(why !== undefined)('two data centres, each with its pair of zones', () => {
  let network: MachineNetwork;
  let directory: string;
  let fra: Installation;
  let ams: Installation;
  const phones: Phone[] = [];

  const start = (machine: typeof FRA): Promise<Installation> =>
    Installation.start({
      namespace: network.namespaceOf(machine.name),
      data: path.join(directory, machine.name),
      topology: path.join(ROOT, 'sip-zones/two-dc.yaml'),
      config: path.join(directory, 'account.yaml'),
      arguments: ['--dc', machine.name, '--bind', machine.address],
    });

  beforeAll(async () => {
    network = await MachineNetwork.open(MACHINES, `${HERE}/16`);
    directory = await mkdtemp(path.join(tmpdir(), 'twinline-two-dc-'));
    await writeFile(path.join(directory, 'account.yaml'), ACCOUNT);
    const authority = await makeAuthority(directory, 'company');
    for (const { name } of MACHINES) {
      const credentials = await authority.issue(`dc:${name}`);
      await placeCredentials(path.join(directory, name), 'dc', credentials);
    }
    [fra, ams] = await Promise.all([start(FRA), start(AMS)]);
  });
  afterAll(async () => {
    for (const phone of phones) await phone.close();
    await Promise.all([fra?.stop(), ams?.stop()]);
    await network?.close();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });

  const openPhone = async (user: string, servers = MACHINES): Promise<Phone> => {
    const phone = await Phone.open({
      user,
      password: `secret-${user}`,
      domain: DOMAIN,
      bind: HERE,
      servers: servers.map(({ address }) => ({ address, port: SIP_PORT })),
      media: phoneMedia({ srtp: [] }),
      // A phone that gives a dead server up after 16 s.
      times: { ...RFC_TIMES, t1Ms: 250 },
      waitMs: 10_000,
    });
    phones.push(phone);
    return phone;
  };
  const placeOf = (phone: Phone) =>
    MACHINES.find(({ address }) => address === phone.registeredAt?.address)?.name;
  /** Every phone is registered there. The phones' own events are what is waited for. */
  const allAt = async (machine: typeof FRA, since: readonly number[]): Promise<void> => {
    await Promise.all(
      crowd.map((phone, at) =>
        phone.flowEvents.first(
          `registered at ${machine.name}`,
          (event) => event === `registered at ${machine.address}`,
          { waitMs: BACK_WITHIN_MS, from: since[at]! },
        ),
      ),
    );
    expect(crowd.map(placeOf)).toEqual(crowd.map(() => machine.name));
  };
  const marks = (): number[] => crowd.map((phone) => phone.flowEvents.next);
  const status = (at: Installation) => at.twinline<Status>('status');
  const serving = async (at: Installation) =>
    Object.fromEntries((await status(at)).dataCentres.serving.map(({ home, serving: by }) => [home, by]));
  /** Asks until it is so; the installation's own report is the event. */
  const until = async (what: string, wished: () => Promise<boolean>): Promise<void> => {
    const endMs = performance.now() + BACK_WITHIN_MS;
    while (!(await wished())) {
      // Files are no events: the question to the installation is what takes time.
      await status(ams).catch(() => {});
      if (performance.now() > endMs) throw new Error(`not within ${BACK_WITHIN_MS / 1000} s: ${what}`);
    }
  };
  /** What a phone that asks at one place only is told there. */
  const asked = async (user: string, machine: typeof FRA): Promise<string> => {
    const phone = await openPhone(user, [machine]);
    const [response] = await phone.tryRegister();
    if (response!.status === 200) await phone.unregister();
    await phone.close();
    return `${response!.status} ${response!.reason}`;
  };

  const crowd: Phone[] = [];

  it('serve their own users, and refuse those of the other', async () => {
    await until('they have met', async () =>
      [await status(fra), await status(ams)].every(({ dataCentres: { peers } }) => peers[0]!.state === 'met'),
    );
    for (const user of USERS) crowd.push(await openPhone(user));
    await Promise.all(crowd.map((phone) => phone.registerWhereServed()));
    expect(crowd.map(placeOf)).toEqual(crowd.map(() => 'fra'));
    expect(await asked('1001', AMS)).toBe('503 Data centre fra serves this user');
    expect(await asked('2001', FRA)).toBe('503 Data centre ams serves this user');
    expect(await asked('2001', AMS)).toBe('200 OK');
    const talk = await callAndTalk(crowd[0]!, crowd[1]!);
    await talk.caller.bye();
  });

  it('hold one directory: what is applied at one counts at the other', async () => {
    const file = path.join(directory, 'changed.yaml');
    await writeFile(
      file,
      `${ACCOUNT}  - { extension: 2002, name: New, site: north, password: secret-2002 }\n`,
    );
    await fra.twinline('apply', file);
    await until('ams has taken it', async () => /dc\.directory_taken/.test(ams.logs()['control'] ?? ''));
    const { dataCentres } = await status(ams);
    expect(dataCentres.peers[0]!.differing).toBeUndefined();
    // The switches look every second; a stranger may ask ten times before it is locked out.
    await until('ams knows the new user', async () => {
      for (let look = 0; look < 5; look++) await status(ams);
      return (await asked('2002', AMS)).startsWith('200');
    });
  });

  it('refuse a zone that the topology does not have, with its line (PH-ZONE-13)', async () => {
    const file = path.join(directory, 'wrong.yaml');
    await writeFile(file, ACCOUNT.replace('amsb', 'lonb'));
    await expect(ams.twinline('apply', file)).rejects.toThrow(
      /wrong\.yaml:7: site "north" names zone "lonb", which is not in the topology \(fraa, frab, amsa, amsb\)/,
    );
  });

  it('the whole of fra dies: its phones are at ams within 60 s, talk, and calls are even over the two zones (PH-ZONE-10, 11)', async () => {
    const since = marks();
    const lost = await callAndTalk(crowd[0]!, crowd[1]!);
    await fra.killAll();
    const diedMs = performance.now();
    await allAt(AMS, since);
    console.log(`fra killed: all phones at ams after ${Math.round(performance.now() - diedMs)} ms`);
    expect(await serving(ams)).toEqual({ ams: 'ams', fra: 'ams' });
    lost.caller.close();
    lost.callee.close();
    const talks = [];
    for (let call = 0; call < 12; call++)
      talks.push(await callAndTalk(crowd[(call * 2) % 6]!, crowd[(call * 2 + 1) % 6]!));
    // Zones are told by their switches once a second.
    await until('all calls are counted', async () => (await status(ams)).calls === talks.length);
    const { zones } = await status(ams);
    expect(zones.map(({ id, calls }) => [id, calls])).toEqual([
      ['amsa', 6],
      ['amsb', 6],
    ]);
    for (const { caller } of talks) await caller.bye();
  });

  it('fra comes back and gets nothing: it stands by, also when its control starts anew (PH-ZONE-12)', async () => {
    fra = await start(FRA);
    await until('they have met again', async () => (await status(fra)).dataCentres.peers[0]!.state === 'met');
    expect(await serving(fra)).toEqual({ ams: 'ams', fra: 'ams' });
    expect(await asked('1001', FRA)).toBe('503 Data centre ams serves this user');
    const since = marks();
    await fra.twinline('kill', 'control');
    await until(
      'control of fra is back',
      async () => (await status(fra).catch(() => undefined))?.dataCentres.peers[0]?.state === 'met',
    );
    expect(await serving(fra)).toEqual({ ams: 'ams', fra: 'ams' });
    // Nor do those at ams leave it: they have asked again there, and only there.
    await Promise.all(
      crowd.map((phone) =>
        phone.message(
          (message) => message.kind === 'response' && header(message, 'CSeq')?.endsWith('REGISTER') === true,
          {
            what: 'an answer to its next REGISTER',
            waitMs: BACK_WITHIN_MS,
            from: phone.received.next,
          },
        ),
      ),
    );
    expect(marks()).toEqual(since);
  });

  it('the call that was up when fra died has its record, which says so (PH-ZONE-10)', async () => {
    await until('the record is in the database', async () =>
      callRecords(fra).some(({ outcome }) => outcome === 'dc-lost'),
    );
    expect(
      callRecords(fra).map(({ outcome, reason, answeredUtcMs }) => [
        outcome,
        reason,
        answeredUtcMs !== undefined,
      ]),
    ).toEqual([
      ['answered', undefined, true],
      ['dc-lost', 'data centre fra was lost', true],
    ]);
  });

  it('an operator returns fra: a call at ams goes on there, the phones come home and call', async () => {
    const since = marks();
    const talk = await callAndTalk(crowd[0]!, crowd[1]!);
    expect(await ams.twinline('return', 'fra')).toMatchObject({ home: 'fra', changed: true });
    expect(await serving(fra)).toEqual({ ams: 'ams', fra: 'fra' });
    expect(await serving(ams)).toEqual({ ams: 'ams', fra: 'fra' });
    await allAt(FRA, since);
    await hearEachOther(talk, 50);
    await until('the call is counted at ams', async () => (await status(ams)).calls === 1);
    await talk.caller.bye();
    await talk.callee.ended();
    const again = await callAndTalk(crowd[0]!, crowd[1]!);
    await until('the call is counted at fra', async () => (await status(fra)).calls === 1);
    await again.caller.bye();
    expect(await ams.twinline('return', 'fra')).toMatchObject({ changed: false });
  });

  it('fra is cut off from everybody: the same, and when the cable is back it stands by', async () => {
    const since = marks();
    await network.cut('fra');
    const cutMs = performance.now();
    await allAt(AMS, since);
    console.log(`fra cut off: all phones at ams after ${Math.round(performance.now() - cutMs)} ms`);
    await until('fra has noticed', async () => (await serving(fra))['fra'] === 'ams');
    await network.join('fra');
    await until('they have met again', async () => (await status(fra)).dataCentres.peers[0]!.state === 'met');
    // While it was cut off it had taken ams to be lost, and itself to serve its users.
    await expect.poll(() => serving(fra), { timeout: 10_000 }).toEqual({ ams: 'ams', fra: 'ams' });
    expect(await asked('1001', FRA)).toBe('503 Data centre ams serves this user');
    expect(await fra.twinline('return', 'fra')).toMatchObject({ changed: true });
    expect(await serving(ams)).toEqual({ ams: 'ams', fra: 'fra' });
  });

  it('without ams fra is returned only by an operator who says so', async () => {
    await ams.killAll();
    await fra.killAll();
    fra = await start(FRA);
    expect(await serving(fra)).toMatchObject({ fra: 'ams' });
    await expect(fra.twinline('return', 'fra')).rejects.toThrow(
      /data centre ams cannot be reached from fra.*nothing was changed.*--alone/s,
    );
    expect(await fra.twinline('return', 'fra', '--alone')).toMatchObject({ changed: true });
    await until('fra serves', async () => (await asked('1001', FRA)).startsWith('200'));
  });
});
