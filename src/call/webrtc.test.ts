import { describe, expect } from 'vitest';
import { browserSdp, fingerprint, realOffers } from '../../test/support/browser-sdp.ts';
import { type CallFlow, OUR_FINGERPRINT } from '../../test/support/call-flow.ts';
import { hangUp, type Scene, scene } from '../../test/support/call-scenario.ts';
import type { StreamSpec } from '../media/index.ts';
import { audioOf, parseSdp, type SessionDescription } from '../sdp/index.ts';
import { header } from '../sip/index.ts';

const browserAndPhone = {
  people: { alice: { extension: '1001', transport: 'wss', browser: true }, bob: { extension: '1002' } },
} as const;
const phoneAndBrowser = {
  people: { alice: { extension: '1001' }, bob: { extension: '1002', transport: 'wss', browser: true } },
} as const;
const twoBrowsers = {
  people: {
    alice: { extension: '1001', transport: 'ws', browser: true },
    bob: { extension: '1002', transport: 'wss', browser: true },
  },
} as const;

const read = (text: string): SessionDescription => {
  const parsed = parseSdp(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
};
const audioIn = (text: string) => audioOf(read(text))!;
const streamsOf = (flow: CallFlow): StreamSpec[] => [...flow.streams.values()];

describe('a browser calls a phone', () => {
  scene('its offer is answered as a lite agent with DTLS', browserAndPhone, ({ flow, alice, bob }) => {
    alice.invite('1002', { body: browserSdp({ video: true }) });
    const invite = bob.request('INVITE');
    expect(invite.body).toMatch(/m=audio \d+ RTP\/AVP 111 9 0 8 110 126\r\n/);
    expect(invite.body).not.toMatch(/ice|fingerprint|mid:|group|extmap|ssrc/);
    bob.answers(invite, 200, { body: bob.sdp({ codecs: ['0 PCMU/8000', '101 telephone-event/8000'] }) });
    const ok = alice.response(200);
    const lines = ok.body.split('\r\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'a=ice-lite',
        'a=group:BUNDLE 0',
        'm=audio 20000 UDP/TLS/RTP/SAVPF 0 126',
        'a=candidate:1 1 udp 2130706431 198.51.100.9 20000 typ host',
        'a=end-of-candidates',
        `a=fingerprint:sha-256 ${OUR_FINGERPRINT.value}`,
        'a=setup:passive',
        'a=mid:0',
        'a=rtcp-mux',
        'm=video 0 UDP/TLS/RTP/SAVPF 96',
        'a=mid:1',
      ]),
    );
    expect(ok.body).not.toMatch(/extmap|a=ssrc|a=crypto|rtcp-fb/);
    expect(header(ok, 'Recv-Info')).toBe('trickle-ice');
    const answer = audioIn(ok.body);
    const [toAlice, toBob] = streamsOf(flow);
    expect(toAlice).toMatchObject({
      rtcpMux: true,
      ice: {
        localUfrag: answer.ice?.ufrag,
        localPassword: answer.ice?.password,
        remoteUfrag: 'one1',
        remotePassword: 'one1'.padEnd(24, 'x'),
      },
      dtls: { role: 'passive', fingerprints: [{ hash: 'sha-256', value: fingerprint('AB') }] },
    });
    expect(toAlice).not.toHaveProperty('remote');
    expect(toAlice).not.toHaveProperty('sendKey');
    expect(toBob).not.toHaveProperty('ice');
    alice.acks(ok);
    connected(flow, toAlice!);
    hangUp(alice, bob);
    expect(flow.record.legs.map(({ srtp }) => srtp)).toEqual(['AEAD_AES_256_GCM', 'plain']);
  });

  for (const [name, body] of realOffers) {
    scene(`${name} offers`, browserAndPhone, ({ flow, alice, bob }) => {
      alice.invite('1002', { body });
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: ['0 PCMU/8000'] }) });
      const ok = alice.response(200);
      expect(ok.body).toMatch(/m=audio 20000 UDP\/TLS\/RTP\/SAVPF 0\r\n/);
      expect(streamsOf(flow)[0]?.ice?.remoteUfrag).toBe(/a=ice-ufrag:(\S+)/.exec(body)?.[1]);
      alice.acks(ok);
      hangUp(bob, alice);
    });
  }

  scene('early media and the answer say the same', browserAndPhone, ({ alice, bob }) => {
    alice.invite('1002', { body: browserSdp() });
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, { body: bob.sdp() });
    const early = alice.response(183);
    bob.answers(invite, 200, { body: bob.sdp() });
    const ok = alice.response(200);
    expect(ok.body).toBe(early.body);
    alice.acks(ok);
    hangUp(alice, bob);
  });

  scene(
    'a browser that would not listen for our ClientHello is answered as active',
    browserAndPhone,
    (it) => {
      const { flow, alice, bob } = it;
      alice.invite('1002', { body: browserSdp({ setup: 'passive', tlsId: 'abcdefghijklmnopqrstuvwx' }) });
      bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
      const ok = alice.response(200);
      expect(ok.body).toMatch(/a=setup:active\r\na=tls-id:[0-9a-z]{26}\r\n/);
      expect(streamsOf(flow)[0]?.dtls?.role).toBe('active');
      alice.acks(ok);
      hangUp(alice, bob);
    },
  );

  scene('media without a certificate cannot serve it: 488', browserAndPhone, ({ flow, alice, bob }) => {
    flow.withoutDtls = true;
    alice.invite('1002', { body: browserSdp() });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    bob.request('ACK');
    bob.answers(bob.request('BYE'), 200);
    alice.acks(alice.response(488));
    expect(flow.record.reason).toBe('dtls');
  });

  scene('a phone with DTLS and without ICE is sent to where it says', {}, ({ flow, alice, bob }) => {
    const extra = [`a=fingerprint:SHA-256 ${fingerprint('cd')}`, 'a=setup:actpass'];
    alice.calls('1002', { profile: 'UDP/TLS/RTP/SAVP', extra });
    bob.answers(bob.request('INVITE'), 200, { body: bob.sdp() });
    const ok = alice.response(200);
    expect(ok.body).toContain('UDP/TLS/RTP/SAVP 0 8 101\r\na=fingerprint:');
    expect(ok.body).not.toMatch(/ice|candidate/);
    expect(streamsOf(flow)[0]).toMatchObject({
      remote: { address: alice.address, port: 4000 },
      dtls: { role: 'passive', fingerprints: [{ hash: 'sha-256', value: fingerprint('CD') }] },
    });
    alice.acks(ok);
    hangUp(alice, bob);
  });
});

describe('a phone calls a browser', () => {
  scene('it is offered DTLS, ICE and the group', phoneAndBrowser, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    expect(header(invite, 'Supported')).toContain('trickle-ice');
    const lines = invite.body.split('\r\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'a=ice-lite',
        'a=group:BUNDLE 0',
        'm=audio 20002 UDP/TLS/RTP/SAVPF 0 8 101',
        'a=candidate:1 1 udp 2130706431 198.51.100.9 20002 typ host',
        'a=setup:actpass',
        'a=rtcp-mux',
        'a=mid:0',
      ]),
    );
    const offer = audioIn(invite.body);
    // Its checks may come before its answer does.
    expect(streamsOf(flow)[1]).toMatchObject({
      ice: { localUfrag: offer.ice?.ufrag, localPassword: offer.ice?.password },
      dtls: { role: 'passive', fingerprints: [] },
    });
    const codecs = ['0 PCMU/8000', '101 telephone-event/8000'];
    bob.answers(invite, 200, { body: browserSdp({ setup: 'active', codecs }) });
    alice.acks(alice.response(200));
    expect(streamsOf(flow)[1]).toMatchObject({
      ice: { localUfrag: offer.ice?.ufrag, remoteUfrag: 'one1' },
      dtls: { role: 'passive', fingerprints: [{ value: fingerprint('AB') }] },
    });
    hangUp(alice, bob);
    expect(flow.record.legs[1]?.srtp).toBe('DTLS');
  });

  scene('one that answers passive hears our ClientHello', phoneAndBrowser, ({ flow, alice, bob }) => {
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 200, { body: browserSdp({ setup: 'passive' }) });
    alice.acks(alice.response(200));
    expect(streamsOf(flow)[1]?.dtls?.role).toBe('active');
    hangUp(alice, bob);
  });

  for (const [what, answer] of [
    ['actpass', browserSdp()],
    ['no fingerprint', browserSdp({ setup: 'active' }).replace(/a=fingerprint.*\r\n/, '')],
    ['plain RTP', undefined],
  ] as const) {
    scene(`an answer with ${what} is none`, phoneAndBrowser, ({ alice, bob }) => {
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 200, { body: answer ?? bob.sdp() });
      bob.request('ACK');
      bob.answers(bob.request('BYE'), 200);
      alice.acks(alice.response(488));
    });
  }

  scene('what looks like a browser and is none is asked again with keys', phoneAndBrowser, (it) => {
    const { flow, alice, bob } = it;
    alice.calls('1002');
    bob.answers(bob.request('INVITE'), 488);
    const again = bob.request('INVITE');
    expect(again.body).toMatch(/m=audio \d+ RTP\/AVP /);
    bob.answers(again, 200, { body: bob.sdp() });
    alice.acks(alice.response(200));
    hangUp(alice, bob);
    expect(flow.record.legs[2]).toMatchObject({ srtp: 'plain' });
  });

  scene(
    'and a browser that does not look like one is asked again for DTLS',
    { people: { alice: { extension: '1001' }, bob: { extension: '1002', transport: 'wss' } } },
    ({ alice, bob }) => {
      alice.calls('1002');
      bob.answers(bob.request('INVITE'), 488);
      const again = bob.request('INVITE');
      expect(again.body).toContain('UDP/TLS/RTP/SAVPF');
      bob.answers(again, 200, { body: browserSdp({ setup: 'active' }) });
      alice.acks(alice.response(200));
      hangUp(alice, bob);
    },
  );

  scene(
    "a device's profile says that it is a browser, whatever its transport",
    { people: { alice: { extension: '1001' }, bob: { extension: '1002', profile: 'browser' } } },
    ({ alice, bob }) => {
      alice.calls('1002');
      const invite = bob.request('INVITE');
      expect(invite.body).toContain('UDP/TLS/RTP/SAVPF');
      bob.answers(invite, 486);
      alice.acks(alice.response(486));
    },
  );

  scene('without an offer the browser makes it, and the ACK answers', phoneAndBrowser, (it) => {
    const { flow, alice, bob } = it;
    alice.invite('1002');
    bob.answers(bob.request('INVITE'), 200, { body: browserSdp() });
    const ok = alice.response(200);
    expect(ok.body).toContain('RTP/AVP');
    alice.acks(ok, { body: alice.sdp({ codecs: ['0 PCMU/8000'] }) });
    const ack = bob.request('ACK');
    expect(audioIn(ack.body)).toMatchObject({ profile: 'UDP/TLS/RTP/SAVPF', dtls: { setup: 'passive' } });
    expect(streamsOf(flow)[1]).toMatchObject({ ice: { remoteUfrag: 'one1' }, dtls: { role: 'passive' } });
    hangUp(bob, alice);
  });
});

describe('two browsers', () => {
  scene('talk Opus, each under its own handshake', twoBrowsers, ({ flow, alice, bob }) => {
    alice.invite('1002', { body: browserSdp() });
    bob.answers(bob.request('INVITE'), 200, {
      body: browserSdp({ setup: 'active', certificate: 'EF', generation: 'two2' }),
    });
    const ok = alice.response(200);
    expect(ok.body).toContain('m=audio 20000 UDP/TLS/RTP/SAVPF 111 ');
    alice.acks(ok);
    const [toAlice, toBob] = streamsOf(flow);
    expect([toAlice?.ice?.remoteUfrag, toBob?.ice?.remoteUfrag]).toEqual(['one1', 'two2']);
    for (const stream of [toAlice!, toBob!]) connected(flow, stream);
    hangUp(alice, bob);
    expect(flow.record.legs.map(({ srtp }) => srtp)).toEqual(['AEAD_AES_256_GCM', 'AEAD_AES_256_GCM']);
  });

  scene('a caller without an offer is made one', twoBrowsers, ({ flow, alice, bob }) => {
    alice.invite('1002');
    bob.answers(bob.request('INVITE'), 200, { body: browserSdp() });
    const ok = alice.response(200);
    const offer = audioIn(ok.body);
    expect(offer).toMatchObject({ profile: 'UDP/TLS/RTP/SAVPF', dtls: { setup: 'actpass' } });
    expect(streamsOf(flow)[0]?.ice?.localUfrag).toBe(offer.ice?.ufrag);
    alice.acks(ok, { body: browserSdp({ setup: 'active', generation: 'two2' }) });
    expect(audioIn(bob.request('ACK').body).dtls?.setup).toBe('passive');
    expect(streamsOf(flow)[0]?.ice?.remoteUfrag).toBe('two2');
    hangUp(alice, bob);
  });
});

describe('within a call a browser', () => {
  const codecs = ['0 PCMU/8000', '126 telephone-event/8000'];

  scene('restarts ICE: answered with a new generation, the handshake stays', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    const before = establish(it);
    const heard = bob.heard.length;
    alice.asks('INVITE', { body: browserSdp({ generation: 'two2', version: 3, setup: 'actpass' }) });
    const ok = alice.response(200, 'INVITE');
    alice.acks(ok);
    const after = streamsOf(flow)[0]!;
    expect(after.ice).toMatchObject({ remoteUfrag: 'two2', localUfrag: audioIn(ok.body).ice?.ufrag });
    expect(after.ice?.localUfrag).not.toBe(before.ice?.localUfrag);
    expect(after.ice?.localPassword).not.toBe(before.ice?.localPassword);
    expect(after.dtls).toEqual(before.dtls);
    expect(bob.heard.length).toBe(heard);
    hangUp(alice, bob);
  });

  scene('refreshes its session: the same generation', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    const before = establish(it);
    alice.asks('INVITE', { body: browserSdp({ version: 3 }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(streamsOf(flow)[0]).toMatchObject({ ice: before.ice, dtls: before.dtls });
    hangUp(alice, bob);
  });

  scene('holds and resumes', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    const before = establish(it);
    for (const [said, answered] of [
      ['sendonly', 'recvonly'],
      ['sendrecv', 'sendrecv'],
    ] as const) {
      alice.asks('INVITE', { body: browserSdp({ direction: said, version: 3 }) });
      const reinvite = bob.request('INVITE');
      expect(reinvite.body).toContain(`a=${said}`);
      bob.answers(reinvite, 200, { body: bob.sdp({ direction: answered, version: 2 }) });
      const ok = alice.response(200, 'INVITE');
      expect(audioIn(ok.body)).toMatchObject({ direction: answered, dtls: { setup: 'passive' } });
      alice.acks(ok);
    }
    expect(streamsOf(flow)[0]).toMatchObject({ ice: before.ice, dtls: before.dtls, direction: 'sendrecv' });
    hangUp(alice, bob);
  });

  scene(
    'is held by the phone: offered what it knows, its refused line in its place',
    browserAndPhone,
    (it) => {
      const { flow, alice, bob } = it;
      const before = establish(it, { video: true });
      bob.asks('INVITE', { body: bob.sdp({ direction: 'sendonly', version: 2 }) });
      const reinvite = alice.request('INVITE');
      expect(reinvite.body).toContain('a=group:BUNDLE 0\r\n');
      expect(reinvite.body).toMatch(/m=video 0 UDP\/TLS\/RTP\/SAVPF 96\r\na=mid:1\r\n$/);
      expect(audioIn(reinvite.body)).toMatchObject({
        mid: '0',
        ice: { ufrag: before.ice?.localUfrag },
        dtls: { setup: 'actpass' },
        direction: 'sendonly',
      });
      alice.answers(reinvite, 200, {
        body: browserSdp({ setup: 'active', direction: 'recvonly', version: 3, codecs }),
      });
      bob.acks(bob.response(200, 'INVITE'));
      expect(streamsOf(flow)[0]).toMatchObject({ ice: before.ice, dtls: before.dtls, direction: 'sendonly' });
      hangUp(bob, alice);
    },
  );

  scene('comes back with another certificate: another handshake', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    establish(it);
    alice.asks('INVITE', { body: browserSdp({ certificate: 'EF', generation: 'two2', version: 3 }) });
    alice.acks(alice.response(200, 'INVITE'));
    expect(streamsOf(flow)[0]).toMatchObject({
      dtls: { role: 'passive', fingerprints: [{ value: fingerprint('EF') }] },
      ice: { remoteUfrag: 'two2' },
    });
    hangUp(alice, bob);
  });

  scene('cannot leave the handshake for keys in the clear, or for none', browserAndPhone, (it) => {
    const { alice, bob } = it;
    establish(it);
    const crypto = [`1 AES_CM_128_HMAC_SHA1_80 inline:${Buffer.alloc(30, 1).toString('base64')}`];
    for (const sdp of [alice.sdp({ version: 3 }), alice.sdp({ profile: 'RTP/SAVP', crypto, version: 3 })]) {
      alice.asks('INVITE', { body: sdp });
      alice.acks(alice.response(488));
    }
    hangUp(alice, bob);
  });

  scene('trickles candidates: taken, for nothing is needed of them', browserAndPhone, (it) => {
    const { alice, bob } = it;
    establish(it);
    const trickle = (body: string, contentType = 'application/trickle-ice-sdpfrag') =>
      alice.asks('INFO', { body, contentType, headers: [{ name: 'Info-Package', value: 'trickle-ice' }] });
    trickle(
      'a=ice-ufrag:one1\r\na=ice-pwd:one1xxxxxxxxxxxxxxxxxxxx\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n' +
        'a=candidate:1 1 UDP 1658497328 198.51.100.33 5000 typ host\r\na=end-of-candidates\r\n',
    );
    alice.response(200, 'INFO');
    trickle('no fragment at all');
    alice.response(400, 'INFO');
    trickle('{}', 'application/json');
    alice.response(415, 'INFO');
    hangUp(alice, bob);
  });

  scene('loses its stream: a new generation over a new port, offered to it', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    const before = establish(it);
    flow.loseMedia();
    const reinvite = alice.request('INVITE');
    const offer = audioIn(reinvite.body);
    expect(offer.ice?.ufrag).not.toBe(before.ice?.localUfrag);
    expect(offer.dtls).toMatchObject({ setup: 'actpass', fingerprints: [{ value: fingerprint('5B') }] });
    alice.answers(reinvite, 200, {
      body: browserSdp({ setup: 'active', generation: 'two2', version: 3, codecs }),
    });
    const stream = streamsOf(flow).at(-1)!;
    expect(stream).toMatchObject({
      ice: { localUfrag: offer.ice?.ufrag, remoteUfrag: 'two2' },
      dtls: { role: 'passive', association: 1, fingerprints: [{ value: fingerprint('AB') }] },
    });
    hangUp(alice, bob);
  });

  function establish({ flow, alice, bob }: Scene, options: { readonly video?: boolean } = {}): StreamSpec {
    alice.invite('1002', { body: browserSdp({ ...options, codecs }) });
    bob.answers(bob.request('INVITE'), 200, {
      body: bob.sdp({ codecs: ['0 PCMU/8000', '101 telephone-event/8000'] }),
    });
    bob.request('ACK');
    alice.acks(alice.response(200));
    const [stream] = streamsOf(flow);
    connected(flow, stream!);
    return stream!;
  }
});

describe('a handshake fails', () => {
  const fails = (flow: CallFlow, at: number) =>
    flow.feed({
      type: 'media-event',
      event: {
        type: 'transport',
        stream: streamsOf(flow)[at]!.id,
        state: 'failed',
        problem: 'the certificate has another fingerprint',
      },
    });

  scene('in an answered call: a new one is offered, under another certificate', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    answered(it);
    fails(flow, 0);
    const reinvite = alice.request('INVITE');
    const offer = audioIn(reinvite.body);
    expect(offer.dtls).toMatchObject({ setup: 'actpass', fingerprints: [{ value: fingerprint('5B') }] });
    alice.answers(reinvite, 200, {
      body: browserSdp({ setup: 'active', generation: 'two2', version: 3, codecs: ['0 PCMU/8000'] }),
    });
    expect(streamsOf(flow)[0]).toMatchObject({
      ice: { localUfrag: offer.ice?.ufrag, remoteUfrag: 'two2' },
      dtls: { role: 'passive', association: 1, fingerprints: [{ value: fingerprint('AB') }] },
    });
    connected(flow, streamsOf(flow)[0]!);
    hangUp(alice, bob);
    expect(flow.record.legs[0]?.srtp).toBe('AEAD_AES_256_GCM');
  });

  scene('again and again: the call ends, and the record says why', browserAndPhone, (it) => {
    const { flow, alice, bob } = it;
    answered(it);
    for (const generation of ['two2', 'tri3']) {
      fails(flow, 0);
      alice.answers(alice.request('INVITE'), 200, {
        body: browserSdp({ setup: 'active', generation, version: 3, codecs: ['0 PCMU/8000'] }),
      });
    }
    fails(flow, 0);
    const bye = bob.request('BYE');
    expect(header(bye, 'Reason')).toBe('SIP;cause=503;text="media transport failed"');
    bob.answers(bye, 200);
    alice.answers(alice.request('BYE'), 200);
    expect(flow.record).toMatchObject({
      outcome: 'answered',
      endedBy: 'system',
      reason: 'its media transport failed: the certificate has another fingerpr',
    });
    expect(flow.record.legs[0]?.srtp).toBe('DTLS');
  });

  scene('of a browser with early media: that device is out', phoneAndBrowser, ({ flow, alice, bob }) => {
    alice.calls('1002');
    const invite = bob.request('INVITE');
    bob.answers(invite, 183, { body: browserSdp({ setup: 'active' }) });
    fails(flow, 1);
    bob.answers(bob.request('CANCEL'), 200);
    bob.answers(invite, 487);
    alice.acks(alice.response(503));
    expect(flow.record.status).toBe(503);
  });
});

function answered({ alice, bob }: Scene): void {
  alice.invite('1002', { body: browserSdp() });
  bob.answers(bob.request('INVITE'), 200, { body: bob.sdp({ codecs: ['0 PCMU/8000'] }) });
  bob.request('ACK');
  alice.acks(alice.response(200));
}

function connected(flow: CallFlow, { id }: StreamSpec): void {
  flow.feed({
    type: 'media-event',
    event: { type: 'transport', stream: id, state: 'connected', suite: 'AEAD_AES_256_GCM' },
  });
}
