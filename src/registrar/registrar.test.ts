import { beforeEach, describe, expect, test } from 'vitest';
import type { ZoneId } from '../base/index.ts';
import {
  type AccountId,
  type EdgeId,
  type FlowId,
  seededRandom,
  silentLogger,
  VirtualClock,
} from '../base/index.ts';
import {
  type Binding,
  type Directories,
  type DirectorySnapshot,
  indexDirectories,
} from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import { answerChallenge, createRequest, hashHa1, header, type SipRequest } from '../sip/index.ts';
import { MemoryCluster } from '../state/index.ts';
import { type Authentication, bindingsOf, challenger, Registrar } from './index.ts';

const DOMAIN = 'demo.test';
const snapshot = {
  v: 1,
  account: 'demo' as AccountId,
  number: 1,
  domains: [DOMAIN],
  sites: [],
  users: ['1001', '1002'].map((extension) => ({
    id: extension,
    siteId: 'main',
    extension,
    displayName: extension,
    ring: { mode: 'all', maxWaitSec: 30 },
  })),
  devices: [
    ['1001', 'MD5'],
    ['1002', 'SHA-256'],
  ].map(([name, algorithm]) => ({
    id: name,
    userId: name,
    sipUser: name,
    domain: DOMAIN,
    ha1: {
      [algorithm === 'MD5' ? 'md5' : 'sha256']: hashHa1(name!, DOMAIN, `demo-${name}`, algorithm as 'MD5'),
    },
    digestAlgorithms: [algorithm],
    mediaProfile: 'desk-128',
    maxBindings: 10,
  })),
} as unknown as DirectorySnapshot;

const flowFrom = (address: string, transport: 'udp' | 'tcp' = 'udp', id = 'f'): Flow => ({
  id: id as FlowId,
  edge: 'edge1' as EdgeId,
  transport,
  local: { address: '127.0.0.1', port: 5060 },
  remote: { address, port: 4000 },
});

let clock: VirtualClock;
let cluster: MemoryCluster;
let directories: Directories;
let a: Registrar;
let b: Registrar;

beforeEach(() => {
  clock = new VirtualClock();
  cluster = new MemoryCluster({ clock });
  directories = indexDirectories([snapshot]);
  const registrar = (zone: string, twin: string): Registrar =>
    new Registrar({
      state: cluster.open(zone as ZoneId, twin as ZoneId),
      pairSecret: new Uint8Array(32).fill(7),
      clock,
      random: seededRandom(1),
      log: silentLogger,
    });
  a = registrar('a', 'b');
  b = registrar('b', 'a');
});

function registration(name: string, authorization?: string, cseq = 1): SipRequest {
  return createRequest({
    method: 'REGISTER',
    uri: `sip:${DOMAIN}`,
    headers: {
      Via: 'SIP/2.0/UDP 127.0.0.1:4000;branch=z9hG4bK1',
      From: `<sip:${name}@${DOMAIN}>;tag=a`,
      To: `<sip:${name}@${DOMAIN}>`,
      'Call-ID': name,
      CSeq: `${cseq} REGISTER`,
      Contact: `<sip:${name}@127.0.0.1:4000>`,
      Authorization: authorization,
    },
  });
}

const challengeOf = (answer: Authentication): string =>
  answer.kind === 'verified' ? '' : (answer.headers[0]?.value ?? '');

async function tries(
  registrar: Registrar,
  name: string,
  password: string,
  flow = flowFrom('10.0.0.1'),
): Promise<Authentication> {
  const challenge = challengeOf(
    await registrar.authenticate(registration(name), flow, directories, 'registrar'),
  );
  const answer = answerChallenge(challenge, {
    user: name,
    password,
    method: 'REGISTER',
    uri: `sip:${DOMAIN}`,
    cnonce: 'c',
  });
  return registrar.authenticate(registration(name, answer), flow, directories, 'registrar');
}

describe('a challenge', () => {
  test('offers what the device can: MD5 alone to one, SHA-256 to another', async () => {
    const offered = async (name: string) =>
      challengeOf(await a.authenticate(registration(name), flowFrom('10.0.0.1'), directories, 'registrar'));
    expect(await offered('1001')).toContain('algorithm=MD5');
    expect(await offered('1002')).toContain('algorithm=SHA-256');
  });

  test('is answered with the right password in either zone, though the other gave it', async () => {
    const flow = flowFrom('10.0.0.1');
    const challenge = challengeOf(await a.authenticate(registration('1002'), flow, directories, 'registrar'));
    const options = {
      user: '1002',
      password: 'demo-1002',
      method: 'REGISTER',
      uri: `sip:${DOMAIN}`,
      cnonce: 'c',
    };
    const answer = answerChallenge(challenge, options);
    const who = await b.authenticate(registration('1002', answer), flow, directories, 'registrar');
    expect(who.kind === 'verified' && who.user.extension).toBe('1002');
  });

  test('may be given by a process that verifies nobody, and is answered to either zone', async () => {
    const ask = challenger({
      directories: { directories },
      pairSecret: new Uint8Array(32).fill(7),
      clock,
      serverName: 'Twinline',
    });
    const flow = flowFrom('10.0.0.1');
    for (const name of ['1001', '1002', 'nobody']) {
      const given = ask(registration(name), flow)!;
      const own = await a.authenticate(registration(name), flow, directories, 'registrar');
      expect(given.status).toBe(401);
      expect(given.headers[0]!.name).toBe('WWW-Authenticate');
      expect(given.headers[0]!.value).toBe(challengeOf(own));
      const answer = answerChallenge(given.headers[0]!.value, {
        user: name,
        password: `demo-${name}`,
        method: 'REGISTER',
        uri: `sip:${DOMAIN}`,
        cnonce: 'c',
      });
      const answered = registration(name, answer);
      const who = await b.authenticate(answered, flow, directories, 'registrar');
      expect(who.kind).toBe(name === 'nobody' ? 'wrong' : 'verified');
      // To another address the nonce is worth nothing.
      const overheard = await b.authenticate(answered, flowFrom('10.0.0.2'), directories, 'registrar');
      expect(overheard.kind).toBe(name === 'nobody' ? 'wrong' : 'stale');
      expect(ask(answered, flow)).toBeUndefined();
    }
    // Credentials for another realm are none, and without a directory nothing is to be said.
    expect(
      ask(
        registration('1001', 'Digest username="1001", realm="other", nonce="n", uri="sip:x", response="r"'),
        flow,
      )?.status,
    ).toBe(401);
    const before = challenger({
      directories: { directories: indexDirectories([]) },
      pairSecret: new Uint8Array(32).fill(7),
      clock,
      serverName: 'Twinline',
    });
    expect(before(registration('1001'), flow)).toBeUndefined();
  });

  test('as a proxy asks for other headers', async () => {
    const answer = await a.authenticate(registration('1001'), flowFrom('10.0.0.1'), directories, 'proxy');
    expect(answer.kind !== 'verified' && [answer.status, answer.headers[0]!.name]).toEqual([
      407,
      'Proxy-Authenticate',
    ]);
  });

  test('ages: after five minutes right credentials are stale, not wrong', async () => {
    const flow = flowFrom('10.0.0.1');
    const challenge = challengeOf(await a.authenticate(registration('1001'), flow, directories, 'registrar'));
    clock.advance(5 * 60_000 + 1);
    const options = {
      user: '1001',
      password: 'demo-1001',
      method: 'REGISTER',
      uri: `sip:${DOMAIN}`,
      cnonce: 'c',
    };
    const late = await a.authenticate(
      registration('1001', answerChallenge(challenge, options)),
      flow,
      directories,
      'registrar',
    );
    expect(late.kind).toBe('stale');
    expect(challengeOf(late)).toContain('stale=true');
    const again = registration('1001', answerChallenge(challengeOf(late), options));
    expect((await a.authenticate(again, flow, directories, 'registrar')).kind).toBe('verified');
  });

  test('is good for the address that got it', async () => {
    const challenge = challengeOf(
      await a.authenticate(registration('1001'), flowFrom('10.0.0.1'), directories, 'registrar'),
    );
    const options = {
      user: '1001',
      password: 'demo-1001',
      method: 'REGISTER',
      uri: `sip:${DOMAIN}`,
      cnonce: 'c',
    };
    const overheard = registration('1001', answerChallenge(challenge, options));
    expect((await a.authenticate(overheard, flowFrom('10.9.9.9'), directories, 'registrar')).kind).toBe(
      'stale',
    );
  });

  test('cannot be answered with an algorithm that was not offered', async () => {
    const flow = flowFrom('10.0.0.1');
    const challenge = challengeOf(await a.authenticate(registration('1002'), flow, directories, 'registrar'));
    const weaker = challenge.replace('SHA-256', 'MD5');
    const options = {
      user: '1002',
      password: 'demo-1002',
      method: 'REGISTER',
      uri: `sip:${DOMAIN}`,
      cnonce: 'c',
    };
    const who = await a.authenticate(
      registration('1002', answerChallenge(weaker, options)),
      flow,
      directories,
      'registrar',
    );
    expect(who.kind).toBe('wrong');
  });

  test('what is no digest, or for another realm, counts as none', async () => {
    for (const odd of [
      'Basic YTpi',
      'Digest',
      'Digest username="1001"',
      'NoOneKnowsThisScheme opaque-data=here',
    ]) {
      const who = await a.authenticate(
        registration('1001', odd),
        flowFrom('10.0.0.1'),
        directories,
        'registrar',
      );
      expect(who.kind).toBe('challenge');
    }
  });
});

describe('wrong passwords (PH-EDGE-11)', () => {
  const shapeOf = (answer: Authentication) =>
    answer.kind !== 'verified' && [
      answer.kind,
      answer.status,
      answer.headers.map(({ name, value }) => [
        name,
        value.replace(/nonce="[^"]*"/, '').replace(/SHA-256|MD5/, ''),
      ]),
    ];

  test('an unknown name is answered like a known one until it is locked', async () => {
    for (let attempt = 0; attempt < 12; attempt++) {
      const known = await tries(a, '1001', 'guess');
      const unknown = await tries(a, '9999', 'guess');
      expect(shapeOf(unknown)).toEqual(shapeOf(known));
      expect(known.kind).toBe(attempt < 9 ? 'wrong' : 'locked');
    }
  });

  test('an unknown name is offered the same algorithms each time', async () => {
    const offers = new Set<string>();
    for (let attempt = 0; attempt < 5; attempt++) {
      const answer = await a.authenticate(
        registration('9999'),
        flowFrom('10.0.0.1'),
        directories,
        'registrar',
      );
      offers.add(/algorithm=\S+/.exec(challengeOf(answer))![0]);
    }
    expect(offers.size).toBe(1);
  });

  test('ten lock that source for that user in both zones, nobody else', async () => {
    for (let attempt = 0; attempt < 5; attempt++) {
      await tries(a, '1001', 'guess');
      await tries(b, '1001', 'guess');
    }
    expect((await tries(a, '1001', 'demo-1001')).kind).toBe('locked');
    expect((await tries(b, '1001', 'demo-1001')).kind).toBe('locked');
    expect((await tries(a, '1001', 'demo-1001', flowFrom('10.0.0.2'))).kind).toBe('verified');
    expect((await tries(a, '1002', 'demo-1002')).kind).toBe('verified');
    clock.advance(5 * 60_000 + 1);
    expect((await tries(a, '1001', 'demo-1001')).kind).toBe('verified');
    expect(a.counts.locked).toBeGreaterThan(0);
  });

  test('a lock that the other zone set is known here a second later, in whatever way one was known to be free before', async () => {
    expect((await tries(b, '1001', 'demo-1001')).kind).toBe('verified');
    for (let attempt = 0; attempt < 10; attempt++) await tries(a, '1001', 'guess');
    clock.advance(1000);
    expect((await tries(b, '1001', 'demo-1001')).kind).toBe('locked');
    expect((await tries(b, '1002', 'demo-1002')).kind).toBe('verified');
  });

  test('hundreds of names under attack: each lock is still found', async () => {
    for (let name = 0; name < 101; name++)
      await tries(a, `stranger-${name}`, 'guess', flowFrom(`10.1.0.${name}`));
    for (let attempt = 0; attempt < 10; attempt++) await tries(a, '1001', 'guess');
    expect((await tries(b, '1001', 'demo-1001')).kind).toBe('locked');
    expect((await tries(b, '1002', 'demo-1002')).kind).toBe('verified');
  });

  test('many at once count, though none is written yet', async () => {
    const flow = flowFrom('10.0.0.1');
    const challenge = challengeOf(await a.authenticate(registration('1001'), flow, directories, 'registrar'));
    const options = {
      user: '1001',
      password: 'guess',
      method: 'REGISTER',
      uri: `sip:${DOMAIN}`,
      cnonce: 'c',
    };
    const request = registration('1001', answerChallenge(challenge, options));
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => a.authenticate(request, flow, directories, 'registrar')),
    );
    expect(answers.filter(({ kind }) => kind === 'wrong')).toHaveLength(9);
  });

  test('nine, then the right one: nobody is locked out by mistyping', async () => {
    for (let attempt = 0; attempt < 9; attempt++) await tries(a, '1001', 'guess');
    expect((await tries(a, '1001', 'demo-1001')).kind).toBe('verified');
  });
});

describe('a registration', () => {
  const verified = async (registrar: Registrar, name: string, flow: Flow) => {
    const who = await tries(registrar, name, `demo-${name}`, flow);
    if (who.kind !== 'verified') throw new Error(who.kind);
    return who;
  };
  const state = () => cluster.open('b' as ZoneId, 'a' as ZoneId);

  test('waits for the disk when it is new or leads elsewhere, not when a phone merely renews it', async () => {
    const durabilities: string[] = [];
    const port = cluster.open('a' as ZoneId, 'b' as ZoneId);
    const watched = new Registrar({
      state: {
        get: (key) => port.get(key),
        list: (...of) => port.list(...of),
        commit: (writes, options) => {
          durabilities.push(options.durability);
          return port.commit(writes, options);
        },
      },
      pairSecret: new Uint8Array(32).fill(7),
      clock,
      random: seededRandom(1),
      log: silentLogger,
    });
    const flow = flowFrom('10.0.0.1');
    const who = await verified(watched, '1001', flow);
    const expires = async () => (await port.list<Binding>('demo' as AccountId, 'registration'))[0]?.value;
    await watched.register(registration('1001', undefined, 1), flow, who);
    const first = await expires();
    clock.advance(60_000);
    await watched.register(registration('1001', undefined, 2), flow, who);
    expect((await expires())!.expiresUtcMs).toBe(first!.expiresUtcMs + 60_000);
    // The NAT gave it another port.
    await watched.register(
      registration('1001', undefined, 3),
      { ...flow, remote: { ...flow.remote, port: 4001 } },
      who,
    );
    expect(durabilities).toEqual(['durable', 'volatile', 'durable']);
  });

  test('made in one zone is served by the other', async () => {
    const flow = flowFrom('10.0.0.1');
    const who = await verified(a, '1001', flow);
    const response = await a.register(registration('1001'), flow, who);
    expect([response.status, header(response, 'Contact')]).toEqual([
      200,
      '<sip:1001@127.0.0.1:4000>;expires=3600',
    ]);
    const bindings = await bindingsOf(state(), snapshot.account, who.user.id);
    expect(bindings.map((binding) => [binding.contact, binding.flow.remote.address])).toEqual([
      ['sip:1001@127.0.0.1:4000', '10.0.0.1'],
    ]);
    expect(await b.bindingsOf(snapshot.account, who.user.id)).toEqual(bindings);
  });

  test('of somebody else’s address is forbidden', async () => {
    const flow = flowFrom('10.0.0.1');
    const who = await verified(a, '1001', flow);
    expect((await a.register(registration('1002'), flow, who)).status).toBe(403);
  });

  test('goes with its connection, unless the phone has come back over another', async () => {
    const first = flowFrom('10.0.0.1', 'tcp', 'first');
    const who = await verified(a, '1001', first);
    await a.register(registration('1001', undefined, 1), first, who);
    await a.register(registration('1001', undefined, 2), flowFrom('10.0.0.1', 'tcp', 'second'), who);
    expect(await a.dropFlow('first' as FlowId)).toBe(0);
    expect(await bindingsOf(state(), snapshot.account, who.user.id)).toHaveLength(1);
    expect(await a.dropFlow('second' as FlowId)).toBe(1);
    expect(await bindingsOf(state(), snapshot.account, who.user.id)).toEqual([]);
  });

  test('that cannot be kept is answered with 503', async () => {
    const flow = flowFrom('10.0.0.1');
    const who = await verified(a, '1001', flow);
    const away = cluster.open('a' as ZoneId, 'b' as ZoneId);
    away.away('rejects');
    const registrar = new Registrar({
      state: away,
      pairSecret: new Uint8Array(32),
      clock,
      random: seededRandom(2),
      log: silentLogger,
    });
    const response = await registrar.register(registration('1001'), flow, who);
    expect([response.status, header(response, 'Retry-After')]).toEqual([503, '5']);
  });
});
