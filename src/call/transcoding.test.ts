import { describe, expect, test } from 'vitest';
import { hangUp, scene } from '../../test/support/call-scenario.ts';
import type { Codec } from '../sdp/index.ts';
import { answeredCodecs, offeredCodecs } from './transcoding.ts';

const EVERY = ['pcmu', 'pcma', 'l16', 'g722', 'opus', 'g729'];
const OPUS = ['96 opus/48000/2', '97 telephone-event/48000'];
const PCMA = ['8 PCMA/8000', '101 telephone-event/8000'];

const formatsOf = (sdp: string): string[] =>
  [...sdp.matchAll(/^a=rtpmap:(\d+) ([\w-]+)\/(\d+)/gm)].map(
    ([, type, name, clock]) => `${type} ${name}/${clock}`,
  );

describe('legs without a codec in common (PH-CALL-25)', () => {
  scene('an app with Opus alone calls a desk phone with A-law alone', {}, ({ flow, alice, bob }) => {
    flow.transcodes = EVERY;
    alice.calls('1002', { codecs: OPUS });
    const invite = bob.request('INVITE');
    expect(formatsOf(invite.body)).toEqual([
      '96 opus/48000',
      '97 telephone-event/48000',
      '9 G722/8000',
      '0 PCMU/8000',
      '8 PCMA/8000',
      '18 G729/8000',
      '101 telephone-event/8000',
    ]);
    bob.answers(invite, 200, { body: bob.sdp({ codecs: PCMA }) });
    const ok = alice.response(200);
    expect(formatsOf(ok.body)).toEqual(['96 opus/48000', '97 telephone-event/48000']);
    alice.acks(ok);
    const [toAlice, toBob] = [...flow.streams.values()];
    expect(toAlice?.codecs.map(({ name }) => name)).toEqual(['opus', 'telephone-event']);
    expect(toBob?.codecs.map(({ name }) => name)).toEqual(['pcma', 'telephone-event']);
    hangUp(alice, bob);
    expect(flow.record.legs.map(({ codec }) => codec)).toEqual(['opus', 'pcma']);
  });

  scene('a hold tells each leg of its own codec', {}, ({ flow, alice, bob }) => {
    flow.transcodes = EVERY;
    alice.calls('1002', { codecs: OPUS });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: PCMA }) });
    alice.acks(alice.response(200));
    bob.request('ACK');
    bob.asks('INVITE', { body: bob.sdp({ codecs: PCMA, direction: 'sendonly', version: 2 }) });
    const toAlice = alice.request('INVITE');
    expect(formatsOf(toAlice.body)).toContain('96 opus/48000');
    alice.answers(toAlice, 200, { body: alice.sdp({ codecs: OPUS, direction: 'recvonly', version: 2 }) });
    alice.request('ACK');
    const ok = bob.response(200, 'INVITE');
    expect(formatsOf(ok.body)).toEqual(['8 PCMA/8000', '101 telephone-event/8000']);
    expect(ok.body).toContain('a=recvonly');
    bob.acks(ok);
    hangUp(alice, bob);
  });

  scene('a codec that both have is kept, though others were offered', {}, ({ flow, alice, bob }) => {
    flow.transcodes = EVERY;
    alice.calls('1002', { codecs: [...OPUS, ...PCMA] });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: PCMA }) });
    const ok = alice.response(200);
    expect(formatsOf(ok.body)).toEqual(['8 PCMA/8000', '101 telephone-event/8000']);
    alice.acks(ok);
    hangUp(alice, bob);
  });

  scene(
    'what media cannot transcode is offered as it came, and refused with 488',
    {},
    ({ flow, alice, bob }) => {
      flow.transcodes = EVERY;
      alice.calls('1002', { codecs: ['98 AMR-WB/16000'] });
      const invite = bob.request('INVITE');
      expect(formatsOf(invite.body)).toEqual(['98 AMR-WB/16000']);
      bob.answers(invite, 488);
      alice.acks(alice.response(488));
    },
  );

  scene('media without codecs: nothing is added', {}, ({ alice, bob }) => {
    alice.calls('1002', { codecs: OPUS });
    const invite = bob.request('INVITE');
    expect(formatsOf(invite.body)).toEqual(['96 opus/48000', '97 telephone-event/48000']);
    bob.answers(invite, 488);
    alice.acks(alice.response(488));
  });

  scene('the callee offers, late: the caller is told more than that', {}, ({ flow, alice, bob }) => {
    flow.transcodes = EVERY;
    alice.invite('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: PCMA }) });
    const ok = alice.response(200);
    expect(formatsOf(ok.body)).toContain('111 opus/48000');
    alice.acks(ok, { body: alice.sdp({ codecs: ['111 opus/48000/2'] }) });
    expect(formatsOf(bob.request('ACK').body)).toEqual(['8 PCMA/8000']);
    hangUp(alice, bob);
  });
});

describe('what is offered and answered', () => {
  const pcmu: Codec = { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 };
  const keys: Codec = { payloadType: 101, name: 'telephone-event', clockRateHz: 8000, channels: 1 };
  const opus: Codec = { payloadType: 111, name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'stereo=1' };

  test('no payload type stands for two codecs', () => {
    const crowded: Codec[] = [pcmu, { ...keys, payloadType: 111 }];
    const offered = offeredCodecs(crowded, ['pcmu', 'opus']);
    const types = offered.map(({ payloadType }) => payloadType);
    expect(new Set(types).size).toBe(types.length);
    expect(offered.slice(0, 2)).toEqual(crowded);
    expect(offered.find(({ name }) => name === 'opus')?.payloadType).toBe(96);
  });

  test('a side without keypad events is promised none', () => {
    expect(offeredCodecs([pcmu], EVERY).some(({ name }) => name === 'telephone-event')).toBe(false);
    expect(answeredCodecs([opus, { ...keys, clockRateHz: 48_000 }], [pcmu], { transcodes: EVERY })).toEqual([
      { ...opus, fmtp: 'useinbandfec=1' },
    ]);
  });

  test('a codec whose library is missing is neither offered nor answered', () => {
    expect(offeredCodecs([pcmu], ['pcmu']).map(({ name }) => name)).toEqual(['pcmu']);
    expect(answeredCodecs([opus], [pcmu], { transcodes: ['pcmu'] })).toEqual([]);
  });
});
