import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hasOpus } from '../../src/native/index.ts';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import { Baresip } from '../support/baresip.ts';
import { Baresips } from '../support/baresips.ts';
import { Capture, type CapturedPacket, entropyOf, mayCapture } from '../support/capture.ts';
import { Crowd } from '../support/crowd.ts';
import { Installation } from '../support/installation.ts';
import type { PhoneCall } from '../support/phone.ts';
import { audioOf, callAndTalk } from '../support/talk.ts';
import { readMark, strongestTone } from '../support/tone.ts';

const SUITES: readonly SrtpSuite[] = [
  'AEAD_AES_256_GCM',
  'AEAD_AES_128_GCM',
  'AES_256_CM_HMAC_SHA1_80',
  'AES_CM_128_HMAC_SHA1_80',
];
/** Octets that each suite adds to a packet: RFC 7714 §8.2 (tag 16), RFC 3711 §4.2 and RFC 6188 (tag 10). */
const TAG_LENGTH: Readonly<Record<SrtpSuite, number>> = {
  AEAD_AES_256_GCM: 16,
  AEAD_AES_128_GCM: 16,
  AES_256_CM_HMAC_SHA1_80: 10,
  AES_CM_128_HMAC_SHA1_80: 10,
};
const HEADER = 12;
const PACKETS = 50;

describe.skipIf(!mayCapture())('what tshark sees on the wire', () => {
  let twinline: Installation;
  let capture: Capture;
  beforeAll(async () => {
    twinline = await Installation.start();
    const [first, last] = twinline.mediaPorts;
    capture = await Capture.start(
      `udp portrange ${first}-${last} or tcp port ${twinline.port('tls')} or udp port ${twinline.port('udp')}`,
    );
  });
  afterAll(async () => {
    await capture?.stop();
    await twinline?.stop();
  });
  const crowd = new Crowd(() => twinline);
  const baresips = new Baresips(() => twinline);
  afterEach(async () => {
    await crowd.leave();
    await baresips.leave();
  });

  /** Both directions of a leg: what the phone sends and what it is sent. */
  async function wire(call: PhoneCall): Promise<Buffer[][]> {
    const { port, remote } = audioOf(call).stats();
    return Promise.all([capture.rtp(port, remote!.port, PACKETS), capture.rtp(remote!.port, port, PACKETS)]);
  }

  it.each(SUITES)('%s on one leg: ciphertext there, the plain tone on the other', async (suite) => {
    const ada = await crowd.phone('1001', { transport: 'tls', srtp: [suite], media: { toneHz: 700 } });
    const charles = await crowd.phone('1002', { media: { toneHz: 1_100 } });
    const talk = await callAndTalk(ada, charles);
    // What was asked for and what was agreed on, by the phone's own SDP: the wire shows TLS.
    expect(talk.caller.invite.body).toContain(` ${suite} inline:`);
    expect(audioOf(talk.caller).stats().protection).toBe(suite);

    for (const packets of await wire(talk.caller)) {
      const payloads = packets.map((packet) => packet.subarray(HEADER));
      for (const packet of packets) {
        expect(packet.length).toBe(HEADER + 160 + TAG_LENGTH[suite]);
        expect(readMark(packet, HEADER, packet.length)).toBeUndefined();
      }
      // 8,000 bytes of chance have more than 7.9 bits each.
      expect(entropyOf(payloads)).toBeGreaterThan(7.9);
      expect(strongestTone(payloads, 'pcmu')).toBeUndefined();
    }

    const [fromCharles, toCharles] = await wire(talk.callee);
    for (const [packets, toneHz, speaker] of [
      [fromCharles!, 1_100, talk.callee],
      [toCharles!, 700, talk.caller],
    ] as const) {
      const payloads = packets.map((packet) => packet.subarray(HEADER));
      expect(strongestTone(payloads, 'pcmu')).toBe(toneHz);
      expect(entropyOf(payloads)).toBeLessThan(7);
      for (const packet of packets) {
        expect(packet.length).toBe(HEADER + 160);
        expect(readMark(packet, HEADER, packet.length)?.sender).toBe(audioOf(speaker).sender >>> 0);
      }
    }
    await talk.caller.bye();
  });

  it('two legs of one suite have keys of their own: what comes in goes out as other bytes', async () => {
    const suite = 'AES_CM_128_HMAC_SHA1_80';
    const ada = await crowd.phone('1001', { transport: 'tls', srtp: [suite] });
    const charles = await crowd.phone('1002', { transport: 'tls', srtp: [suite] });
    const talk = await callAndTalk(ada, charles);
    const [fromAda] = await wire(talk.caller);
    const [, toCharles] = await wire(talk.callee);
    const sent = new Set(fromAda!.map((packet) => packet.subarray(HEADER).toString('base64')));
    expect(toCharles!.some((packet) => sent.has(packet.subarray(HEADER).toString('base64')))).toBe(false);
    await talk.caller.bye();
  });

  it.skipIf(Baresip.program === undefined || !hasOpus())(
    'each way takes 60 to 100 kbit/s, in packets as long as the phone asks for (PH-QOS-05)',
    async () => {
      const ada = await baresips.start('1001', 700, { codec: 'opus' });
      const charles = await baresips.start('1002', 1_100, { codec: 'pcmu', ptimeMs: 40 });
      const from = capture.packets.next;
      await charles.dial('1001');
      await Promise.all([ada.hears(1_100), charles.hears(700)]);
      const [first, last] = twinline.mediaPorts;
      const isOurs = (port: number) => port >= first && port <= last;
      // Others may talk over loopback meanwhile.
      const isPhones = (port: number) =>
        [ada, charles].some(({ mediaPort }) => port >= mediaPort && port < mediaPort + 10);
      const ways = new Map<string, CapturedPacket[]>();
      await capture.packets.first(
        'all four ways',
        (packet) => {
          const { protocol, from: sender, to, payload } = packet;
          const type = (payload[1] ?? 0) & 0x7f;
          // Keep-alives and RTCP (RFC 5761 §4).
          if (
            protocol !== 'udp' ||
            (!(isOurs(sender) && isPhones(to)) && !(isPhones(sender) && isOurs(to))) ||
            payload.length < 20 ||
            (type >= 64 && type < 96)
          )
            return false;
          const way = `${type === 0 ? 'pcmu' : 'opus'} ${isOurs(to) ? 'to us' : 'from us'}`;
          ways.set(way, [...(ways.get(way) ?? []), packet]);
          return ways.size === 4 && [...ways.values()].every(({ length }) => length >= 100);
        },
        { from, waitMs: 20_000 },
      );
      await ada.hangUp();
      for (const [way, packets] of ways) {
        // The first few may be silence.
        const row = packets.slice(25).map(({ payload }) => payload);
        const clockHz = way.startsWith('opus') ? 48_000 : 8_000;
        const seconds = ((row.at(-1)!.readUInt32BE(4) - row[0]!.readUInt32BE(4)) >>> 0) / clockHz;
        const packetMs = (1000 * seconds) / (row.length - 1);
        // The called one, which would have 20 by itself, hears of it and does alike.
        const numbers = row.map((packet) => `${packet.readUInt16BE(2)}:${packet.readUInt32BE(4)}`).join(' ');
        expect(Math.round(packetMs), `${way} ${numbers}`).toBe(40);
        const octets = row.slice(1).reduce((sum, { length }) => sum + length + 28, 0);
        const bitsPerSecond = (8 * octets) / seconds;
        expect(bitsPerSecond, way).toBeGreaterThan(60_000);
        expect(bitsPerSecond, way).toBeLessThan(100_000);
      }
    },
  );

  it('voice leaves as EF, signalling as CS3, over each transport (PH-QOS-03)', async () => {
    const from = capture.packets.next;
    const ada = await crowd.phone('1001', { transport: 'tls' });
    const charles = await crowd.phone('1002', { transport: 'udp' });
    const talk = await callAndTalk(ada, charles);
    for (const call of [talk.caller, talk.callee]) {
      const { port, remote } = audioOf(call).stats();
      const isToPhone = (packet: CapturedPacket) => packet.from === remote!.port && packet.to === port;
      expect(
        await capture.packets.first('voice to the phone', isToPhone, { from, waitMs: 5_000 }),
      ).toMatchObject({
        dscp: 46,
      });
    }
    await talk.caller.bye();
    await talk.callee.ended();
    for (const port of [twinline.port('tls'), twinline.port('udp')]) {
      const said = (packet: CapturedPacket) => packet.from === port && packet.payload.length > 0;
      expect(
        await capture.packets.first(`what port ${port} says`, said, { from, waitMs: 5_000 }),
      ).toMatchObject({
        dscp: 24,
      });
    }
  });

  it('keys pass in TLS alone: no SDP is readable on its port, on UDP it is', async () => {
    const ada = await crowd.phone('1001', { transport: 'tls', srtp: ['AEAD_AES_256_GCM'] });
    const charles = await crowd.phone('1002', { transport: 'udp' });
    const from = capture.packets.next;
    const talk = await callAndTalk(ada, charles);
    await talk.callee.bye();
    await talk.caller.ended();
    await capture.packets.first(
      'the INVITE on UDP',
      ({ protocol, payload }) => protocol === 'udp' && payload.includes('m=audio'),
      { waitMs: 5_000, from },
    );
    const overTls = capture.packets.items.filter(
      ({ protocol, payload }) => protocol === 'tcp' && payload.length > 0,
    );
    expect(overTls.length).toBeGreaterThan(10);
    for (const { payload } of overTls) {
      expect(payload.includes('m=audio')).toBe(false);
      expect(payload.includes('inline:')).toBe(false);
      expect(payload.includes('INVITE')).toBe(false);
    }
  });
});
