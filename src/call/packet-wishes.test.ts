import { describe, expect, test } from 'vitest';
import { hangUp, scene } from '../../test/support/call-scenario.ts';
import { packetMsFor } from './packet-time.ts';
import { withBitRate } from './transcoding.ts';

const EVERY = ['pcmu', 'pcma', 'l16', 'g722', 'opus', 'g729'];
const OPUS = ['96 opus/48000/2'];
const PCMA = ['8 PCMA/8000'];
const fmtp = (sdp: string, type: number): string | undefined =>
  new RegExp(`^a=fmtp:${type} (.*?)\r?$`, 'm').exec(sdp)?.[1];

test('how long packets are (RFC 8866 section 6.4): as liked, never longer than taken, and of lengths that codecs have', () => {
  for (const [said, ms] of [
    [{}, 20],
    [{ ptimeMs: 30 }, 30],
    [{ ptimeMs: 50 }, 40],
    [{ ptimeMs: 200 }, 60],
    [{ ptimeMs: 15 }, 10],
    [{ ptimeMs: 5 }, 10],
    [{ maxptimeMs: 60 }, 20],
    [{ maxptimeMs: 10 }, 10],
    [{ ptimeMs: 60, maxptimeMs: 40 }, 40],
    [{ ptimeMs: 10, maxptimeMs: 150 }, 10],
  ] as const)
    expect([said, packetMsFor(said)]).toEqual([said, ms]);
});

describe('what a phone asks of the packets that it is sent', () => {
  scene(
    'each leg’s wishes are its own: length, redundancy, bit rate, VoIP metrics',
    {},
    ({ flow, alice, bob }) => {
      flow.transcodes = EVERY;
      const extra = [
        'a=fmtp:96 maxaveragebitrate=24000',
        'a=ptime:60',
        'a=maxptime:40',
        'a=rtcp-xr:rcvr-rtt=all:10 voip-metrics',
      ];
      alice.calls('1002', { codecs: OPUS, extra });
      const invite = bob.request('INVITE');
      // Packets pass as they are where they can, so the other end hears of it.
      expect(invite.body).toMatch(/^a=ptime:60\r$/m);
      expect(invite.body).toMatch(/^a=maxptime:40\r$/m);
      expect(invite.body).toMatch(/^a=rtcp-xr:voip-metrics\r$/m);
      expect(fmtp(invite.body, 96)).toBe('maxaveragebitrate=24000');
      bob.answers(invite, 200, { body: bob.sdp({ codecs: PCMA, extra: ['a=ptime:10'] }) });
      const ok = alice.response(200);
      expect(ok.body).toMatch(/^a=rtcp-xr:voip-metrics\r$/m);
      expect(ok.body).toMatch(/^a=ptime:10\r$/m);
      // What we ask of her is not what she asks of us.
      expect(fmtp(ok.body, 96)).toBe('useinbandfec=1;maxaveragebitrate=38000');
      alice.acks(ok);
      const [toAlice, toBob] = [...flow.streams.values()];
      expect(toAlice).toMatchObject({ packetMs: 40, voipMetrics: true });
      expect(toAlice?.codecs[0]).toMatchObject({
        fmtp: 'useinbandfec=1;maxaveragebitrate=38000',
        wants: 'maxaveragebitrate=24000',
      });
      expect(toBob?.packetMs).toBe(10);
      expect(toBob?.voipMetrics).toBeUndefined();
      hangUp(alice, bob);
    },
  );

  scene('who says nothing gets 20 ms and no extended reports', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', { codecs: PCMA });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: PCMA, extra: ['a=rtcp-xr:'] }) });
    const ok = alice.response(200);
    expect(ok.body).not.toMatch(/rtcp-xr|ptime/);
    alice.acks(ok);
    for (const stream of flow.streams.values()) {
      expect(stream.packetMs).toBeUndefined();
      expect(stream.voipMetrics).toBeUndefined();
      expect(stream.codecs.every(({ wants }) => wants === undefined)).toBe(true);
    }
    hangUp(alice, bob);
  });

  scene('a wish that is taken back in the call counts no more', {}, ({ flow, alice, bob }) => {
    alice.calls('1002', { codecs: PCMA, extra: ['a=ptime:30', 'a=rtcp-xr:voip-metrics'] });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: PCMA }) });
    alice.acks(alice.response(200));
    expect([...flow.streams.values()][0]).toMatchObject({ packetMs: 30, voipMetrics: true });
    alice.asks('INVITE', { body: alice.sdp({ codecs: PCMA, version: 2 }) });
    alice.acks(alice.response(200, 'INVITE'));
    const [toAlice] = [...flow.streams.values()];
    expect(toAlice?.packetMs).toBeUndefined();
    expect(toAlice?.voipMetrics).toBeUndefined();
    hangUp(alice, bob);
  });
});

test('clients that speak Opus by themselves at other rates are asked for one that takes 60 to 100 kbit/s (PH-QOS-05)', () => {
  const opus = { payloadType: 111, name: 'opus', clockRateHz: 48_000, channels: 2 };
  expect(withBitRate(opus, {}).fmtp).toBe('maxaveragebitrate=50000');
  expect(withBitRate({ ...opus, fmtp: 'minptime=10;useinbandfec=1' }, {}).fmtp).toBe(
    'minptime=10;useinbandfec=1;maxaveragebitrate=50000',
  );
  expect(withBitRate(opus, { ptimeMs: 100, maxptimeMs: 60 }).fmtp).toBe('maxaveragebitrate=61500');
  const asked = { ...opus, fmtp: 'maxaveragebitrate=20000' };
  expect(withBitRate(asked, {})).toBe(asked);
  const pcma = { payloadType: 8, name: 'pcma', clockRateHz: 8000, channels: 1 };
  expect(withBitRate(pcma, {})).toBe(pcma);
});
