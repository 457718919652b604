import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/base/index.ts';
import { type Channel, connectLink, PROTOCOL_VERSION } from '../../src/link/index.ts';
import type {
  MediaCapability,
  MediaEvent,
  MediaToSwitch,
  SrtpKey,
  SrtpSuite,
  StreamOpened,
  StreamReport,
  StreamSpec,
} from '../../src/media/index.ts';
import { openUdpLoop, systemClock, systemRandom, type UdpLoop } from '../../src/native/index.ts';
import { newKeySalt } from '../../src/sdp/index.ts';
import { Changes } from '../support/changes.ts';
import { RtpPhone } from '../support/rtp-phone.ts';
import { spec } from '../support/stream-spec.ts';

/** A media process, whatever engine is behind it. */
export interface MediaUnderTest {
  /** Of the socket where switches come in: `m.sock` in a directory of its own. */
  readonly directory: string;
  readonly capabilities: readonly MediaCapability[];
  stop(): Promise<void>;
}

const BUNDLE = 'bundle0001';
const SPEAKS_EVERY_MS = 20;

/** A switch's channel, and what came on it. */
class Switch {
  readonly events: MediaEvent[] = [];
  readonly changes = new Changes();
  capabilities: readonly MediaCapability[] | undefined;
  #channel!: Channel;
  #close!: () => void;

  static async at(directory: string): Promise<Switch> {
    const made = new Switch();
    await new Promise<void>((connected) => {
      const client = connectLink({
        path: join(directory, 'm.sock'),
        self: { role: 'switch', id: 'a1', pid: process.pid, startTime: 1 },
        clock: systemClock,
        random: systemRandom,
        log: silentLogger,
        onChannel(channel) {
          made.#channel = channel;
          channel.onFrame(({ kind, data }) => {
            if (kind === 'event') made.events.push(data as MediaEvent);
            if (kind === 'capabilities') made.capabilities = (data as MediaToSwitch['capabilities']).has;
            made.changes.tell();
            return undefined;
          });
          connected();
        },
      });
      made.#close = () => client.close();
    });
    made.#channel.send({ kind: 'greet', data: { version: PROTOCOL_VERSION, switch: 'a1' } });
    await made.changes.until(() => made.capabilities !== undefined);
    return made;
  }

  async ask<T>(kind: string, data: unknown): Promise<T> {
    return (await this.#channel.request({ kind, data }, 5_000)).data as T;
  }

  put(stream: StreamSpec, opened?: { address: string; port: number }): Promise<StreamOpened> {
    return this.ask('put', { stream, ...(opened && { opened }) });
  }

  async end(...streams: string[]): Promise<StreamReport[]> {
    const { reports } = await this.ask<{ reports: StreamReport[] }>('close', {
      ...{ bundle: BUNDLE, epoch: 1, streams },
    });
    return reports;
  }

  close(): void {
    this.#close();
  }
}

interface Side {
  readonly phone: RtpPhone;
  readonly opened: StreamOpened;
  readonly spec: StreamSpec;
}

/** What every engine must keep of the media port's promises; what only some can, of those that say so. */
export function mediaContract(name: string, make: () => Promise<MediaUnderTest>): void {
  describe(`media by ${name}`, () => {
    let media: MediaUnderTest;
    let port: Switch;
    let loop: UdpLoop;
    let pacer: NodeJS.Timeout;
    let changes: Changes;
    const speaking: RtpPhone[] = [];

    beforeEach(async () => {
      media = await make();
      loop = openUdpLoop();
      changes = new Changes();
      port = await Switch.at(media.directory);
      pacer = setInterval(() => {
        for (const phone of speaking) phone.speak();
      }, SPEAKS_EVERY_MS);
    });
    afterEach(async () => {
      clearInterval(pacer);
      for (const phone of speaking.splice(0)) phone.close();
      port?.close();
      loop?.close();
      await media?.stop();
    });

    const can = (capability: MediaCapability): boolean => media.capabilities.includes(capability);

    /** Opens a stream as a call does: its place first, its peer when that is known. */
    async function side(id: string, ssrc: number, suite?: SrtpSuite): Promise<Side> {
      const bare = await port.put({ ...spec(id), codecs: [], direction: 'inactive' });
      const keys = suite === undefined ? undefined : keysFor(bare, suite);
      const phone = new RtpPhone(loop, {
        first: 1,
        ssrc,
        ...(keys && { sendKey: keys.receiveKey, receiveKey: keys.sendKey }),
      });
      phone.onHeard = () => changes.tell();
      phone.port = bare.port;
      const negotiated = spec(id, { port: phone.localPort, rtcpMux: true, ...keys });
      const opened = await port.put(negotiated);
      expect(opened).toMatchObject({ address: bare.address, port: bare.port, rtcpPort: bare.port });
      speaking.push(phone);
      return { phone, opened, spec: negotiated };
    }

    function keysFor(
      { sendKeys }: StreamOpened,
      suite: SrtpSuite,
    ): { sendKey: SrtpKey; receiveKey: SrtpKey } {
      const newKey = () => ({ suite, keySalt: newKeySalt(suite, systemRandom) });
      expect(sendKeys === undefined).toBe(can('given-keys'));
      const sendKey = sendKeys === undefined ? newKey() : sendKeys.find((key) => key.suite === suite);
      expect(sendKey, `a key of ${suite}`).toBeDefined();
      return { sendKey: sendKey!, receiveKey: newKey() };
    }

    async function connect(one: Side, other: Side): Promise<void> {
      await port.put({ ...one.spec, source: other.spec.id });
      await port.put({ ...other.spec, source: one.spec.id });
    }

    /** `here` hears so many that `there` says from now on, and nobody else. */
    async function hears(here: Side, there: Side, packets = 10): Promise<void> {
      const from = here.phone.heard.length;
      const next = there.phone.next;
      const fresh = () =>
        here.phone.heard.slice(from).filter(({ said }) => said.ssrc === ssrcOf(there) && said.index >= next);
      await changes.until(() => fresh().length >= packets);
    }
    let ssrcsMade = 0x1000;
    const ssrcs = new Map<string, number>();
    const ssrcOf = ({ spec: { id } }: Side): number => ssrcs.get(id)!;
    async function person(id: string, suite?: SrtpSuite): Promise<Side> {
      const ssrc = ++ssrcsMade;
      ssrcs.set(id, ssrc);
      return side(id, ssrc, suite);
    }

    test('it says at the greeting what it can do', () => {
      expect(port.capabilities).toEqual(media.capabilities);
      expect(can('relay')).toBe(true);
    });

    test('two phones hear each other, each by the port that it was told', async () => {
      const [alice, bob] = [await person('alice'), await person('bob')];
      await connect(alice, bob);
      await Promise.all([hears(alice, bob), hears(bob, alice)]);
      expect(alice.opened.port).not.toBe(bob.opened.port);
      expect(alice.opened.port % 2).toBe(0);
    });

    for (const [left, right] of [
      ['AEAD_AES_256_GCM', 'AES_CM_128_HMAC_SHA1_80'],
      ['AEAD_AES_128_GCM', 'AES_256_CM_HMAC_SHA1_80'],
      ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_80'],
      [undefined, 'AEAD_AES_256_GCM'],
    ] as const)
      test(`srtp: ${left ?? 'plain'} here, ${right} there`, async (context) => {
        if (!can('srtp')) context.skip();
        const [alice, bob] = [await person('alice', left), await person('bob', right)];
        await connect(alice, bob);
        await Promise.all([hears(alice, bob), hears(bob, alice)]);
        expect([alice.phone.refused, bob.phone.refused]).toEqual([0, 0]);
      });

    test('who is held hears nothing and is heard; afterwards it hears again, at the same port under the same keys', async () => {
      const suite = can('srtp') ? 'AEAD_AES_128_GCM' : undefined;
      const [alice, bob] = [await person('alice', suite), await person('bob', suite)];
      await connect(alice, bob);
      await hears(alice, bob);
      const held = await port.put({ ...alice.spec, source: bob.spec.id, direction: 'recvonly' });
      expect(held.port).toBe(alice.opened.port);
      const heldFrom = bob.phone.next;
      await hears(bob, alice, 25);
      expect(alice.phone.heard.filter(({ said }) => said.index >= heldFrom)).toEqual([]);
      await port.put({ ...alice.spec, source: bob.spec.id });
      await Promise.all([hears(alice, bob), hears(bob, alice)]);
      expect([alice.phone.refused, bob.phone.refused]).toEqual([0, 0]);
    });

    test('a stream is connected with another one: the former is heard no more', async () => {
      const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol')];
      await connect(alice, bob);
      await hears(alice, bob);
      await port.end('bob');
      await connect(alice, carol);
      const from = alice.phone.heard.length;
      await Promise.all([hears(alice, carol), hears(carol, alice)]);
      // What was on its way when it was put may come.
      const late = alice.phone.heard.slice(from).filter(({ said }) => said.ssrc === ssrcOf(bob));
      expect(late.length).toBeLessThan(3);
    });

    test('a peer that moves is followed to where it is signalled', async () => {
      const [alice, bob] = [await person('alice'), await person('bob')];
      await connect(alice, bob);
      await hears(bob, alice);
      const moved = new RtpPhone(loop, { first: 1, ssrc: ssrcOf(bob) });
      moved.onHeard = () => changes.tell();
      moved.port = bob.opened.port;
      speaking.splice(speaking.indexOf(bob.phone), 1);
      bob.phone.close();
      speaking.push(moved);
      const bobAgain = {
        ...bob,
        phone: moved,
        spec: {
          ...bob.spec,
          remote: { ...bob.spec.remote!, port: moved.localPort, rtcpPort: moved.localPort },
        },
      };
      await connect(alice, bobAgain);
      await Promise.all([hears(alice, bobAgain), hears(bobAgain, alice)]);
    });

    test('RTCP on the RTP port reaches the other phone', async () => {
      const [alice, bob] = [await person('alice'), await person('bob')];
      await connect(alice, bob);
      await hears(bob, alice);
      alice.phone.report();
      await changes.until(() => bob.phone.reports > 0);
    });

    test('saying the same again changes nothing', async () => {
      const [alice, bob] = [await person('alice'), await person('bob')];
      await connect(alice, bob);
      const again = await port.put({ ...alice.spec, source: bob.spec.id });
      expect(again).toMatchObject({ address: alice.opened.address, port: alice.opened.port });
      await Promise.all([hears(alice, bob), hears(bob, alice)]);
    });

    test('a stale owner is refused, whether it puts or closes', async () => {
      await port.put(spec('alice', { epoch: 5 }));
      await port.ask('own', { bundles: [{ bundle: BUNDLE, epoch: 7 }] });
      await expect(port.put(spec('alice', { epoch: 6 }))).rejects.toMatchObject({ code: 'stale_epoch' });
      await expect(port.end('alice')).rejects.toMatchObject({ code: 'stale_epoch' });
    });

    test('it knows its streams, and reports on each once', async () => {
      const [alice, bob] = [await person('alice'), await person('bob')];
      await connect(alice, bob);
      await Promise.all([hears(alice, bob, 20), hears(bob, alice, 20)]);
      expect(await port.ask('find', { streams: ['alice', 'nobody'] })).toEqual({
        ...{ here: ['alice'], standby: [], unknown: ['nobody'] },
      });
      const reports = await port.end('alice', 'bob', 'nobody');
      expect(reports.map(({ stream }) => stream)).toEqual(['alice', 'bob']);
      expect(await port.end('alice', 'bob')).toEqual([]);
      if (!can('report')) return;
      for (const { packetsReceived, packetsSent, octetsReceived } of reports) {
        expect(packetsReceived).toBeGreaterThanOrEqual(20);
        expect(packetsSent).toBeGreaterThanOrEqual(20);
        expect(octetsReceived).toBe(packetsReceived * 160);
      }
    });

    test('a stream of a former life under keys is unknown: its keys are used no more', async () => {
      const suite = 'AEAD_AES_256_GCM';
      const key = () => ({ suite, keySalt: newKeySalt(suite, systemRandom) }) as const;
      const before = spec('alice', { port: 40_000, sendKey: key(), receiveKey: key() });
      await expect(port.put(before, { address: '127.0.0.1', port: 15_000 })).rejects.toMatchObject({
        code: 'unknown_stream',
      });
    });

    test('a spec that is none is refused by name of what is wrong', async () => {
      await expect(port.put({ ...spec('alice'), family: 5 as never })).rejects.toMatchObject({
        code: 'bad_spec',
        message: expect.stringContaining('family'),
      });
      await expect(port.ask('close', { streams: ['alice'] })).rejects.toMatchObject({ code: 'bad_spec' });
    });

    const ice = { localUfrag: 'abcd', localPassword: 'x'.repeat(24) };
    const key256 = { suite: 'AEAD_AES_256_GCM', keySalt: Buffer.alloc(44, 1).toString('base64') } as const;
    for (const [capability, wish] of [
      [
        'given-keys',
        { sendKey: key256, receiveKey: { ...key256, keySalt: Buffer.alloc(44, 2).toString('base64') } },
      ],
      ['ice', { ice, rtcpMux: true }],
      ['mix', { room: { id: 'r', speaks: true, hears: true } }],
      ['play', { plays: { id: 'p', items: [{ tone: 'ringback' }], times: 0 } }],
      ['detect', { detects: { voice: true } }],
      ['tap', { taps: [{ id: 't', directions: ['received'] }] }],
      ['link', { link: { peer: 'other' } }],
      ['opaque', { opaque: true }],
    ] as const)
      test(`${capability}: a stream that needs it is opened where it is there, else refused by that name`, async () => {
        const put = port.put({ ...spec('alice'), ...(wish as Partial<StreamSpec>) });
        if (can(capability)) expect((await put).stream).toBe('alice');
        else
          await expect(put).rejects.toMatchObject({
            code: 'unsupported',
            message: expect.stringContaining(capability),
          });
      });

    test('transcode: codecs are named where it can', async () => {
      const { transcodes } = await port.put(spec('alice'));
      expect(transcodes !== undefined).toBe(can('transcode'));
    });
  });
}
