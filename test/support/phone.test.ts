import dgram from 'node:dgram';
import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom, VirtualClock } from '../../src/base/index.ts';
import {
  createResponse,
  cseqOf,
  header,
  headerValues,
  parseMessage,
  requestInDialog,
  type SipMessage,
  type SipRequest,
  serialize,
  tagOf,
  toBytes,
  toOf,
} from '../../src/sip/index.ts';
import { Phone, type PhoneOptions } from './phone.ts';
import { Seen, tellMessage } from './phone-seen.ts';

/** RFC 3261's times by a tenth, so that what is lost comes again soon. */
const times = { t1Ms: 50, t2Ms: 400, t4Ms: 500, timerDMs: 3200 };
const open: { close(): Promise<void> }[] = [];

async function phone(user: string, options: Partial<PhoneOptions> = {}): Promise<Phone> {
  const made = await Phone.open({ user, domain: 'example.com', times, ...options });
  open.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const is = (method: string) => (message: SipMessage) =>
  message.kind === 'request' && message.method === method;
const says = (status: number, method: string) => (message: SipMessage) =>
  message.kind === 'response' && message.status === status && cseqOf(message)?.method === method;

describe('two phones without a server', () => {
  test('ann calls bob, bob rings and answers, they hang up', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob', { answer: { mode: 'manual' } })];
    const call = await ann.call(bob.uri());
    await call.ringing(180);
    const incoming = await bob.incoming();
    incoming.answer();
    await call.answered();
    await incoming.acknowledged();
    expect(call.leg?.dialog).toMatchObject({ state: 'confirmed', remoteTag: incoming.leg?.dialog.localTag });
    await call.bye();
    expect(await incoming.ended()).toMatchObject({ by: 'peer', how: 'bye' });
    expect(await call.ended()).toMatchObject({ by: 'us', how: 'bye', status: 200 });
    expect([ann.activeCalls, bob.activeCalls]).toEqual([[], []]);
    expect(call.media?.stats()).toMatchObject({ closed: true });
  });

  test('bob hangs up', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob')];
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    await incoming.bye();
    expect(await call.ended()).toMatchObject({ by: 'peer', how: 'bye' });
  });

  test.each([
    [{ mode: 'busy' }, 486],
    [{ mode: 'decline' }, 603],
    [{ mode: 'status', status: 404 }, 404],
  ] as const)('bob says %j', async (answer, status) => {
    const [ann, bob] = [await phone('ann'), await phone('bob', { answer })];
    const call = await ann.call(bob.uri());
    expect(await call.ended()).toMatchObject({ by: 'peer', how: 'failed', status });
    await bob.message(is('ACK'), { what: 'the ACK for the failure' });
  });

  test('ann gives up while it rings', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob', { answer: { mode: 'manual' } })];
    const call = await ann.call(bob.uri());
    await call.ringing();
    call.cancel();
    expect(await call.ended()).toMatchObject({ by: 'us', how: 'cancel', status: 487 });
    expect(await (await bob.incoming()).ended()).toMatchObject({ by: 'peer', how: 'cancel', status: 487 });
    await ann.message(says(200, 'CANCEL'));
  });

  test('a CANCEL wanted before anything came waits for the 100 (§9.1)', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob', { answer: { mode: 'silent' } })];
    const call = await ann.call(bob.uri());
    call.cancel();
    expect(await call.ended()).toMatchObject({ by: 'us', how: 'cancel' });
    const methods = bob.received.items.map(({ message }) => (message as SipRequest).method);
    expect(methods.slice(0, 2)).toEqual(['INVITE', 'CANCEL']);
  });

  test('hold and resume, by either side', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob')];
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    expect((await call.hold()).status).toBe(200);
    await incoming.event('hold', ({ type }) => type === 'held-by-peer');
    const answer = await ann.message(
      (message) => says(200, 'INVITE')(message) && message.body.includes('a=recvonly'),
    );
    expect(answer.body).toContain('a=recvonly');
    // Both hold: nobody sends.
    expect((await incoming.hold()).body).toContain('a=inactive');
    expect((await incoming.resume()).body).toContain('a=sendonly');
    expect((await call.resume()).body).toContain('a=sendrecv');
    await incoming.event('resume', ({ type }) => type === 'resumed-by-peer');
    expect(incoming.heldByPeer).toBe(false);
    await call.bye();
  });

  test('both re-INVITE at once: 491 to one or both, then both succeed (§14.1)', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob')];
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    const [first, second] = await Promise.all([call.hold(), incoming.hold()]);
    expect([first.status, second.status]).toEqual([200, 200]);
    const glares = ann.count(says(491, 'INVITE')) + bob.count(says(491, 'INVITE'));
    expect(glares).toBeGreaterThanOrEqual(1);
  });

  test('late offer: the INVITE has no SDP, the 200 offers, the ACK answers', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob')];
    const call = await ann.call(bob.uri(), { offer: 'none' });
    await call.answered();
    const invite = await bob.message(is('INVITE'));
    const ok = await ann.message(says(200, 'INVITE'));
    const ack = await bob.message(is('ACK'));
    expect([invite.body, ok.body.includes('m=audio'), ack.body.includes('m=audio')]).toEqual([
      '',
      true,
      true,
    ]);
    const remote = (media: unknown) => (media as { remote: { port: number } }).remote.port;
    const port = (media: unknown) => (media as { port: number }).port;
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    expect(remote(incoming.media?.stats())).toBe(port(call.media?.stats()));
    expect(remote(call.media?.stats())).toBe(port(incoming.media?.stats()));
    // And within the call.
    expect((await call.reinvite({ late: true })).status).toBe(200);
  });

  test('early media reliably: 183 with SDP, PRACK, then the answer (RFC 3262)', async () => {
    const ann = await phone('ann', { reliable: 'supported' });
    const bob = await phone('bob', { reliable: 'supported', answer: { mode: 'early-media', afterMs: 20 } });
    const call = await ann.call(bob.uri());
    await call.ringing(183);
    const progress = await ann.message(says(183, 'INVITE'));
    expect(header(progress, 'Require')).toBe('100rel');
    const prack = await bob.message(is('PRACK'));
    expect(header(prack, 'RAck')).toBe(`${header(progress, 'RSeq')} 1 INVITE`);
    await ann.message(says(200, 'PRACK'));
    await call.answered();
    await call.bye();
  });

  test('late offer in a reliable 183: the PRACK answers', async () => {
    const ann = await phone('ann', { reliable: 'required' });
    const bob = await phone('bob', { reliable: 'supported', answer: { mode: 'early-media', afterMs: 0 } });
    const call = await ann.call(bob.uri(), { offer: 'none' });
    await call.answered();
    expect((await bob.message(is('PRACK'))).body).toContain('m=audio');
    await (await bob.incoming()).acknowledged();
    expect((await bob.message(is('ACK'))).body).toBe('');
  });

  test('who demands 100rel of a phone without it gets 420', async () => {
    const [ann, bob] = [await phone('ann', { reliable: 'required' }), await phone('bob')];
    expect(await (await ann.call(bob.uri())).ended()).toMatchObject({ status: 420 });
    expect(headerValues(await ann.message(says(420, 'INVITE')), 'Unsupported')).toEqual(['100rel']);
  });

  test('UPDATE with and without an offer, INFO digits, OPTIONS', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob')];
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    expect((await call.update()).body).toBe('');
    expect((await incoming.update({ offer: true })).body).toContain('m=audio');
    expect((await call.info('7')).status).toBe(200);
    await incoming.event('a digit', ({ type }) => type === 'dtmf');
    expect(incoming.digits).toEqual(['7']);
    expect((await call.request({ method: 'OPTIONS' })).status).toBe(200);
    expect((await call.request({ method: 'NONSENSE' })).status).toBe(501);
  });

  test('an SDP that does not fit is refused with 488', async () => {
    const ann = await phone('ann', {
      media: async () => ({
        offer: () =>
          'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 99\r\n',
        answer: () => '',
        apply() {},
        hold() {},
        close() {},
        stats: () => ({}),
      }),
    });
    const bob = await phone('bob');
    expect(await (await ann.call(bob.uri())).ended()).toMatchObject({ status: 488 });
  });

  test('the same INVITE by two ways is merged: 482', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob', { answer: { mode: 'manual' } })];
    const call = await ann.call(bob.uri());
    await call.ringing();
    const again: SipRequest = {
      ...call.invite,
      headers: call.invite.headers.map((entry) =>
        entry.name === 'Via' ? { name: 'Via', value: ann.via(flowOf(ann)) } : entry,
      ),
    };
    expect((await ann.send(again)).status).toBe(482);
  });

  test('a wait that is in vain says what was awaited and what came', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob', { answer: { mode: 'manual' } })];
    const call = await ann.call(bob.uri());
    await call.ringing();
    await expect(call.answered(50)).rejects.toThrow(
      /ann's call waited 50 ms for an answer, and saw[\s\S]*\* 180[\s\S]*100 Trying \(1 INVITE\)[\s\S]*180 Ringing \(1 INVITE\)/,
    );
    await expect(ann.incoming(20)).rejects.toThrow(/ann waited 20 ms for an incoming call/);
    await expect(ann.message(is('BYE'), { what: 'a BYE', waitMs: 20 })).rejects.toThrow(/for a BYE, and saw/);
  });
});

/** A peer that says what the test makes it say, over a bare socket. */
async function scripted(): Promise<{ uri: string; heard: Seen<SipRequest>; say(text: string): void }> {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()));
  const heard = new Seen<SipRequest>('the peer', tellMessage);
  let from: dgram.RemoteInfo | undefined;
  socket.on('message', (bytes, sender) => {
    from = sender;
    const parsed = parseMessage(bytes);
    if (parsed.ok && parsed.message.kind === 'request') heard.add(parsed.message);
  });
  open.push({ close: () => new Promise((resolve) => socket.close(() => resolve())) });
  return {
    uri: `sip:peer@127.0.0.1:${socket.address().port}`,
    heard,
    say: (text) => socket.send(toBytes(text), from!.port, from!.address),
  };
}

describe('with a peer that is scripted', () => {
  const sdp =
    'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';
  const answer = (request: SipRequest, status: number, toTag: string, contact: string): string =>
    serialize(
      createResponse(request, status, {
        toTag,
        headers: { Contact: `<${contact}>`, ...(status === 200 && { 'Content-Type': 'application/sdp' }) },
        body: status === 200 ? sdp : '',
      }),
    );
  const heardOf = (peer: { heard: Seen<SipRequest> }, method: string, toTag?: string): Promise<SipRequest> =>
    peer.heard.first(
      `${method} to ${toTag ?? 'anyone'}`,
      (request) => request.method === method && (toTag === undefined || tagOf(toOf(request)) === toTag),
      { waitMs: 5000 },
    );

  test('two forks answer: the first has the call, the second is thanked and hung up (§13.2.2.4)', async () => {
    const [ann, peer] = [await phone('ann'), await scripted()];
    const call = await ann.call(peer.uri);
    const invite = await heardOf(peer, 'INVITE');
    for (const tag of ['fork1', 'fork2']) peer.say(answer(invite, 180, tag, peer.uri));
    for (const tag of ['fork2', 'fork1', 'fork2']) peer.say(answer(invite, 200, tag, peer.uri));
    await call.answered();
    expect(call.leg?.dialog.remoteTag).toBe('fork2');
    await heardOf(peer, 'ACK', 'fork1');
    await heardOf(peer, 'BYE', 'fork1');
    await heardOf(peer, 'ACK', 'fork2');
    expect(call.end).toBeUndefined();
    expect(peer.heard.items.some((one) => one.method === 'BYE' && tagOf(toOf(one)) === 'fork2')).toBe(false);
  });

  test('the 200 crosses the CANCEL: acknowledged, then BYE (§9.1)', async () => {
    const [ann, peer] = [await phone('ann'), await scripted()];
    const call = await ann.call(peer.uri);
    const invite = await heardOf(peer, 'INVITE');
    peer.say(answer(invite, 180, 'late', peer.uri));
    await call.ringing();
    call.cancel();
    const cancel = await heardOf(peer, 'CANCEL');
    expect(header(cancel, 'Via')).toBe(header(invite, 'Via'));
    peer.say(answer(invite, 200, 'late', peer.uri));
    await heardOf(peer, 'ACK', 'late');
    const bye = await heardOf(peer, 'BYE', 'late');
    peer.say(serialize(createResponse(bye, 200)));
    expect(await call.ended()).toMatchObject({ by: 'us', how: 'bye' });
  });

  test('the proxies on the way see the ACK and the BYE (§12.2.1.1)', async () => {
    const [ann, peer] = [await phone('ann'), await scripted()];
    const call = await ann.call(peer.uri);
    const invite = await heardOf(peer, 'INVITE');
    const routed = `Record-Route: <${peer.uri};lr>\r\nRecord-Route: <sip:inner.example.com;lr>\r\n`;
    const ok = answer(invite, 200, 'far', 'sip:far@192.0.2.9');
    peer.say(ok.replace('Contact:', `${routed}Contact:`));
    await call.answered();
    const ack = await heardOf(peer, 'ACK');
    expect(ack.uri).toBe('sip:far@192.0.2.9');
    expect(headerValues(ack, 'Route')).toEqual(['<sip:inner.example.com;lr>', `<${peer.uri};lr>`]);
  });

  test('a request from long ago is out of order: 500 (§12.2.2)', async () => {
    const [ann, bob] = [await phone('ann'), await phone('bob')];
    const call = await ann.call(bob.uri());
    await call.answered();
    await (await bob.incoming()).acknowledged();
    const leg = call.leg!;
    const old = { ...leg.dialog, localCseq: -1 };
    const { request } = requestInDialog(old, { method: 'INFO', via: ann.via(leg.flow) });
    expect((await ann.send(request, leg.flow)).status).toBe(500);
  });
});

/** The flow of the only peer. */
function flowOf(of: Phone) {
  const [first] = of.activeCalls;
  return first!.leg!.flow;
}

describe('over a network that loses', () => {
  /** Drops and duplicates by chance, the same chance for the same seed. */
  function lossy(seed: number, lostPercent: number, doubledPercent: number) {
    const random = seededRandom(seed);
    const counts = { dropped: 0, doubled: 0 };
    return {
      counts,
      filter: (): number => {
        const fate = random.bytes(1)[0]! * (100 / 256);
        if (fate < lostPercent) {
          counts.dropped++;
          return 0;
        }
        if (fate < lostPercent + doubledPercent) {
          counts.doubled++;
          return 2;
        }
        return 1;
      },
    };
  }

  // An INVITE has 7 tries: at a tenth lost each way one in 100,000 fails by chance.
  test.each([1, 2, 3, 4])(
    'calls get through with a tenth lost and a quarter doubled (seed %i)',
    async (seed) => {
      const network = lossy(seed, 10, 25);
      const ann = await phone('ann', { filter: network.filter, reliable: 'supported' });
      const bob = await phone('bob', {
        filter: network.filter,
        reliable: 'supported',
        answer: { mode: 'early-media', afterMs: 50 },
      });
      for (let round = 0; round < 3; round++) {
        const call = await ann.call(bob.uri());
        await call.answered();
        const incoming = await bob.incoming();
        await incoming.acknowledged();
        expect((await call.hold()).status).toBe(200);
        expect((await call.resume()).status).toBe(200);
        expect((await incoming.info('5')).status).toBe(200);
        await call.bye();
        expect(await incoming.ended()).toMatchObject({ by: 'peer', how: 'bye' });
        // However often a message came, it was acted upon once.
        expect(call.digits).toEqual(['5']);
        expect(incoming.events.items.filter(({ type }) => type === 'updated')).toHaveLength(2);
        expect(incoming.events.items.filter(({ type }) => type === 'answered')).toHaveLength(1);
      }
      expect(bob.calls.items).toHaveLength(3);
      expect(network.counts.dropped).toBeGreaterThan(0);
      expect(network.counts.doubled).toBeGreaterThan(0);
    },
  );

  test('the ACK is lost for ever: bob repeats his 200 and hangs up after 64 × T1', async () => {
    const fast = { t1Ms: 10, t2Ms: 80, t4Ms: 100, timerDMs: 640 };
    const ann = await phone('ann', {
      times: fast,
      filter: (direction, text) => (direction === 'out' && text.startsWith('ACK') ? 0 : 1),
    });
    const bob = await phone('bob', { times: fast });
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    expect(await incoming.ended()).toMatchObject({ by: 'us', how: 'no-ack' });
    expect(await call.ended()).toMatchObject({ by: 'peer', how: 'bye' });
    // Eleven on an idle machine; one that is late sends fewer, not later.
    expect(ann.count(says(200, 'INVITE'))).toBeGreaterThanOrEqual(3);
  });

  test('nobody is there: the call fails with 408 after 64 × T1', async () => {
    const fast = { t1Ms: 5, t2Ms: 40, t4Ms: 50, timerDMs: 320 };
    const ann = await phone('ann', { times: fast, filter: (direction) => (direction === 'out' ? 0 : 1) });
    const call = await ann.call('sip:nobody@127.0.0.1:9');
    expect(await call.ended()).toMatchObject({ by: 'us', how: 'failed', status: 408 });
  });
});

describe('session timers (RFC 4028), on virtual time', () => {
  const policy = { intervalSec: 90, minSec: 90 };

  test('who refreshes does so at half the interval, by UPDATE', async () => {
    const [annClock, bobClock] = [new VirtualClock(), new VirtualClock()];
    const ann = await phone('ann', { sessionTimer: policy, clock: annClock });
    const bob = await phone('bob', { sessionTimer: policy, clock: bobClock });
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    expect(header(await ann.message(says(200, 'INVITE')), 'Session-Expires')).toBe('90;refresher=uac');
    annClock.advance(45_000);
    await call.event('the refresh', ({ type }) => type === 'refreshed');
    await bob.message(is('UPDATE'));
    // The peer's timer began anew too: without the refresh it would end at 60 s.
    bobClock.advance(59_000);
    annClock.advance(45_000);
    await bob.message(is('UPDATE'), { from: bob.received.next - 1 });
    expect([call.end, incoming.end]).toEqual([undefined, undefined]);
  });

  test('who waits in vain for the refresh says BYE', async () => {
    const bobClock = new VirtualClock();
    const ann = await phone('ann', { sessionTimer: policy, clock: new VirtualClock() });
    const bob = await phone('bob', { sessionTimer: policy, clock: bobClock });
    const call = await ann.call(bob.uri());
    await call.answered();
    const incoming = await bob.incoming();
    await incoming.acknowledged();
    bobClock.advance(60_000);
    expect(await incoming.ended()).toMatchObject({ by: 'us', how: 'session-expired' });
    expect(await call.ended()).toMatchObject({ by: 'peer', how: 'bye' });
  });

  test('422 makes the caller ask again for more', async () => {
    const ann = await phone('ann', { sessionTimer: policy });
    const bob = await phone('bob', { sessionTimer: { intervalSec: 1800, minSec: 300 } });
    const call = await ann.call(bob.uri());
    expect(header(await ann.message(says(422, 'INVITE')), 'Min-SE')).toBe('300');
    await call.answered();
    expect(header(call.invite, 'Session-Expires')).toBe('300');
    expect(header(call.invite, 'Min-SE')).toBe('300');
    expect(header(call.invite, 'CSeq')).toBe('2 INVITE');
  });
});
