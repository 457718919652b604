import { describe, expect } from 'vitest';
import { hangUp, type Scene, scene, talk } from '../../test/support/call-scenario.ts';
import type { ScriptedPhone, SdpOptions } from '../../test/support/scripted-phone.ts';
import type { StreamSpec } from '../media/index.ts';

const gcm = {
  profile: 'RTP/SAVP',
  crypto: [`1 AEAD_AES_256_GCM inline:${Buffer.alloc(44, 1).toString('base64')}`],
};
const VOICES = ['pcmu', 'pcma', 'opus', 'g722'];

/** They talk by a media process that can put sounds into audio. */
function talkHere(it: Scene, codecs?: readonly string[]): void {
  it.flow.transcodes = VOICES;
  talk(it, codecs);
}

/** One holds, and the other says yes; gives what the other was offered. */
function hold(one: ScriptedPhone, other: ScriptedPhone, more: SdpOptions = {}): string {
  one.asks('INVITE', { body: one.sdp({ direction: 'sendonly', version: 2, ...more }) });
  const asked = other.request('INVITE');
  const answer = asked.body.includes('a=inactive') ? 'inactive' : 'recvonly';
  other.answers(asked, 200, { body: other.sdp({ ...more, direction: answer, version: 2 }) });
  other.request('ACK');
  one.acks(one.response(200, 'INVITE'));
  return asked.body;
}

function resume(one: ScriptedPhone, other: ScriptedPhone): void {
  one.asks('INVITE', { body: one.sdp({ version: 3 }) });
  other.answers(other.request('INVITE'), 200, { body: other.sdp({ version: 3 }) });
  other.request('ACK');
  one.acks(one.response(200, 'INVITE'));
}

/** What each of the two hears of ours, the caller first: assets by name. */
const played = ({ flow }: Scene): (readonly string[])[] =>
  [...flow.streams.values()].map(({ plays }: StreamSpec) =>
    (plays?.items ?? []).map((item) => ('asset' in item ? item.asset : '?')),
  );

describe('music on hold (PH-CALL-05)', () => {
  scene('bob is held and hears ours, until alice is back', {}, (it) => {
    const { alice, bob } = it;
    talkHere(it);
    expect(played(it)).toEqual([[], []]);
    hold(alice, bob);
    expect(played(it)).toEqual([[], ['hold-music.ogg']]);
    resume(alice, bob);
    expect(played(it)).toEqual([[], []]);
    hangUp(alice, bob);
  });

  scene('bob holds alice, who called', {}, (it) => {
    const { alice, bob } = it;
    talkHere(it);
    hold(bob, alice);
    expect(played(it)).toEqual([['hold-music.ogg'], []]);
    hangUp(alice, bob);
  });

  scene('a phone that holds by inactive: the other one is offered music all the same', {}, (it) => {
    const { alice, bob, flow } = it;
    talkHere(it);
    expect(hold(alice, bob, { direction: 'inactive' })).toContain('a=sendonly');
    expect(played(it)).toEqual([[], ['hold-music.ogg']]);
    expect([...flow.streams.values()].map(({ direction }) => direction)).toEqual(['inactive', 'sendonly']);
    resume(alice, bob);
    expect(played(it)).toEqual([[], []]);
    hangUp(bob, alice);
  });

  scene('both hold: nobody hears anything, and when one comes back it hears music', {}, (it) => {
    const { alice, bob } = it;
    talkHere(it);
    hold(alice, bob);
    bob.asks('INVITE', { body: bob.sdp({ direction: 'inactive', version: 3 }) });
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ direction: 'sendonly', version: 3 }) });
    alice.request('ACK');
    bob.acks(bob.response(200, 'INVITE'));
    expect(played(it)).toEqual([[], []]);
    bob.asks('INVITE', { body: bob.sdp({ version: 4 }) });
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ direction: 'sendonly', version: 4 }) });
    alice.request('ACK');
    bob.acks(bob.response(200, 'INVITE'));
    expect(played(it)).toEqual([[], ['hold-music.ogg']]);
    hangUp(alice, bob);
  });

  scene('the site of who holds says which', { sites: { north: { holdMusic: 'harp.mp3' } } }, (it) => {
    talkHere(it);
    hold(it.alice, it.bob);
    expect(played(it)).toEqual([[], ['harp.mp3']]);
    hangUp(it.alice, it.bob);
  });

  scene('or that there is none', { sites: { north: { holdMusic: 'none' } } }, (it) => {
    talkHere(it);
    expect(hold(it.alice, it.bob, { direction: 'inactive' })).toContain('a=inactive');
    expect(played(it)).toEqual([[], []]);
    hangUp(it.alice, it.bob);
  });

  const alicesOwn = {
    alice: { extension: '1001', holdMusic: 'alice.wav' },
    bob: { extension: '1002', holdMusic: 'bob.wav' },
  };
  scene(
    'a user has music of her own where the site allows it',
    {
      people: alicesOwn,
      sites: { north: { personalHoldMusic: true } },
    },
    (it) => {
      talkHere(it);
      hold(it.alice, it.bob);
      expect(played(it)).toEqual([[], ['alice.wav']]);
      hangUp(it.alice, it.bob);
    },
  );

  scene('and not where it does not', { people: alicesOwn }, (it) => {
    talkHere(it);
    hold(it.alice, it.bob);
    expect(played(it)).toEqual([[], ['hold-music.ogg']]);
    hangUp(it.alice, it.bob);
  });

  scene('what media cannot encode stays without', {}, (it) => {
    const codecs = ['96 iLBC/8000'];
    talkHere(it, codecs);
    hold(it.alice, it.bob, { codecs });
    expect(played(it)).toEqual([[], []]);
    hangUp(it.alice, it.bob);
  });

  scene('media that can play nothing', {}, (it) => {
    it.flow.mediaCapabilities = ['relay', 'srtp', 'given-keys', 'payload-types', 'report'];
    talkHere(it);
    hold(it.alice, it.bob);
    expect(played(it)).toEqual([[], []]);
    hangUp(it.alice, it.bob);
  });

  scene('a machine that only speaks holds nobody', {}, (it) => {
    const { alice, bob, flow } = it;
    flow.transcodes = VOICES;
    alice.calls('1002', { direction: 'sendonly' });
    const invite = bob.request('INVITE');
    bob.answers(invite, 200, { body: bob.sdp({ direction: 'recvonly' }) });
    bob.request('ACK');
    alice.acks(alice.response(200, 'INVITE'));
    expect(played(it)).toEqual([[], []]);
    hangUp(alice, bob);
  });

  const behindTrunk = { alice: { extension: '1001' }, bob: { extension: '1002', dataCentres: ['ams'] } };
  scene('who is held from another data centre hears what comes from there', { people: behindTrunk }, (it) => {
    const { alice, bob, flow } = it;
    flow.transcodes = VOICES;
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp(gcm) });
    bob.request('ACK');
    alice.acks(alice.response(200, 'INVITE'));
    bob.asks('INVITE', { body: bob.sdp({ ...gcm, direction: 'sendonly', version: 2 }) });
    alice.answers(alice.request('INVITE'), 200, { body: alice.sdp({ direction: 'recvonly', version: 2 }) });
    alice.request('ACK');
    bob.acks(bob.response(200, 'INVITE'));
    expect(flow.call?.state).toBe('held');
    expect(played(it)).toEqual([[], []]);
    hangUp(alice, bob);
  });
});
