import { describe, expect, it } from 'vitest';
import { browserSdp } from '../../test/support/browser-sdp.ts';
import type { CallFlow, CallFlowOptions } from '../../test/support/call-flow.ts';
import { hangUp, type Scene, scene, talk } from '../../test/support/call-scenario.ts';
import type { ScriptedPhone } from '../../test/support/scripted-phone.ts';
import { audioOf, parseSdp } from '../sdp/index.ts';
import { header, type SipMessage } from '../sip/index.ts';
import { type Call, mayUse } from './index.ts';

const both = {
  people: {
    alice: { extension: '1001', endToEnd: true, profile: 'desk-128' },
    bob: { extension: '1002', endToEnd: true, profile: 'desk-256' },
  },
} as const;
const browsers = {
  people: {
    alice: { extension: '1001', transport: 'wss', browser: true, endToEnd: true },
    bob: { extension: '1002', transport: 'wss', browser: true, endToEnd: true },
  },
} as const;
const aliceAlone = {
  people: { alice: { extension: '1001', endToEnd: true }, bob: { extension: '1002' } },
} as const;

const aliceSays = ['a=sframe', 'a=sframe-key:p256 QWxpY2U='];
const bobSays = ['a=sframe', 'a=sframe-key:p256 Qm9i'];
const opus = ['111 opus/48000/2'];

/** The mark and what belongs to it, as a phone was told. */
const markIn = ({ body }: SipMessage): string[] | undefined => {
  const parsed = parseSdp(body);
  const audio = parsed.ok ? audioOf(parsed.value) : undefined;
  return audio?.sframe?.map(({ name, value }) => `a=${name}${value === undefined ? '' : `:${value}`}`);
};
const opaque = (flow: CallFlow): boolean[] =>
  [...flow.streams.values()].map((stream) => stream.opaque === true);

/** They talk in the mode from the first word on. */
function talkInMode({ alice, bob }: Scene): void {
  alice.calls('1002', { extra: aliceSays });
  const invite = bob.request('INVITE');
  bob.answers(invite, 200, { body: bob.sdp({ extra: bobSays }) });
  alice.acks(alice.response(200, 'INVITE'));
}

/** One asks with this offer; the other says yes with that, and both hear of it. */
function changes(
  asking: ScriptedPhone,
  other: ScriptedPhone,
  offer: string[],
  answer: string[],
  version = 2,
) {
  asking.asks('INVITE', { body: asking.sdp({ extra: offer, version }) });
  const asked = other.request('INVITE');
  other.answers(asked, 200, { body: other.sdp({ extra: answer, version }) });
  const told = asking.response(200, 'INVITE');
  asking.acks(told);
  return { asked, told };
}

function refused(asking: ScriptedPhone, code: string): void {
  const response = asking.response(488);
  expect(header(response, 'Warning')).toMatch(new RegExp(`^399 Twinline "${code}: .{20,}"$`));
  asking.acks(response);
}

describe('a call that is encrypted end to end from its first word on', () => {
  scene('passes the mark and what belongs to it, and no stream may be decoded', both, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002', { extra: aliceSays, codecs: opus });
    const invite = bob.request('INVITE');
    expect(markIn(invite)).toEqual(aliceSays);
    bob.answers(invite, 200, { body: bob.sdp({ extra: bobSays, codecs: opus }) });
    const told = alice.response(200, 'INVITE');
    expect(markIn(told)).toEqual(bobSays);
    alice.acks(told);
    expect(opaque(flow)).toEqual([true, true]);
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
    expect(flow.record.legs.map(({ endToEnd }) => endToEnd)).toEqual([true, true]);
  });

  scene('is offered nothing that only a transcoder could make', both, ({ flow, alice, bob }) => {
    flow.transcodes = ['opus', 'pcmu', 'pcma', 'g722'];
    alice.calls('1002', { extra: aliceSays, codecs: opus });
    const invite = bob.request('INVITE');
    expect(invite.body).toMatch(/m=audio \d+ RTP\/AVP 111\r\n/);
    bob.answers(invite, 200, { body: bob.sdp({ extra: bobSays, codecs: ['0 PCMU/8000'] }) });
    bob.answers(bob.request('BYE'), 200);
    alice.acks(alice.response(488));
    expect(flow.record.reason).toBe('no_common_codec');
  });

  scene('between browsers', browsers, ({ flow, alice, bob }) => {
    const marked = (sdp: string, mark: string[]): string =>
      sdp.replace('a=rtcp-mux\r\n', `a=rtcp-mux\r\n${mark.join('\r\n')}\r\n`);
    alice.invite('1002', { body: marked(browserSdp(), aliceSays) });
    const invite = bob.request('INVITE');
    expect(markIn(invite)).toEqual(aliceSays);
    bob.answers(invite, 200, {
      body: marked(browserSdp({ setup: 'active', generation: 'two2' }), bobSays),
    });
    const told = alice.response(200, 'INVITE');
    expect(markIn(told)).toEqual(bobSays);
    alice.acks(told);
    expect(opaque(flow)).toEqual([true, true]);
    // An ICE restart says the same mark again: it stays on its leg, and the mode stays.
    alice.asks('INVITE', { body: marked(browserSdp({ generation: 'new3', version: 3 }), aliceSays) });
    const restarted = alice.response(200, 'INVITE');
    expect(markIn(restarted)).toEqual(bobSays);
    alice.acks(restarted);
    expect(bob.heard.filter((one) => one.kind === 'request' && one.method === 'INVITE')).toHaveLength(1);
    hangUp(bob, alice);
  });

  const mixed = {
    people: {
      alice: { extension: '1001', endToEnd: true },
      bob: { extension: '1002', phones: 3, endToEnd: 1 },
    },
  } as const;
  scene('rings only the devices that can', mixed, ({ flow, alice, bob }) => {
    alice.calls('1002', { extra: aliceSays });
    expect(flow.phone('bob2').hasHeard('INVITE')).toBe(false);
    expect(flow.phone('bob3').hasHeard('INVITE')).toBe(false);
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ extra: bobSays }) });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });

  scene('has early media, and the answer says the same', both, ({ flow, alice, bob }) => {
    alice.calls('1002', { extra: aliceSays });
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, { body: bob.sdp({ extra: bobSays }) });
    const early = alice.response(183);
    expect(markIn(early)).toEqual(bobSays);
    bob.answers(invite, 200, { body: bob.sdp({ extra: bobSays }) });
    const told = alice.response(200, 'INVITE');
    expect(told.body).toBe(early.body);
    alice.acks(told);
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
  });

  scene('is asked for by the callee, in its offer to an INVITE without one', both, (it) => {
    const { flow, alice, bob } = it;
    alice.invite('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ extra: bobSays }) });
    const offer = alice.response(200);
    expect(markIn(offer)).toEqual(bobSays);
    alice.acks(offer, { body: alice.sdp({ extra: aliceSays }) });
    expect(markIn(bob.request('ACK'))).toEqual(aliceSays);
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
  });

  scene('not asked of a caller who cannot', aliceAlone, ({ flow, alice, bob }) => {
    bob.invite('1001');
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ extra: aliceSays }) });
    const offer = bob.response(200);
    expect(markIn(offer)).toBeUndefined();
    bob.acks(offer, { body: bob.sdp() });
    expect(markIn(alice.request('ACK'))).toBeUndefined();
    expect(opaque(flow)).toEqual([false, false]);
    hangUp(alice, bob);
  });
});

describe('in a call', () => {
  scene('is switched on by either, and left by either: the other is told', both, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    expect(opaque(flow)).toEqual([false, false]);
    const on = changes(bob, alice, bobSays, aliceSays);
    expect(markIn(on.asked)).toEqual(bobSays);
    expect(markIn(on.told)).toEqual(aliceSays);
    expect(opaque(flow)).toEqual([true, true]);
    const off = changes(alice, bob, [], [], 3);
    expect(markIn(off.asked)).toBeUndefined();
    expect(off.asked.body).toContain('m=audio');
    expect(markIn(off.told)).toBeUndefined();
    expect(opaque(flow)).toEqual([false, false]);
    hangUp(alice, bob);
    expect(flow.record.legs.map(({ endToEnd }) => endToEnd)).toEqual([undefined, undefined]);
  });

  scene('new keys go to the other end', both, (it) => {
    const { flow, alice, bob } = it;
    talkInMode(it);
    const next = ['a=sframe', 'a=sframe-key:p256 TmV3'];
    const { asked, told } = changes(alice, bob, next, bobSays);
    expect(markIn(asked)).toEqual(next);
    expect(markIn(told)).toEqual(bobSays);
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
  });

  scene('hold goes on', both, (it) => {
    const { flow, alice, bob } = it;
    talkInMode(it);
    alice.asks('INVITE', { body: alice.sdp({ extra: aliceSays, direction: 'sendonly', version: 2 }) });
    const asked = bob.request('INVITE');
    expect(markIn(asked)).toEqual(aliceSays);
    bob.answers(asked, 200, { body: bob.sdp({ extra: bobSays, direction: 'recvonly', version: 2 }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(flow.call?.state).toBe('held');
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(bob, alice);
  });

  scene('an answer without the mark leaves the mode, and who asked is told', both, (it) => {
    const { flow, alice, bob } = it;
    talkInMode(it);
    alice.asks('INVITE', { body: alice.sdp({ extra: aliceSays, direction: 'sendonly', version: 2 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ direction: 'recvonly', version: 2 }) });
    const told = alice.response(200, 'INVITE');
    expect(markIn(told)).toBeUndefined();
    alice.acks(told);
    expect(opaque(flow)).toEqual([false, false]);
    hangUp(bob, alice);
  });

  scene('a client that can and does not want to: 488, and the call goes on', both, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ extra: aliceSays, version: 2 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ version: 2 }) });
    refused(alice, 'e2ee_client');
    expect(flow.call?.state).toBe('talking');
    expect(opaque(flow)).toEqual([false, false]);
    hangUp(alice, bob);
  });

  scene('our own refresh says the mark again', both, (it) => {
    const { flow, alice, bob } = it;
    talkInMode(it);
    flow.advance(900_000);
    for (const [phone, said, heard] of [
      [alice, aliceSays, bobSays],
      [bob, bobSays, aliceSays],
    ] as const) {
      const refresh = phone.request('INVITE');
      expect(markIn(refresh)).toEqual(heard);
      phone.answers(refresh, 200, { body: phone.sdp({ extra: said }) });
    }
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
  });

  scene('new ports after a loss of both media processes: still opaque', both, (it) => {
    const { flow, alice, bob } = it;
    talkInMode(it);
    for (const stream of flow.streams.keys()) flow.takenPorts.add(flow.portOf(stream));
    flow.loseMedia();
    for (const [phone, said, heard] of [
      [alice, aliceSays, bobSays],
      [bob, bobSays, aliceSays],
    ] as const) {
      const renewal = phone.request('INVITE');
      expect(markIn(renewal)).toEqual(heard);
      phone.answers(renewal, 200, { body: phone.sdp({ extra: said, version: 2 }) });
    }
    expect(opaque(flow).slice(-2)).toEqual([true, true]);
    hangUp(alice, bob);
  });
});

describe('refused with the reason', () => {
  const refusedAtOnce = (name: string, options: CallFlowOptions, code: string, dialled = '1002'): void =>
    scene(`${name}: ${code}`, options, ({ flow, alice, bob }) => {
      alice.calls(dialled, { extra: aliceSays });
      refused(alice, code);
      expect(bob.hasHeard('INVITE')).toBe(false);
      expect(flow.record).toMatchObject({ outcome: 'failed', status: 488, reason: code });
    });
  const { people } = both;

  refusedAtOnce('a callee without a client that can', aliceAlone, 'e2ee_client');
  refusedAtOnce(
    'a site that does not allow it',
    { people, sites: { north: { endToEnd: 'refused' } } },
    'e2ee_policy',
  );
  refusedAtOnce(
    "the other's site does not allow it",
    {
      people: { alice: people.alice, bob: { ...people.bob, site: 'south' } },
      sites: { south: { endToEnd: 'refused' } },
    },
    'e2ee_policy',
    '811002',
  );
  scene('a client that said it can, and answers without', both, ({ flow, alice, bob }) => {
    alice.calls('1002', { extra: aliceSays });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    bob.request('ACK');
    bob.answers(bob.request('BYE'), 200);
    refused(alice, 'e2ee_client');
    expect(flow.record.reason).toBe('e2ee_client');
  });

  scene('media that only relays audio', both, ({ flow, alice, bob }) => {
    flow.mediaCapabilities = ['relay', 'srtp', 'given-keys', 'report'];
    alice.calls('1002', { extra: aliceSays });
    refused(alice, 'e2ee_media');
    expect(bob.hasHeard('INVITE')).toBe(false);
  });

  scene('within the call, which goes on', aliceAlone, (it) => {
    const { flow, alice, bob } = it;
    talk(it);
    alice.asks('INVITE', { body: alice.sdp({ extra: aliceSays, version: 2 }) });
    refused(alice, 'e2ee_client');
    expect(bob.heard.filter((one) => one.kind === 'request' && one.method === 'INVITE')).toHaveLength(1);
    expect(flow.call?.state).toBe('talking');
    hangUp(alice, bob);
  });

  scene('an offer that says too much', both, ({ alice }) => {
    alice.calls('1002', { extra: ['a=sframe', `a=sframe-key:${'x'.repeat(4_100)}`] });
    refused(alice, 'e2ee_terms');
  });

  scene('a mark alone, without anything beside it, is enough', both, ({ alice, bob }) => {
    alice.calls('1002', { extra: ['a=sframe'] });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ extra: ['a=sframe'] }) });
    alice.acks(alice.response(200, 'INVITE'));
    hangUp(alice, bob);
  });
});

describe('between data centres of ours (decision 25)', () => {
  const alice = { extension: '1001', endToEnd: true } as const;
  const bob = { extension: '1002', endToEnd: true } as const;
  const bobIsInAms = { people: { alice, bob: { extension: '1002', dataCentres: ['ams'] } } } as const;
  const aliceIsInFra = { people: { alice: { extension: '1001', dataCentres: ['fra'] }, bob } } as const;
  const gcm = {
    profile: 'RTP/SAVP',
    crypto: [`1 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64')}`],
  };
  const fromAlice = {
    name: 'Twinline-Call',
    value: 'call-at-fra;account=acme;caller=user-alice;callee=user-bob',
  };
  const able = /;\+g\.twinline\.e2ee$/;

  scene('it passes the trunk from here, inside of SRTP', bobIsInAms, ({ flow, alice, bob }) => {
    flow.transcodes = ['opus', 'pcmu', 'pcma', 'g722'];
    alice.calls('1002', { extra: aliceSays, codecs: opus });
    const invite = bob.request('INVITE');
    expect(markIn(invite)).toEqual(aliceSays);
    expect(invite.body).toMatch(/m=audio \d+ RTP\/SAVP 111\r\n/);
    expect(header(invite, 'Contact')).toMatch(able);
    bob.answers(invite, 200, { body: bob.sdp({ ...gcm, extra: bobSays, codecs: opus }) });
    const told = alice.response(200, 'INVITE');
    expect(markIn(told)).toEqual(bobSays);
    alice.acks(told);
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
    expect(flow.record.legs).toMatchObject([
      { endToEnd: true },
      { endToEnd: true, dataCentre: 'ams', srtp: 'AEAD_AES_256_GCM' },
    ]);
  });

  scene('and to here: only clients that can ring', aliceIsInFra, ({ flow, alice, bob }) => {
    alice.calls('1002', { ...gcm, extra: aliceSays, codecs: opus }, { headers: [fromAlice] });
    const invite = bob.request('INVITE');
    expect(markIn(invite)).toEqual(aliceSays);
    bob.answers(invite, 200, { body: bob.sdp({ extra: bobSays, codecs: opus }) });
    const told = alice.response(200, 'INVITE');
    expect(markIn(told)).toEqual(bobSays);
    expect(header(told, 'Contact')).toMatch(able);
    alice.acks(told);
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(bob, alice);
  });

  scene(
    'a phone there that cannot: refused there',
    { people: { ...aliceIsInFra.people, bob: { extension: '1002' } } },
    (it) => {
      it.alice.calls('1002', { ...gcm, extra: aliceSays }, { headers: [fromAlice] });
      refused(it.alice, 'e2ee_client');
      expect(it.bob.hasHeard('INVITE')).toBe(false);
    },
  );

  const warns = {
    headers: [{ name: 'Warning', value: '399 Twinline "e2ee_client: no client there has it"' }],
  };
  scene('and the phone here hears why', bobIsInAms, ({ flow, alice, bob }) => {
    alice.calls('1002', { extra: aliceSays });
    bob.answers(bob.request('INVITE'), 488, warns);
    refused(alice, 'e2ee_client');
    expect(flow.record.reason).toBe('e2ee_client');
  });

  scene('it may be asked for within the call, and is refused there or agreed on', bobIsInAms, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(gcm) });
    alice.acks(alice.response(200, 'INVITE'));
    bob.request('ACK');
    alice.asks('INVITE', { body: alice.sdp({ extra: aliceSays, version: 2 }) });
    const asked = bob.request('INVITE');
    expect(markIn(asked)).toEqual(aliceSays);
    bob.answers(asked, 488, warns);
    refused(alice, 'e2ee_client');
    expect(opaque(flow)).toEqual([false, false]);
    alice.asks('INVITE', { body: alice.sdp({ extra: aliceSays, version: 3 }) });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ ...gcm, extra: bobSays, version: 2 }) });
    const told = alice.response(200, 'INVITE');
    expect(markIn(told)).toEqual(bobSays);
    alice.acks(told);
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
  });
});

describe('by policy', () => {
  const required = { ...both, sites: { north: { endToEnd: 'required' } } } as const;

  scene('an INVITE without the mark is refused between clients that can', required, ({ alice }) => {
    alice.calls('1002');
    refused(alice, 'e2ee_required');
  });

  scene('and the mode cannot be left', required, (it) => {
    const { flow, alice, bob } = it;
    talkInMode(it);
    alice.asks('INVITE', { body: alice.sdp({ version: 2 }) });
    refused(alice, 'e2ee_required');
    expect(opaque(flow)).toEqual([true, true]);
    hangUp(alice, bob);
  });

  const desk = { ...aliceAlone, sites: required.sites } as const;
  scene('a phone that cannot is called as ever', desk, (it) => {
    talk(it);
    hangUp(it.alice, it.bob);
  });
});

describe('what a feature may do', () => {
  const endToEnd = { said: [{ name: 'sframe' }], heard: [{ name: 'sframe' }] };
  const callWith = (media: object): Call => ({ legs: [{ state: 'confirmed', media }] }) as unknown as Call;

  it.each(['record', 'transcribe', 'monitor', 'transcode', 'keys in audio', 'conference', 'park'] as const)(
    '%s answers e2ee_active',
    (feature) => {
      expect(mayUse(callWith({ endToEnd }), feature)).toEqual({ ok: false, error: 'e2ee_active' });
      expect(mayUse(callWith({}), feature)).toEqual({ ok: true, value: 'freely' });
    },
  );

  it('transfer ends it, hold goes on', () => {
    expect(mayUse(callWith({ endToEnd }), 'transfer')).toEqual({ ok: true, value: 'ends it' });
    expect(mayUse(callWith({ endToEnd }), 'hold')).toEqual({ ok: true, value: 'freely' });
  });
});
