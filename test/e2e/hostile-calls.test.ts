import { createSocket } from 'node:dgram';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/index.ts';
import { cseqOf, parseMessage, type SipRequest, type SipResponse, serialize } from '../../src/sip/index.ts';
import { callRecords } from '../support/call-records.ts';
import { request } from '../support/hostile-client.ts';
import { Installation } from '../support/installation.ts';
import { Phone } from '../support/phone.ts';
import {
  audioOf,
  callAndTalk,
  hearEachOther,
  registeredPhone,
  type UserPhoneOptions,
} from '../support/talk.ts';
import { listen } from '../support/undisturbed.ts';

const DOMAIN = 'demo.twinline.test';
const CRLF = '\r\n';

describe('whoever asks for what he may not have', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start();
  });
  afterAll(() => twinline?.stop());

  const phones: Phone[] = [];
  afterEach(async () => {
    // Otherwise the next test's calls would ring at phones that are no more.
    for (const phone of phones.splice(0)) {
      await phone.unregister();
      await phone.close();
    }
  });
  async function registered(user: string, options: UserPhoneOptions = {}): Promise<Phone> {
    const phone = await registeredPhone(twinline, user, options);
    phones.push(phone);
    return phone;
  }

  const phoneAt = (bind: string, user: string, password?: string): Promise<Phone> =>
    Phone.open({
      user,
      domain: DOMAIN,
      bind,
      servers: [{ address: '127.0.0.1', port: twinline.port('udp') }],
      ...(password === undefined ? {} : { password }),
    });

  const toRequest = (text: string): SipRequest => {
    const parsed = parseMessage(Buffer.from(text, 'latin1'));
    if (!parsed.ok || parsed.message.kind !== 'request') throw new Error(`unreadable: ${text}`);
    return parsed.message;
  };

  /** Sends a request of the test's own making, and once more with the phone's credentials where they are asked for. */
  async function ask(phone: Phone, text: string): Promise<SipResponse> {
    const flow = await phone.flowFor('');
    const first = toRequest(text.replace(/^Via:.*$/m, `Via: ${phone.via(flow)}`));
    const challenge = await phone.send(first, flow);
    const again = phone.authorize(first, challenge, flow, (cseqOf(first)?.seq ?? 0) + 1);
    return again === undefined ? challenge : phone.send(again, flow);
  }

  describe('without the password', () => {
    it('ten wrong ones lock that source for that name, and nobody else', async () => {
      await using thief = await phoneAt('127.0.0.21', '1007', 'wrong');
      const heard: number[] = [];
      for (let attempt = 0; attempt < 12; attempt++) heard.push((await thief.tryRegister())[0]!.status);
      expect(heard.slice(0, 9)).toEqual(Array.from({ length: 9 }, () => 401));
      expect(heard.slice(10)).toEqual([403, 403]);
      // The right one comes too late, from there; the same thief may try another name, as he may try any.
      await using sameSource = await phoneAt('127.0.0.21', '1007', 'demo-1007');
      expect((await sameSource.tryRegister())[0]!.status).toBe(403);
      await using otherName = await phoneAt('127.0.0.21', '1008', 'demo-1008');
      expect((await otherName.tryRegister())[0]!.status).toBe(200);
      // And whoever has that name, elsewhere, notices nothing.
      await using owner = await phoneAt('127.0.0.22', '1007', 'demo-1007');
      expect((await owner.tryRegister())[0]!.status).toBe(200);
    });

    it('a name that nobody has is answered as one that somebody has, byte by byte', async () => {
      const spoken = async (user: string): Promise<string[]> => {
        await using phone = await phoneAt('127.0.0.23', user, 'wrong');
        const own = { from: `sip:${user}@${DOMAIN}`, callId: `alike-${user}` };
        await ask(
          phone,
          request('REGISTER', { uri: `sip:${DOMAIN}`, to: `<sip:${user}@${DOMAIN}>`, ...own }),
        );
        await ask(phone, request('INVITE', { uri: `sip:1001@${DOMAIN}`, ...own }));
        for (let attempt = 0; attempt < 11; attempt++) await phone.tryRegister();
        return phone.received.items.map(({ message }) =>
          serialize(message)
            .replaceAll(user, 'USER')
            .replace(/(nonce=)"[^"]*"/g, '$1"…"')
            .replace(/(;tag=)[\w.-]+/g, '$1…')
            .replace(/(;branch=)[\w.-]+/g, '$1…')
            .replace(/(;rport=)\d+/g, '$1…')
            .replace(/(127\.0\.0\.23):\d+/g, '$1:…')
            .replace(/^(Call-ID:).*$/gm, '$1 …'),
        );
      };
      const known = await spoken('1006');
      const unknown = await spoken('7766');
      expect(known.length).toBeGreaterThan(15);
      expect(unknown).toEqual(known);
    });

    it('who has no password does not learn which numbers there are', async () => {
      await using stranger = await phoneAt('127.0.0.24', '1009');
      const invite = (dialled: string) =>
        ask(stranger, request('INVITE', { uri: `sip:${dialled}@${DOMAIN}`, from: `sip:1009@${DOMAIN}` }));
      expect((await invite('1002')).status).toBe(407);
      expect((await invite('1999')).status).toBe(407);
    });
  });

  describe('with the password', () => {
    it('404 for a number that nobody has, 480 for who has no phone', async () => {
      const ada = await registered('1001');
      expect(await (await ada.call('1999')).ended()).toMatchObject({ how: 'failed', status: 404 });
      expect(await (await ada.call('no%20body')).ended()).toMatchObject({ how: 'failed', status: 404 });
      expect(await (await ada.call('1010')).ended()).toMatchObject({ how: 'failed' });
    });

    const sdp = (...lines: string[]): string =>
      ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', ...lines, ''].join(CRLF);
    it.each([
      [
        'keypad tones and no voice',
        sdp('m=audio 4000 RTP/AVP 101', 'a=rtpmap:101 telephone-event/8000'),
        488,
      ],
      ['a codec without a name', sdp('m=audio 4000 RTP/AVP 97'), 488],
      ['no audio at all', sdp('m=video 4000 RTP/AVP 98', 'a=rtpmap:98 H264/90000'), 488],
      ['a transport that nobody has', sdp('m=audio 4000 UDP/PIGEON 0'), 488],
      ['nothing that is SDP', 'this is not SDP', 488],
      [
        'a thousand codecs',
        sdp(`m=audio 4000 RTP/AVP ${Array.from({ length: 1000 }, () => 97).join(' ')}`),
        488,
      ],
    ])('an offer with %s is refused, and the callee is not disturbed', async (_, body, status) => {
      const ada = await registered('1001');
      const charles = await registered('1002');
      const refused = await ask(
        ada,
        request('INVITE', {
          uri: `sip:1002@${DOMAIN}`,
          from: `sip:1001@${DOMAIN}`,
          headers: ['Content-Type: application/sdp'],
          body,
        }),
      );
      expect(refused.status).toBe(status);
      expect(charles.calls.items).toHaveLength(0);
    });

    it('a codec that the callee does not have: 488, as its phone says', async () => {
      const ada = await registered('1001');
      const charles = await registered('1002');
      const refused = await ask(
        ada,
        request('INVITE', {
          uri: `sip:1002@${DOMAIN}`,
          from: `sip:1001@${DOMAIN}`,
          headers: ['Content-Type: application/sdp'],
          body: sdp('m=audio 4000 RTP/AVP 97', 'a=rtpmap:97 X-WHISPER/8000'),
        }),
      );
      expect(refused.status).toBe(488);
      // Asked twice at most: a phone that refuses keys beside plain RTP is asked once more.
      expect([1, 2]).toContain(charles.calls.items.length);
    });

    it('a request that has gone too far is told so', async () => {
      const ada = await registered('1001');
      const far = request('INVITE', {
        uri: `sip:1002@${DOMAIN}`,
        from: `sip:1001@${DOMAIN}`,
        maxForwards: 0,
      });
      expect((await ask(ada, far)).status).toBe(483);
    });

    it('the same INVITE by two ways is 482, what we sent and get back begins nothing; the call goes on', async () => {
      const ada = await registered('1001');
      const charles = await registered('1002', { answer: { mode: 'manual' } });
      const caller = await ada.call('1002');
      const callee = await charles.incoming();
      await caller.ringing();
      const flow = await charles.flowFor('');

      // Charles' phone is a proxy that thinks that we have 1002: our own INVITE comes back, one hop older.
      const ours = serialize(callee.invite);
      const back =
        `${ours.slice(0, ours.indexOf(CRLF) + 2)}Via: ${charles.via(flow)}${CRLF}${ours.slice(ours.indexOf(CRLF) + 2)}`
          .replace(/^INVITE \S+/, `INVITE sip:1002@${DOMAIN}`)
          .replace(/^Max-Forwards: .*$/m, 'Max-Forwards: 60');
      // Another switch than the call's may get it: there it is a stranger's.
      expect([407, 482]).toContain((await charles.send(toRequest(back), flow)).status);

      // A proxy between Ada and us forks, and both copies reach us.
      const merged = serialize(caller.invite).replace(/;branch=[^;\r]+/, ';branch=z9hG4bK-another-way');
      expect((await ada.send(toRequest(merged), await ada.flowFor(''))).status).toBe(482);

      callee.answer();
      await caller.answered();
      await hearEachOther({ caller, callee });
      expect(charles.calls.items).toHaveLength(1);
      await caller.bye();
    });
  });

  describe('in the middle of a call', () => {
    it('who knows the dialog but stands elsewhere can neither end, hold nor answer it', async () => {
      const ada = await registered('1001');
      const charles = await registered('1002');
      const talk = await callAndTalk(ada, charles);
      const unheard = listen([talk]);
      await using thief = await phoneAt('127.0.0.31', '1003', 'demo-1003');
      for (const call of [talk.caller, talk.callee]) {
        const { dialog } = call.leg!;
        for (const method of ['BYE', 'INFO', 'UPDATE', 'INVITE', 'CANCEL'] as const) {
          const forged = request(method, {
            uri: dialog.remoteTarget,
            callId: dialog.callId,
            from: uriOf(dialog.localAddress),
            fromTag: dialog.localTag,
            to: `${dialog.remoteAddress};tag=${dialog.remoteTag}`,
            cseq: 900,
          });
          const { status } = await ask(thief, forged);
          expect(status, `${method} from elsewhere`).toBeGreaterThanOrEqual(400);
        }
        const flow = await thief.flowFor('');
        flow.send(
          request('ACK', {
            uri: dialog.remoteTarget,
            callId: dialog.callId,
            fromTag: dialog.localTag,
            to: `${dialog.remoteAddress};tag=${dialog.remoteTag}`,
          }),
        );
      }
      await unheard();
      expect([talk.caller.end, talk.callee.end]).toEqual([undefined, undefined]);
      expect((await talk.caller.hold()).status).toBe(200);
      expect((await talk.caller.resume()).status).toBe(200);
      await talk.callee.bye();
      expect((await talk.caller.ended()).how).toBe('bye');
    });

    it.each([
      ['plain', []],
      ['secured', ['AEAD_AES_256_GCM']],
    ] as const)(
      'RTP, RTCP, STUN and noise from strangers to the ports of a %s call: nobody hears it',
      async (kind, srtp) => {
        const options = { srtp: [...srtp], transport: 'tls' } as const;
        const ada = await registered('1001', options);
        const charles = await registered('1002', options);
        const talk = await callAndTalk(ada, charles);
        const unheard = listen([talk]);
        const remotes = [talk.caller, talk.callee].map((call) => audioOf(call).stats().remote!);
        const ssrc = audioOf(talk.caller).stats().ssrcs[0] ?? 0;
        const socket = createSocket('udp4');
        await new Promise<void>((bound) => socket.bind(0, '127.0.0.32', bound));
        let came = 0;
        socket.on('message', () => came++);
        const random = seededRandom(5);
        for (let at = 0; at < 2_000; at++) {
          const packet =
            at % 4 === 0
              ? rtp(at, ssrc)
              : at % 4 === 1
                ? rtp(at, at)
                : at % 4 === 2
                  ? STUN
                  : noise(random.bytes(1 + (at % 300)));
          for (const { address, port, rtcpPort } of remotes) {
            socket.send(packet, port, address);
            socket.send(at % 2 === 0 ? RTCP_BYE(ssrc) : packet, rtcpPort, address);
          }
          if (at % 20 === 19) await hearEachOther(talk, 1);
        }
        await hearEachOther(talk, 20);
        await unheard();
        expect(came).toBe(0);
        socket.close();
        await talk.caller.bye();
        await talk.callee.ended();
        const refused = await refusedPackets();
        console.log(
          `strangers' packets to a ${kind} call, as its record has them: ${JSON.stringify(refused)}`,
        );
        for (const leg of refused) {
          const sum = Object.values(leg).reduce((total, one) => total + one, 0);
          expect(sum).toBeGreaterThan(1_000);
        }
      },
    );
  });

  /** Of the call that ended last, per leg. */
  async function refusedPackets(): Promise<Record<string, number>[]> {
    let found: Record<string, number>[] = [];
    await expect
      .poll(
        () => {
          const last = callRecords(twinline).findLast(({ outcome }) => outcome === 'answered');
          found = (last?.legs ?? []).flatMap(({ media }) =>
            media === undefined ? [] : [media.packetsRefused],
          );
          return found.filter((refused) => Object.values(refused).some((one) => one > 0)).length;
        },
        { timeout: 10_000 },
      )
      .toBe(2);
    return found;
  }
});

const uriOf = (address: string): string => /<([^>]*)>/.exec(address)?.[1] ?? address;

function rtp(sequence: number, ssrc: number): Buffer {
  const packet = Buffer.alloc(172, 0x55);
  packet.writeUInt16BE(0x8000, 0);
  packet.writeUInt16BE(sequence & 0xffff, 2);
  packet.writeUInt32BE(sequence * 160, 4);
  packet.writeUInt32BE(ssrc >>> 0, 8);
  return packet;
}

/** A binding request (RFC 8489 §5). */
const STUN = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');

const RTCP_BYE = (ssrc: number): Buffer => {
  const packet = Buffer.from('80c900010000000081cb000100000000', 'hex');
  packet.writeUInt32BE(ssrc >>> 0, 4);
  packet.writeUInt32BE(ssrc >>> 0, 12);
  return packet;
};

const noise = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
