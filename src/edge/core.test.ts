import { describe, expect, test } from 'vitest';
import { bundle, EdgeBench, phoneFlow, request, response } from '../../test/support/edge-core.ts';
import { seededRandom } from '../base/index.ts';
import { CALL_INDEX_ACCOUNT, type Flow } from '../link/index.ts';
import type { EdgeCoreOptions } from './options.ts';

async function pair(options: ConstructorParameters<typeof EdgeBench>[0] = {}) {
  const bench = new EdgeBench(options);
  const switches = [
    bench.switch('a1', 'a'),
    bench.switch('a2', 'a'),
    bench.switch('b1', 'b'),
    bench.switch('b2', 'b'),
  ] as const;
  await bench.pass();
  return { bench, switches, a1: switches[0], a2: switches[1], b1: switches[2], b2: switches[3] };
}

const invite = (call: number, options = {}) =>
  request('INVITE', { callId: `call-${call}@phone`, ...options });

test('of 1,000 new calls each zone takes 500 and each switch 250, whatever else comes in between', async () => {
  const { bench, switches } = await pair({ limits: { unlimitedSources: ['192.0.2.10'] } });
  const random = seededRandom(42);
  for (let call = 0; call < 1_000; call++) {
    bench.receive(invite(call));
    for (let other = random.bytes(1)[0]! % 4; other > 0; other--) {
      bench.receive(request(other % 2 ? 'REGISTER' : 'OPTIONS', { callId: `other-${call}-${other}` }));
    }
    bench.receive(invite(call)); // a retransmission is no new call
    if (call % 50 === 0) await bench.pass(10);
  }
  await bench.pass(10);
  const invites = switches.map(
    ({ got }) => new Set(got.filter((one) => one.text.startsWith('INVITE')).map((one) => one.text)).size,
  );
  expect(invites).toEqual([250, 250, 250, 250]);
  expect(bench.count('new_calls_total{zone="a"}')).toBe(500);
  expect(bench.count('new_calls_total{zone="b"}')).toBe(500);
});

test('registrations are spread over all switches, and each phone stays with one', async () => {
  const { bench, switches } = await pair({ limits: { unlimitedSources: ['192.0.2.10'] } });
  for (let phone = 0; phone < 2_000; phone++) {
    for (const cseq of [1, 2])
      bench.receive(request('REGISTER', { callId: `${phone}-4711@192.0.2.10`, cseq }));
    await bench.pass(20);
  }
  await bench.pass(10);
  for (const { got } of switches) {
    expect(got.length).toBeGreaterThan(900);
    expect(got.length).toBeLessThan(1_100);
    const calls = got.map(({ text }) => /Call-ID: (.*)/.exec(text)![1]);
    expect(new Set(calls).size).toBe(calls.length / 2);
  }
});

test('many registrations are given to one switch after the other by slices of time, as many to each', async () => {
  const { bench, switches, b1 } = await pair({ limits: { unlimitedSources: ['192.0.2.10'] } });
  const order: number[] = [];
  const phones = async (from: number, to: number) => {
    for (let phone = from; phone < to; phone++) {
      const before = switches.map(({ got }) => got.length);
      bench.receive(request('REGISTER', { callId: `${phone}-4711@192.0.2.10` }));
      await bench.pass(1);
      for (const [at, { got }] of switches.entries()) if (got.length > before[at]!) order.push(at);
    }
  };
  await phones(0, 200);
  const before = switches.map(({ got }) => got.length);
  order.length = 0;
  await phones(1_000, 3_000);
  for (const [at, { got }] of switches.entries()) {
    expect(got.length - before[at]!).toBeGreaterThan(475);
    expect(got.length - before[at]!).toBeLessThan(525);
  }
  const changes = order.filter((one, at) => at > 0 && one !== order[at - 1]).length;
  expect(order).toHaveLength(2_000);
  expect(changes).toBeGreaterThan(190);
  expect(changes).toBeLessThan(205);

  b1.load(0.2, true);
  await bench.pass(2);
  const drained = b1.got.length;
  await phones(5_000, 5_400);
  expect(b1.got.length).toBe(drained);
  expect(order).toHaveLength(2_400);

  // Few again: each phone has its switch.
  await bench.pass(1_000);
  for (let again = 0; again < 3; again++) {
    bench.receive(request('REGISTER', { callId: 'quiet-4711@192.0.2.10', cseq: again + 1 }));
    await bench.pass(200);
  }
  const quiet = switches.map(({ got }) => got.filter(({ text }) => text.includes('quiet-4711')).length);
  expect(quiet.sort()).toEqual([0, 0, 0, 3]);
});

describe('without credentials', () => {
  const challenge: NonNullable<EdgeCoreOptions['challenge']> = ({ method, headers }) => {
    if (headers.some(({ name }) => name.endsWith('uthorization') || name === 'AUTHORIZATION'))
      return undefined;
    return method === 'REGISTER'
      ? { status: 401, headers: [{ name: 'WWW-Authenticate', value: 'Digest realm="x"' }] }
      : { status: 407, headers: [{ name: 'Proxy-Authenticate', value: 'Digest realm="x"' }] };
  };

  test('registrations and calls are challenged at the edge, and nothing of them reaches a switch', async () => {
    const { bench, switches } = await pair({ challenge });
    bench.receive(request('REGISTER', { callId: 'reg' }));
    bench.receive(invite(1));
    await bench.pass(10);
    expect(bench.toClients.map(({ text }) => text.split('\r\n', 1)[0])).toEqual([
      'SIP/2.0 401 Unauthorized',
      'SIP/2.0 407 Proxy Authentication Required',
    ]);
    expect(bench.toClients[0]!.text).toContain('WWW-Authenticate: Digest realm="x"\r\n');
    expect(bench.toClients[0]!.text).toContain('received=192.0.2.10');
    // The ACK of such an answer ends here as well (RFC 3261 §17.2.3).
    const toTag = /^To: .*;tag=(\S+)/m.exec(bench.toClients[1]!.text)![1]!;
    bench.receive(request('ACK', { callId: 'call-1@phone', toTag }));
    // The same again gets the same tag.
    bench.receive(invite(1));
    await bench.pass(10);
    expect(bench.toClients[2]!.text).toContain(`;tag=${toTag}`);
    expect(switches.flatMap(({ got }) => got)).toEqual([]);
    expect(bench.count('challenged_total{status="407"}')).toBe(2);
  });

  test('whoever gives them, in whatever spelling, is for a switch to judge', async () => {
    const { bench, switches } = await pair({ challenge });
    for (const [at, name] of ['Authorization', 'authorization', 'AUTHORIZATION'].entries())
      bench.receive(request('REGISTER', { callId: `r${at}`, headers: [`${name}: Digest username="1001"`] }));
    bench.receive(invite(1, { headers: ['Proxy-Authorization: Digest username="1001"'] }));
    await bench.pass(10);
    expect(switches.flatMap(({ got }) => got)).toHaveLength(4);
    expect(bench.toClients).toEqual([]);
  });

  test('an emergency call, a request within a call, a malformed one and one of another data centre go to a switch', async () => {
    const { bench, switches } = await pair({ challenge });
    bench.receive(invite(1, { uri: 'sip:112@demo.twinline.test' }));
    bench.receive(invite(2, { toTag: 'someone' }));
    bench.receive(invite(3), { ...phoneFlow(), dataCentre: 'west' } as Flow);
    bench.receive(
      request('REGISTER', { callId: 'r', headers: ['Expires: soon'] }).replace(
        'Max-Forwards: 70',
        'Max-Forwards: many',
      ),
    );
    await bench.pass(10);
    expect(switches.flatMap(({ got }) => got)).toHaveLength(4);
  });

  test('where no switch would take the call it is refused at once', async () => {
    const { bench, a1, b1 } = await pair({ challenge });
    a1.load(0.9);
    b1.load(0.9);
    await bench.pass(10);
    bench.receive(invite(1));
    expect(bench.toClients[0]!.text).toMatch(/^SIP\/2\.0 503 /);
    // Registrations are served up to the whole load.
    bench.receive(request('REGISTER', { callId: 'reg' }));
    expect(bench.toClients[1]!.text).toMatch(/^SIP\/2\.0 401 /);
  });
});

test('a zone above half of its load gets no new call, and takes all of them when its twin is gone', async () => {
  const { bench, a1, a2, b1, b2 } = await pair();
  a1.load(0.51);
  await bench.pass();
  for (let call = 0; call < 10; call++) bench.receive(invite(call));
  await bench.pass();
  expect([a1, a2, b1, b2].map(({ got }) => got.length)).toEqual([0, 0, 5, 5]);

  b1.load(0.6);
  await bench.pass();
  bench.receive(invite(100));
  await bench.pass();
  expect(bench.toClients).toHaveLength(1);
  expect(bench.toClients[0]!.text).toMatch(/^SIP\/2\.0 503 .*\r\n[\s\S]*\r\nRetry-After: 5\r\n/);

  // Long enough for the calls that they have taken to be acknowledged: else these would follow.
  await bench.pass(20);
  b1.die();
  b2.die();
  await bench.pass();
  for (let call = 200; call < 210; call++) bench.receive(invite(call));
  await bench.pass();
  expect([a1.got.length, a2.got.length]).toEqual([5, 5]);
});

test('above half of the load registrations, calls that are up and emergency calls go on', async () => {
  const { bench, switches, a1 } = await pair();
  for (const one of switches) one.load(0.9);
  const call = { bundle: bundle('first'), epoch: 1 };
  await Promise.all([a1.own(call), bench.pass()]);

  bench.receive(request('REGISTER', { callId: 'reg' }));
  bench.receive(request('BYE', { callId: 'up', toTag: `${bench.tokens.mint(call.bundle)}.1` }));
  bench.receive(invite(1, { uri: 'sip:112@demo.twinline.test' }));
  bench.receive(invite(2, { uri: 'urn:service:sos.police' }));
  bench.receive(invite(3, { uri: 'tel:911;phone-context=+1' }));
  bench.receive(invite(4, { uri: 'sip:1120@demo.twinline.test' }));
  await bench.pass();
  const got = switches.flatMap((one) => one.got);
  expect(got.map(({ text }) => text.split('\r\n', 1)[0]).sort()).toEqual([
    expect.stringContaining('BYE '),
    'INVITE sip:112@demo.twinline.test SIP/2.0',
    'INVITE tel:911;phone-context=+1 SIP/2.0',
    'INVITE urn:service:sos.police SIP/2.0',
    expect.stringContaining('REGISTER '),
  ]);
  expect(got.filter(({ text }) => text.startsWith('INVITE')).map(({ frame }) => frame.lane)).toEqual(
    Array(3).fill('priority'),
  );
  expect(bench.toClients.map(({ text }) => text.split(' ', 2)[1])).toEqual(['503']);
});

test('one source cannot use up the emergency reserve of the others', async () => {
  const { bench, switches } = await pair();
  for (const one of switches) one.load(0.9);
  await bench.pass();
  for (let call = 0; call < 40; call++)
    bench.receive(invite(call, { uri: 'sip:911@x.test' }), phoneFlow('203.0.113.9'));
  bench.receive(invite(99, { uri: 'sip:911@x.test' }), phoneFlow('203.0.113.10'));
  await bench.pass();
  const got = switches.flatMap((one) => one.got);
  expect(got.filter(({ flow }) => flow.remote.address === '203.0.113.9')).toHaveLength(12);
  expect(got.filter(({ flow }) => flow.remote.address === '203.0.113.10')).toHaveLength(1);
});

test('a draining switch gets no new work, a draining zone no calls, and its twin may fill up', async () => {
  const { bench, a1, a2, b1, b2 } = await pair();
  a1.load(0.3, true);
  await bench.pass();
  for (let call = 0; call < 8; call++) bench.receive(invite(call));
  await bench.pass();
  expect([a1, a2, b1, b2].map(({ got }) => got.length)).toEqual([0, 4, 2, 2]);
  a2.load(0.3, true);
  b1.load(0.8);
  await bench.pass();
  for (let call = 10; call < 18; call++) bench.receive(invite(call));
  await bench.pass();
  expect([a1, a2, b1, b2].map(({ got }) => got.length)).toEqual([0, 4, 6, 6]);
});

test('CANCEL, the INVITE sent again, with credentials or by another way, and the ACK of a refusal find the INVITE’s switch', async () => {
  const { bench, switches } = await pair();
  bench.receive(invite(0));
  await bench.pass();
  const [owner] = switches.filter(({ got }) => got.length > 0);
  bench.receive(invite(0));
  owner!.send(phoneFlow(), response(401, 'INVITE', { callId: 'call-0@phone' }));
  await bench.pass();
  bench.receive(request('ACK', { callId: 'call-0@phone', toTag: 'bob' }));
  bench.receive(invite(0, { cseq: 2, headers: ['Authorization: Digest username="1001"'] }));
  bench.receive(invite(0, { cseq: 2, branch: 'z9hG4bKother-way' }), phoneFlow('192.0.2.77', 5090));
  bench.receive(request('CANCEL', { callId: 'call-0@phone', cseq: 2 }));
  await bench.pass();
  expect(owner!.methods()).toEqual(['INVITE', 'INVITE', 'ACK', 'INVITE', 'INVITE', 'CANCEL']);
  expect(switches.flatMap(({ got }) => got)).toHaveLength(6);
});

test('the transaction is forgotten 32 s after the final response, not before', async () => {
  const { bench, switches } = await pair();
  bench.receive(invite(0));
  await bench.pass();
  const owner = switches.find(({ got }) => got.length > 0)!;
  await bench.pass(170_000);
  owner.send(phoneFlow(), response(180, 'INVITE', { callId: 'call-0@phone' }));
  await bench.pass(170_000);
  owner.send(phoneFlow(), response(486, 'INVITE', { callId: 'call-0@phone' }));
  await bench.pass(31_000);
  bench.receive(request('ACK', { callId: 'call-0@phone', toTag: 'bob' }));
  await bench.pass(2_000);
  expect(owner.methods()).toEqual(['INVITE', 'ACK']);
  bench.receive(request('ACK', { callId: 'call-0@phone', toTag: 'bob' }));
  await bench.pass(10_000);
  expect(owner.methods()).toEqual(['INVITE', 'ACK']);
  expect(bench.core.status().transactions).toBe(0);
  expect(bench.count('dropped_total{reason="ack_without_transaction"}')).toBe(1);
});

test('the transaction map is bounded', async () => {
  const { bench } = await pair({ limits: { transactions: 100, newWorkBurst: 1e6 } });
  for (let call = 0; call < 1_000; call++) {
    bench.receive(invite(call));
    if (call % 50 === 0) await bench.pass(5);
  }
  expect(bench.core.status().transactions).toBe(100);
  expect(bench.count('transactions_evicted_total')).toBe(900);
});

test('tokens in To tag, Request-URI and Via branch bring a message to the bundle’s owner; forged ones do not', async () => {
  const { bench, switches, b1 } = await pair();
  const call = { bundle: bundle('mine'), epoch: 3 };
  await Promise.all([b1.own(call), bench.pass()]);
  const token = bench.tokens.mint(call.bundle);
  bench.receive(request('BYE', { toTag: `${token}.77` }));
  bench.receive(request('ACK', { uri: `sip:${token}@198.51.100.1:5060` }));
  bench.receive(response(200, 'INVITE', { branch: `z9hG4bK${token}.12` }));
  await bench.pass();
  expect(b1.got.map((one) => one.bundle)).toEqual([call.bundle, call.bundle, call.bundle]);
  const forged = `${token.slice(0, 17)}${token[17] === '0' ? '1' : '0'}`;
  bench.receive(response(200, 'INVITE', { branch: `z9hG4bK${forged}.12` }));
  await bench.pass();
  expect(switches.flatMap(({ got }) => got)).toHaveLength(3);
});

test('what was not acknowledged when its switch dies goes to the adopter, in order, with what came meanwhile', async () => {
  const { bench, a1, b2 } = await pair();
  const call = bundle('call');
  await Promise.all([a1.own({ bundle: call, epoch: 1 }), bench.pass()]);
  const tag = `${bench.tokens.mint(call)}.1`;
  a1.frozen = true;
  bench.receive(request('INFO', { toTag: tag, cseq: 5 }));
  bench.receive(request('UPDATE', { toTag: tag, cseq: 6 }));
  await bench.pass();
  expect(a1.methods()).toEqual(['INFO', 'UPDATE']);
  a1.die();
  await bench.pass(50);
  bench.receive(request('BYE', { toTag: tag, cseq: 7 }));
  await bench.pass(50);
  expect(b2.got).toHaveLength(0);
  await Promise.all([b2.own({ bundle: call, epoch: 2 }), bench.pass(1)]);
  await bench.pass();
  expect(b2.methods()).toEqual(['INFO', 'UPDATE', 'BYE']);
  expect(b2.got.every((one) => one.bundle === call)).toBe(true);
  expect(bench.core.status().waiting).toBe(0);
});

test('the adopter gets what a frozen owner did not acknowledge, and gets it once', async () => {
  const { bench, a1, b1 } = await pair();
  const call = bundle('call');
  await Promise.all([a1.own({ bundle: call, epoch: 1 }), bench.pass()]);
  a1.frozen = true;
  bench.receive(request('BYE', { toTag: `${bench.tokens.mint(call)}.1` }));
  await bench.pass();
  await Promise.all([b1.own({ bundle: call, epoch: 2 }), bench.pass(1)]);
  expect(b1.methods()).toEqual(['BYE']);
  a1.die();
  await bench.pass(6_000);
  expect(b1.methods()).toEqual(['BYE']);
});

test('a stale owner is refused and told so; the new one speaks', async () => {
  const { bench, a1, b1 } = await pair();
  const call = bundle('call');
  await Promise.all([a1.own({ bundle: call, epoch: 4 }), bench.pass()]);
  a1.send(phoneFlow(), response(180, 'INVITE'), { bundle: call, epoch: 4 });
  await Promise.all([b1.own({ bundle: call, epoch: 5 }), bench.pass(1)]);
  a1.send(phoneFlow(), request('BYE'), { bundle: call, epoch: 4 });
  b1.send(phoneFlow(), response(200, 'INVITE'), { bundle: call, epoch: 5 });
  await bench.pass();
  expect(bench.toClients.map(({ text }) => text.split('\r\n', 1)[0])).toEqual([
    'SIP/2.0 180 Whatever',
    'SIP/2.0 200 Whatever',
  ]);
  expect(a1.otherFrames).toMatchObject([{ kind: 'stale', data: { bundle: call, epoch: 5 } }]);
  // It may not take them back either, be it by `own` or by connecting anew.
  await Promise.all([a1.own({ bundle: call, epoch: 4 }), bench.pass(1)]);
  a1.die();
  const again = bench.switch('a1', 'a', { owns: [{ bundle: call, epoch: 4 }] });
  await bench.pass();
  expect(again.otherFrames).toMatchObject([{ kind: 'stale' }]);
  bench.receive(request('BYE', { toTag: bench.tokens.mint(call) }));
  await bench.pass();
  expect(b1.methods()).toEqual(['BYE']);
});

test('a switch that connects anew keeps its bundles', async () => {
  const { bench, a1 } = await pair();
  const call = { bundle: bundle('call'), epoch: 1 };
  await Promise.all([a1.own(call), bench.pass()]);
  a1.frozen = true;
  bench.receive(request('INFO', { toTag: bench.tokens.mint(call.bundle) }));
  await bench.pass();
  a1.die();
  await bench.pass(20);
  const again = bench.switch('a1', 'a', { owns: [call] });
  await bench.pass(20);
  expect(again.methods()).toEqual(['INFO']);
});

test('without an owner a request waits 5 s and gets 503, a response is dropped', async () => {
  const { bench, a1 } = await pair();
  const call = { bundle: bundle('call'), epoch: 1 };
  await Promise.all([a1.own(call), bench.pass()]);
  a1.die();
  await bench.pass();
  const token = bench.tokens.mint(call.bundle);
  bench.receive(request('BYE', { toTag: token }));
  bench.receive(request('ACK', { toTag: token }));
  bench.receive(response(200, 'OPTIONS', { branch: `z9hG4bK${token}` }));
  await bench.pass(4_900);
  expect(bench.toClients).toHaveLength(0);
  expect(bench.core.status().waiting).toBe(3);
  await bench.pass(200);
  expect(bench.toClients.map(({ text }) => text.split(' ', 2)[1])).toEqual(['503']);
  expect(bench.core.status().waiting).toBe(0);
  expect(bench.count('dropped_total{reason="no_owner"}')).toBe(2);
});

test('waiting messages are bounded per bundle', async () => {
  const { bench, a1 } = await pair({ limits: { waitFramesPerBundle: 10 } });
  const call = { bundle: bundle('call'), epoch: 1 };
  await Promise.all([a1.own(call), bench.pass()]);
  a1.die();
  await bench.pass();
  for (let cseq = 1; cseq <= 15; cseq++)
    bench.receive(request('INFO', { toTag: bench.tokens.mint(call.bundle), cseq }));
  expect(bench.core.status().waiting).toBe(10);
  expect(bench.toClients).toHaveLength(5);
});

test('new work that a switch did not acknowledge goes to another one when it dies', async () => {
  const { bench, switches } = await pair();
  for (const one of switches) one.frozen = true;
  bench.receive(invite(1));
  bench.receive(request('REGISTER', { callId: 'reg' }));
  await bench.pass();
  for (const one of switches.filter(({ got }) => got.length > 0)) one.die();
  await bench.pass();
  const alive = switches.filter(({ channel }) => channel.open);
  const methods = alive.flatMap((one) => one.methods());
  expect(methods.sort()).toEqual(['INVITE', 'REGISTER']);
  // And the call's CANCEL follows it there.
  bench.receive(request('CANCEL', { callId: 'call-1@phone' }));
  await bench.pass();
  const owner = alive.find((one) => one.methods().includes('INVITE'));
  expect(owner!.methods()).toContain('CANCEL');
});

test('an INVITE whose switch died after it had made a call of it goes to the call’s adopter and makes no second call', async () => {
  const call = bundle('call');
  const state = {
    get: async <T>(key: { id: string }) =>
      key.id === 'call-1@phone alice'
        ? { value: call as T, key: key as never, zone: 'a' as never, epoch: 1, updatedUtcMs: 0 }
        : undefined,
  };
  const { bench, switches } = await pair({ state });
  await bench.pass(60_000);
  for (const one of switches) one.frozen = true;
  bench.receive(invite(1));
  await bench.pass();
  const owner = switches.find(({ got }) => got.length > 0)!;
  await Promise.all([owner.own({ bundle: call, epoch: 1 }), bench.pass(1)]);
  owner.die();
  await bench.pass(10);
  const adopter = switches.find((one) => one !== owner)!;
  await Promise.all([adopter.own({ bundle: call, epoch: 2 }), bench.pass(1)]);
  await bench.pass(10);
  expect(adopter.got).toMatchObject([{ bundle: call, text: invite(1) }]);
  expect(switches.flatMap(({ got }) => got)).toHaveLength(2);
});

test('a full link sends new work elsewhere, and when all are full the caller gets 503', async () => {
  const bench = new EdgeBench();
  const window = { frames: 2, bytes: 1 << 20 };
  const switches = [bench.switch('a1', 'a', { window }), bench.switch('b1', 'b', { window })] as const;
  await bench.pass();
  for (const one of switches) one.frozen = true;
  for (let call = 0; call < 6; call++) bench.receive(invite(call));
  await bench.pass();
  expect(switches.map(({ got }) => got.length)).toEqual([2, 2]);
  expect(bench.toClients.map(({ text }) => text.split(' ', 2)[1])).toEqual(['503', '503']);
});

test('switches that say nothing of their calls for 0.4 s get no more; the rest gets 503, but for emergencies', async () => {
  const { bench, switches } = await pair();
  for (let call = 0; call < 8; call++) bench.receive(invite(call));
  await bench.pass(390);
  bench.receive(invite(8));
  await bench.pass(20);
  const before = switches.flatMap(({ got }) => got).length;
  expect(before).toBe(9);
  for (const one of switches) one.got.length = 0;
  // Each gets one more now and then, to see whether it keeps up again.
  for (let call = 100; call < 200; call++) bench.receive(invite(call));
  await bench.pass();
  expect(switches.flatMap(({ got }) => got).length).toBeLessThanOrEqual(4);
  expect(bench.toClients.length).toBeGreaterThanOrEqual(96);
  for (const { text } of bench.toClients)
    expect(text).toMatch(/^SIP\/2\.0 503 [\s\S]*\r\nRetry-After: 5\r\n/);
  for (const one of switches) one.got.length = 0;
  bench.receive(invite(300, { uri: 'sip:112@demo.twinline.test' }));
  await bench.pass();
  expect(switches.flatMap(({ got }) => got)).toHaveLength(1);
});

test('a switch that answers again gets calls again at once, whatever was lost before', async () => {
  const { bench, a1, a2, b1, b2 } = await pair();
  for (const one of [a2, b1, b2]) one.load(0.1, true);
  await bench.pass();
  bench.receive(invite(1));
  bench.receive(invite(2));
  await bench.pass(500);
  // This one is to see whether it keeps up.
  bench.receive(invite(3));
  bench.receive(invite(4));
  await bench.pass();
  expect(a1.got).toHaveLength(3);
  a1.send(phoneFlow(), response(100, 'INVITE', { callId: 'call-3@phone' }));
  await bench.pass();
  for (let call = 10; call < 20; call++) bench.receive(invite(call));
  await bench.pass();
  expect(a1.got).toHaveLength(13);
});

test('the ACK of its own 503 ends at the edge', async () => {
  let asked = 0;
  const state = {
    get: async () => {
      asked++;
      return undefined;
    },
  };
  const { bench, switches } = await pair({ state });
  for (const one of switches) one.load(0.9);
  await bench.pass(60_000);
  bench.receive(invite(1));
  const toTag = /\r\nTo: [^\r]*;tag=([^\r;]+)/.exec(bench.toClients[0]!.text)![1]!;
  bench.receive(request('ACK', { callId: 'call-1@phone', toTag }));
  await bench.pass();
  expect(switches.flatMap(({ got }) => got)).toEqual([]);
  expect(asked).toBe(0);
});

test('another edge has died: what its phones send again finds its call', async () => {
  const call = bundle('call');
  const state = {
    get: async <T>(key: { id: string }) =>
      key.id === 'call-1@phone alice'
        ? { value: call as T, key: key as never, zone: 'b' as never, epoch: 1, updatedUtcMs: 0 }
        : undefined,
  };
  const { bench, b2, switches } = await pair({ state });
  await Promise.all([b2.own({ bundle: call, epoch: 9 }), bench.pass()]);
  await bench.pass(60_000);
  b2.channel.send({ kind: 'edge-lost', lane: 'priority', data: { edge: 'edge2' } });
  await bench.pass();
  bench.receive(invite(1));
  await bench.pass();
  expect(b2.methods()).toEqual(['INVITE']);
  expect(switches.flatMap(({ got }) => got)).toHaveLength(1);
});

test('an edge that was started anew asks the index for the call of a CANCEL, and asks once for many', async () => {
  let asked = 0;
  const call = bundle('call');
  const state = {
    get: async <T>(key: { account: string; id: string }) => {
      asked++;
      if (key.account !== CALL_INDEX_ACCOUNT || key.id !== 'call-1@phone alice') return undefined;
      return { value: call as T, key: key as never, zone: 'b' as never, epoch: 1, updatedUtcMs: 0 };
    },
  };
  const { bench, b2 } = await pair({ state });
  await Promise.all([b2.own({ bundle: call, epoch: 9 }), bench.pass()]);
  bench.receive(invite(1));
  bench.receive(request('CANCEL', { callId: 'call-1@phone' }));
  await bench.pass();
  expect(b2.methods()).toEqual(['INVITE', 'CANCEL']);
  expect(asked).toBe(1);
});

test('a CANCEL that the index knew is not remembered as if its INVITE were still to be answered', async () => {
  const call = bundle('over');
  const stored = { value: call, key: {} as never, zone: 'b' as never, epoch: 1, updatedUtcMs: 0 };
  const { bench, b2 } = await pair({ state: { get: async <T>() => stored as typeof stored & { value: T } } });
  await Promise.all([b2.own({ bundle: call, epoch: 9 }), bench.pass()]);
  bench.receive(request('CANCEL', { callId: 'call-1@phone' }));
  await bench.pass();
  expect(b2.methods()).toEqual(['CANCEL']);
  expect(bench.core.status().transactions).toBe(1);
  await bench.pass(40_000);
  expect(bench.core.status().transactions).toBe(0);
});

test('a state that hangs delays a CANCEL by 0.3 s and no more', async () => {
  const state = { get: () => new Promise<never>(() => {}) };
  const { bench, switches } = await pair({ state });
  await bench.pass(60_000);
  bench.receive(request('CANCEL', { callId: 'unknown' }));
  await bench.pass(299);
  expect(switches.flatMap(({ got }) => got)).toHaveLength(0);
  await bench.pass(2);
  expect(switches.flatMap((one) => one.methods())).toEqual(['CANCEL']);
});

describe('an INVITE whose switch ended before it answered, while the state is away', () => {
  const call = bundle('begun');
  const stored = { value: call, key: {} as never, zone: 'a' as never, epoch: 1, updatedUtcMs: 0 };

  /** One switch has the INVITE and is gone; `state.back` is what the state says once it is back. */
  async function begun(how: 'rejects' | 'hangs', from?: Flow) {
    const state = {
      back: undefined as typeof stored | 'nothing' | undefined,
      get: async <T>(): Promise<(Omit<typeof stored, 'value'> & { value: T }) | undefined> => {
        if (state.back === undefined && how === 'rejects') throw new Error('the state cannot be reached');
        if (state.back === undefined) return new Promise(() => {});
        return state.back === 'nothing' ? undefined : { ...state.back, value: call as T };
      },
    };
    const { bench, switches } = await pair({ state });
    // Long after the start.
    await bench.pass(60_000);
    bench.receive(invite(1), from);
    await bench.pass(2);
    const first = switches.find(({ got }) => got.length > 0)!;
    const others = switches.filter((one) => one !== first);
    first.die();
    await bench.pass(2);
    const invites = () => others.flatMap((one) => one.methods());
    return { bench, state, others, invites };
  }

  test('waits for the state and goes to the adopter', async () => {
    const { bench, state, others, invites } = await begun('rejects');
    bench.receive(invite(1));
    await bench.pass(3_000);
    expect(invites()).toEqual([]);
    state.back = stored;
    await Promise.all([others[0]!.own({ bundle: call, epoch: 2 }), bench.pass(200)]);
    expect(others[0]!.methods()).toEqual(['INVITE', 'INVITE']);
    expect(invites()).toHaveLength(2);
  });

  test('is a new call when the state knows of none', async () => {
    const { bench, state, invites } = await begun('rejects');
    await bench.pass(3_000);
    state.back = 'nothing';
    await bench.pass(200);
    expect(invites()).toEqual(['INVITE']);
  });

  test.each(['rejects', 'hangs'] as const)('waits for 5 s and no longer: that %s', async (how) => {
    const { bench, state, invites } = await begun(how);
    await bench.pass(5_100);
    // A datagram is left to be sent again.
    expect(bench.toClients).toEqual([]);
    expect(bench.count('dropped_total{reason="state_away"}')).toBe(1);
    state.back = 'nothing';
    bench.receive(invite(1));
    await bench.pass(200);
    expect(invites()).toEqual(['INVITE']);
  });

  test('is refused over a connection, where it would not come again', async () => {
    const { bench, invites } = await begun('rejects', phoneFlow('192.0.2.10', 5061, 'tcp'));
    await bench.pass(5_100);
    expect(bench.toClients.map(({ text }) => text.slice(0, 11))).toEqual(['SIP/2.0 503']);
    expect(invites()).toEqual([]);
  });
});

test('malformed requests get 400 where RFC 3261 allows it, else silence', async () => {
  const { bench, switches } = await pair();
  bench.receive(request('OPTIONS').replace(/Call-ID.*\r\n/, ''));
  bench.receive(request('ACK').replace(/Call-ID.*\r\n/, ''));
  bench.receive('total rubbish\r\n\r\n');
  bench.receive(response(200, 'INVITE').replace(/Via.*\r\n/, ''));
  await bench.pass();
  expect(bench.toClients.map(({ text }) => text.split(' ', 2)[1])).toEqual(['400']);
  expect(switches.flatMap(({ got }) => got)).toHaveLength(0);
});

test('a source that sends only rubbish meets silence for a minute, others do not', async () => {
  const { bench } = await pair();
  const enemy = phoneFlow('203.0.113.66');
  for (let turn = 0; turn < 60; turn++) bench.receive('GET / HTTP/1.1\r\n\r\n', enemy);
  bench.receive(request('OPTIONS').replace(/Call-ID.*\r\n/, ''), enemy);
  bench.receive(request('REGISTER'), enemy);
  bench.receive(request('OPTIONS').replace(/Call-ID.*\r\n/, ''), phoneFlow('203.0.113.67'));
  expect(bench.toClients.map(({ flow }) => flow)).toEqual(['u:edge1:0:203.0.113.67:5060']);
  await bench.pass(61_000);
  bench.receive(request('OPTIONS').replace(/Call-ID.*\r\n/, ''), enemy);
  expect(bench.toClients).toHaveLength(2);
});

test('nobody can silence a phone by sending rubbish in its name', async () => {
  const { bench, switches } = await pair();
  const phone = phoneFlow('203.0.113.68');
  bench.receive(request('REGISTER', { callId: 'r1' }), phone);
  for (let turn = 0; turn < 500; turn++) bench.receive('rubbish\r\n\r\n', phone);
  bench.receive(request('REGISTER', { callId: 'r2' }), phone);
  await bench.pass();
  expect(switches.flatMap(({ got }) => got)).toHaveLength(2);
});

test('a source that asks too fast is refused, then not answered at all; its calls that are up are untouched', async () => {
  const { bench, switches, a1 } = await pair({
    limits: { newWorkPerSec: 10, newWorkBurst: 20, refusalBurst: 5, refusalsPerSec: 1 },
  });
  const call = { bundle: bundle('call'), epoch: 1 };
  await Promise.all([a1.own(call), bench.pass()]);
  const flood = phoneFlow('203.0.113.66');
  for (let turn = 0; turn < 100; turn++)
    bench.receive(request('REGISTER', { callId: `flood-${turn}` }), flood);
  bench.receive(request('INFO', { toTag: bench.tokens.mint(call.bundle) }), flood);
  bench.receive(request('REGISTER', { callId: 'friend' }), phoneFlow('203.0.113.67'));
  await bench.pass();
  expect(switches.flatMap((one) => one.methods()).filter((method) => method === 'REGISTER')).toHaveLength(21);
  expect(a1.methods()).toContain('INFO');
  expect(bench.toClients).toHaveLength(5);
});

test('known scanners meet silence', async () => {
  const { bench, switches } = await pair();
  for (const agent of ['friendly-scanner', 'sipcli/v1.8', 'SIPVicious 0.3'])
    bench.receive(request('OPTIONS', { headers: [`User-Agent: ${agent}`] }));
  bench.receive(request('OPTIONS', { headers: ['User-Agent: Linphone'] }));
  await bench.pass();
  expect(switches.flatMap(({ got }) => got)).toHaveLength(1);
  expect(bench.toClients).toHaveLength(0);
});

test('a 503 goes where RFC 3261 §18.2.2 says, with received and rport filled in', async () => {
  const bench = new EdgeBench();
  await bench.pass(3_000);
  const behindNat = phoneFlow('203.0.113.5', 40_123);
  bench.receive(request('INVITE', { via: 'SIP/2.0/UDP 10.0.0.5:5062;branch=z9hG4bKx;rport' }), behindNat);
  bench.receive(request('INVITE', { via: 'SIP/2.0/UDP 203.0.113.5:5062;branch=z9hG4bKx' }), behindNat);
  expect(bench.toClients[0]).toMatchObject({ remote: undefined });
  expect(bench.toClients[0]!.text).toContain('rport=40123');
  expect(bench.toClients[0]!.text).toContain('received=203.0.113.5');
  expect(bench.toClients[1]).toMatchObject({ remote: { address: '203.0.113.5', port: 5062 } });
  expect(bench.toClients[1]!.text).not.toContain('received');
  const tags = bench.toClients.map(({ text }) => /\nTo:.*;tag=(\S+)/.exec(text)![1]);
  expect(tags[0]).toBe(tags[1]); // stateless: a retransmission gets the same tag
});

test('keep-alives: STUN is answered, blank datagrams are not', () => {
  const bench = new EdgeBench();
  bench.receive('\r\n\r\n');
  bench.receive('\0');
  expect(bench.toClients).toHaveLength(0);
  const binding = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');
  bench.core.receive(phoneFlow('192.0.2.1', 32_853), binding);
  // RFC 5769's address 192.0.2.1:32853 under the magic cookie.
  expect(Buffer.from(bench.toClients[0]!.text, 'latin1').toString('hex')).toBe(
    '0101000c2112a442000102030405060708090a0b002000080001a147e112a643',
  );
});

test('the end of a connection is told to every switch, and of one that said nothing to none', async () => {
  const { bench, switches } = await pair();
  const flow = phoneFlow('192.0.2.20', 4_000, 'tcp');
  bench.receive(request('REGISTER'), flow);
  bench.core.flowClosed(flow.id);
  bench.core.flowClosed(phoneFlow('192.0.2.21', 4_000, 'tcp').id);
  await bench.pass();
  for (const one of switches)
    expect(one.otherFrames).toMatchObject([{ kind: 'flow-closed', data: { flow: flow.id } }]);
});

test('a switch that sends over a flow that is gone hears so', async () => {
  const { bench, a1 } = await pair();
  const flow = phoneFlow('192.0.2.20', 4_000, 'tcp');
  bench.goneFlows.add(flow.id);
  a1.send(flow, request('OPTIONS'));
  await bench.pass();
  expect(a1.otherFrames).toMatchObject([{ kind: 'flow-closed', data: { flow: flow.id } }]);
});

test('what comes for a bundle that was given up is answered by any switch; an older owner stays refused', async () => {
  const { bench, switches, a1, b1 } = await pair();
  const call = bundle('call');
  await Promise.all([a1.own({ bundle: call, epoch: 1 }), bench.pass()]);
  await Promise.all([b1.own({ bundle: call, epoch: 2 }), bench.pass(1)]);
  b1.channel.send({ kind: 'release', data: { bundles: [call] } });
  await bench.pass();
  bench.receive(request('BYE', { toTag: bench.tokens.mint(call) }));
  a1.send(phoneFlow(), request('BYE'), { bundle: call, epoch: 1 });
  await bench.pass();
  expect(switches.flatMap(({ got }) => got)).toMatchObject([{ bundle: undefined }]);
  expect(bench.toClients).toHaveLength(0);
});

test('a message of any bytes never throws and is counted', async () => {
  const { bench } = await pair();
  const random = seededRandom(5);
  const good = Buffer.from(request('INVITE'), 'latin1');
  for (let turn = 0; turn < 3_000; turn++) {
    const bytes = Buffer.from(good);
    for (let change = 0; change < 1 + (turn % 8); change++) {
      const [a = 0, b = 0, c = 0] = random.bytes(3);
      bytes[((a << 8) | b) % bytes.length] = c;
    }
    bench.core.receive(phoneFlow(), bytes.subarray(0, turn % 3 ? bytes.length : turn % bytes.length));
    if (turn % 100 === 0) await bench.pass(1_000);
  }
  expect(bench.count('dropped_total{reason="internal_error"}')).toBe(0);
  expect(bench.count('received_total{transport="udp"}')).toBe(3_000);
});

test('an idle edge arms no timer', async () => {
  const { bench } = await pair();
  bench.receive(invite(1));
  await bench.pass(300_000);
  expect(bench.clock.nextDueMs()).toBeUndefined();
});
