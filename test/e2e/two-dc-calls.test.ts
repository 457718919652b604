import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { header, RFC_TIMES } from '../../src/sip/index.ts';
import { callRecords } from '../support/call-records.ts';
import { type Authority, makeAuthority, placeCredentials } from '../support/certificates.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { MachineNetwork } from '../support/namespaces.ts';
import { type AnswerMode, Phone } from '../support/phone.ts';
import { phoneMedia } from '../support/phone-media.ts';
import { callAndTalk, hearEachOther, holdEachOther } from '../support/talk.ts';

// As in sip-zones/two-dc.yaml.
const FRA = { name: 'fra', address: '10.80.1.1' };
const AMS = { name: 'ams', address: '10.80.2.1' };
const HERE = '10.80.0.1';
const MACHINES = [FRA, AMS];
const SIP_PORT = 5060;
const TRUNK_PORT = 5091;
const DOMAIN = 'acme.test';
/** Bob, for whoever is at another site. */
const BOB = '822001';

const ACCOUNT = `account: acme
domains: [${DOMAIN}]
region-lock: eu
defaults: { digest: [MD5] }
sites:
  - { id: main, name: Main, code: 81, extensions: 1000-1999, zone: fraa }
  - { id: north, name: North, code: 82, extensions: 2000-2999, zone: amsb }
users:
  - { extension: 1001, name: Alice, site: main, password: secret-1001 }
  - { extension: 2001, name: Bob, site: north, password: secret-2001 }
`;

const why = await MachineNetwork.whyNot(`${HERE}/16`);
if (why !== undefined) console.log(`calls between data centres: skipped, since ${why}`);

describe.skipIf(why !== undefined)('a user of fra calls one of ams', () => {
  let network: MachineNetwork;
  let directory: string;
  let fra: Installation;
  let ams: Installation;
  let stranger: Authority;
  const phones: Phone[] = [];

  const start = (machine: typeof FRA): Promise<Installation> =>
    Installation.start({
      namespace: network.namespaceOf(machine.name),
      data: path.join(directory, machine.name),
      topology: path.join(directory, 'two-dc.yaml'),
      config: path.join(directory, 'account.yaml'),
      arguments: ['--dc', machine.name, '--bind', machine.address],
    });

  beforeAll(async () => {
    network = await MachineNetwork.open(MACHINES, `${HERE}/16`);
    directory = await mkdtemp(path.join(tmpdir(), 'twinline-two-dc-calls-'));
    await writeFile(path.join(directory, 'account.yaml'), ACCOUNT);
    const topology = readFileSync(path.join(ROOT, 'sip-zones/two-dc.yaml'), 'utf8');
    // Twelve processes are enough.
    await writeFile(path.join(directory, 'two-dc.yaml'), topology.replaceAll('switches: 2', 'switches: 1'));
    const authority = await makeAuthority(directory, 'company');
    stranger = await makeAuthority(directory, 'stranger');
    for (const { name } of MACHINES) {
      const credentials = await authority.issue(`dc:${name}`);
      await placeCredentials(path.join(directory, name), 'dc', credentials);
    }
    fra = await start(FRA);
    ams = await start(AMS);
  });
  afterEach(async () => {
    for (const phone of phones.splice(0)) {
      await phone.unregister();
      await phone.close();
    }
  });
  afterAll(async () => {
    await Promise.all([fra?.stop(), ams?.stop()]);
    await network?.close();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });

  async function openPhone(user: string, at: typeof FRA, answer?: AnswerMode): Promise<Phone> {
    const phone = await Phone.open({
      user,
      password: `secret-${user}`,
      domain: DOMAIN,
      bind: HERE,
      servers: [{ address: at.address, port: SIP_PORT }],
      media: phoneMedia({ srtp: [] }),
      times: { ...RFC_TIMES, t1Ms: 250 },
      waitMs: 15_000,
      ...(answer && { answer }),
    });
    phones.push(phone);
    await phone.registerWhereServed();
    return phone;
  }
  const both = async (answer?: AnswerMode): Promise<[Phone, Phone]> => [
    await openPhone('1001', FRA),
    await openPhone('2001', AMS, answer),
  ];
  const lastRecords = async (count: number) => {
    await expect
      .poll(() => [callRecords(fra).length, callRecords(ams).length], { timeout: 15_000 })
      .toEqual([count, count]);
    return { here: callRecords(fra).at(-1)!, there: callRecords(ams).at(-1)! };
  };
  const zoneOfCall = async (at: Installation): Promise<string> => {
    const { calls } = await at.twinline<{ calls: { zone: string }[] }>('calls');
    expect(calls).toHaveLength(1);
    return calls[0]!.zone;
  };

  it('they hear each other, hold and hang up; both records tell of it under one Session-ID', async () => {
    const [alice, bob] = await both();
    const talk = await callAndTalk(alice, bob, BOB);
    const invite = bob.received.items.find(
      ({ message }) => message.kind === 'request' && message.method === 'INVITE',
    )!.message;
    expect(header(invite, 'From')).toMatch(/^"?Alice"? <sip:1001@acme\.test>/);
    // What data centres tell each other is not for phones.
    expect(header(invite, 'Twinline-Call')).toBeUndefined();
    await holdEachOther(talk);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
    const { here, there } = await lastRecords(1);
    expect(here).toMatchObject({
      outcome: 'answered',
      endedBy: 'callee',
      legs: [
        { role: 'caller', srtp: 'plain' },
        { role: 'callee', transport: 'tls', dataCentre: 'ams', srtp: 'AEAD_AES_256_GCM' },
      ],
    });
    expect(there).toMatchObject({
      outcome: 'answered',
      sessionId: here.sessionId,
      origin: { dataCentre: 'fra', call: here.id },
      from: here.from,
      legs: [
        { role: 'caller', transport: 'tls', dataCentre: 'fra', srtp: 'AEAD_AES_256_GCM' },
        { role: 'callee', srtp: 'plain' },
      ],
    });
    for (const { legs } of [here, there])
      expect(legs.some(({ leftRegion }) => leftRegion !== undefined)).toBe(false);
  });

  it('gives up while bob’s phone rings, and hears that he is busy', async () => {
    const [alice, bob] = await both({ mode: 'manual' });
    const given = await alice.call(BOB);
    const ringing = await bob.incoming();
    await given.ringing();
    given.cancel();
    expect((await given.ended()).how).toBe('cancel');
    expect((await ringing.ended()).how).toBe('cancel');
    const refused = await alice.call(BOB);
    (await bob.incoming()).reject(486);
    expect(await refused.ended()).toMatchObject({ status: 486 });
    const { here, there } = await lastRecords(3);
    expect([here.outcome, there.outcome]).toEqual(['busy', 'busy']);
  });

  it('the edges die one after the other: what is said meanwhile reaches the other end', async () => {
    const [alice, bob] = await both();
    const talk = await callAndTalk(alice, bob, BOB);
    await fra.twinline('kill', 'edge', 'edge1');
    expect((await talk.callee.hold()).status).toBe(200);
    expect((await talk.callee.resume()).status).toBe(200);
    await ams.twinline('kill', 'edge', 'edge1');
    expect((await talk.caller.hold()).status).toBe(200);
    expect((await talk.caller.resume()).status).toBe(200);
    await hearEachOther(talk, 50);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  });

  it('whose certificate is not of the company, or of no data centre, is not heard', async () => {
    for (const credentials of [await stranger.issue('dc:ams'), undefined]) {
      const socket = connect({
        host: FRA.address,
        port: TRUNK_PORT,
        rejectUnauthorized: false,
        ...(credentials && { cert: credentials.cert, key: credentials.key }),
      });
      socket.on('secureConnect', () =>
        socket.write(`OPTIONS sip:${DOMAIN} SIP/2.0\r\nContent-Length: 0\r\n\r\n`),
      );
      let heard = '';
      socket.on('data', (chunk) => {
        heard += String(chunk);
      });
      socket.on('error', () => {});
      await new Promise<void>((resolve) => socket.once('close', () => resolve()));
      expect(heard).toBe('');
    }
    await expect
      .poll(() => fra.logs()['edge-edge1'] ?? Object.keys(fra.logs()).join(), { timeout: 5_000 })
      .toMatch(/edge\.trunk_refused/);
  });

  it('a zone of fra dies, then one of ams: they talk on, and the twins end the call', async () => {
    const [alice, bob] = await both();
    const talk = await callAndTalk(alice, bob, BOB);
    const [atFra, atAms] = [await zoneOfCall(fra), await zoneOfCall(ams)];
    await fra.twinline('kill', 'zone', atFra);
    await hearEachOther(talk, 50);
    await holdEachOther(talk);
    await ams.twinline('kill', 'zone', atAms);
    await hearEachOther(talk, 50);
    await holdEachOther(talk);
    await talk.caller.bye();
    expect((await talk.callee.ended()).how).toBe('bye');
    const { here, there } = await lastRecords(5);
    expect(here.adoptions + there.adoptions).toBeGreaterThanOrEqual(2);
  });

  it('hears at once that bob cannot be reached when ams is gone', async () => {
    const alice = await openPhone('1001', FRA);
    await ams.killAll();
    const call = await alice.call(BOB);
    expect(await call.ended()).toMatchObject({ status: 503 });
  });
});
