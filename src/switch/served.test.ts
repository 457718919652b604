import { beforeEach, expect, test } from 'vitest';
import {
  type AccountId,
  type EdgeId,
  type FlowId,
  seededRandom,
  silentLogger,
  VirtualClock,
  type ZoneId,
} from '../base/index.ts';
import { type DirectorySnapshot, indexDirectories, type Places, servingRefusal } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import {
  answerChallenge,
  createRequest,
  hashHa1,
  header,
  parseMessage,
  type SipResponse,
} from '../sip/index.ts';
import { MemoryCluster } from '../state/index.ts';
import { Requests } from './requests.ts';

const DOMAIN = 'acme.test';
const PASSWORD = 'secret';
const PLACES: Places = {
  dataCentres: [
    { id: 'fra', region: 'eu', secondary: 'ams', zones: ['fraa'] },
    { id: 'ams', region: 'eu', secondary: 'fra', zones: ['amsa'] },
    { id: 'syd', region: 'au', secondary: 'mel', zones: ['syda'] },
  ],
  regions: [{ id: 'eu', locked: true }],
};
const account = (regionLock?: string) =>
  ({
    v: 1,
    account: 'acme' as AccountId,
    number: 1,
    domains: [DOMAIN],
    ...(regionLock === undefined ? {} : { regionLock }),
    sites: [{ id: 'main', name: 'Main', code: '81', zone: 'fraa' }],
    users: [
      {
        id: '1001',
        siteId: 'main',
        extension: '1001',
        displayName: 'Ada',
        ring: { mode: 'all', maxWaitSec: 30 },
      },
    ],
    devices: [
      {
        id: '1001',
        userId: '1001',
        sipUser: '1001',
        domain: DOMAIN,
        ha1: { md5: hashHa1('1001', DOMAIN, PASSWORD, 'MD5') },
        digestAlgorithms: ['MD5'],
        mediaProfile: 'desk-128',
        maxBindings: 10,
      },
    ],
  }) as unknown as DirectorySnapshot;

const flow: Flow = {
  id: 'f' as FlowId,
  edge: 'edge1' as EdgeId,
  transport: 'udp',
  local: { address: '10.0.0.9', port: 5060 },
  remote: { address: '10.0.0.1', port: 4000 },
};

let answers: SipResponse[];
beforeEach(() => {
  answers = [];
});

/** Sends it as a phone does, with credentials when it is asked for them. Gives the last answer; undefined: a call begins. */
async function ask(
  method: 'REGISTER' | 'INVITE',
  at: string,
  options: { lock?: string; serving?: string; password?: string } = {},
): Promise<SipResponse | undefined> {
  const clock = new VirtualClock();
  const directories = indexDirectories([account(options.lock)]);
  const here = { places: PLACES, dataCentre: at, retryAfterSec: 30 };
  const requests = new Requests({
    clock,
    random: seededRandom(1),
    state: new MemoryCluster({ clock }).open('a' as ZoneId, 'b' as ZoneId),
    pairSecret: new Uint8Array(32).fill(7),
    directories: { directories, refresh: async () => {}, close: () => {} },
    serverName: 'Twinline',
    log: silentLogger,
    notServed: (index, user) => servingRefusal(here, index, user, () => options.serving),
    answer: (_, text) => {
      const parsed = parseMessage(Buffer.from(text, 'latin1'));
      if (parsed.ok && parsed.message.kind === 'response') answers.push(parsed.message);
    },
  });
  const uri = method === 'REGISTER' ? `sip:${DOMAIN}` : `sip:1002@${DOMAIN}`;
  const request = (authorization?: Record<string, string>) =>
    createRequest({
      method,
      uri,
      headers: {
        Via: 'SIP/2.0/UDP 10.0.0.1:4000;branch=z9hG4bK1',
        From: `<sip:1001@${DOMAIN}>;tag=a`,
        To: method === 'REGISTER' ? `<sip:1001@${DOMAIN}>` : `<${uri}>`,
        'Call-ID': 'one',
        CSeq: `1 ${method}`,
        Contact: '<sip:1001@10.0.0.1:4000>',
        ...authorization,
      },
    });
  await requests.handle(request(), flow);
  const [asking, answering] =
    method === 'REGISTER'
      ? ['WWW-Authenticate', 'Authorization']
      : ['Proxy-Authenticate', 'Proxy-Authorization'];
  const challenge = header(answers.at(-1)!, asking!)!;
  const credentials = answerChallenge(challenge, {
    method,
    uri,
    user: '1001',
    password: options.password ?? PASSWORD,
    cnonce: 'c',
  });
  const work = await requests.handle(request({ [answering!]: credentials! }), flow);
  return work === undefined ? answers.at(-1) : undefined;
}

test('an account that is locked to Europe gets 403 with its name in Sydney, to REGISTER and INVITE (PH-ZONE-14, TR-RES-08)', async () => {
  for (const method of ['REGISTER', 'INVITE'] as const) {
    const answer = await ask(method, 'syd', { lock: 'eu', serving: 'syd' });
    expect([answer?.status, answer?.reason]).toEqual([403, 'The account is locked to region eu']);
  }
});

test('who has no right password learns nothing of locks and data centres', async () => {
  const answer = await ask('REGISTER', 'syd', { lock: 'eu', password: 'guessed' });
  expect(answer?.status).toBe(401);
});

test('at home it registers and calls; at the secondary when that serves', async () => {
  expect((await ask('REGISTER', 'fra', { lock: 'eu' }))?.status).toBe(200);
  expect(await ask('INVITE', 'fra', { lock: 'eu' })).toBeUndefined();
  expect((await ask('REGISTER', 'ams', { lock: 'eu', serving: 'ams' }))?.status).toBe(200);
  expect(await ask('INVITE', 'ams', { lock: 'eu', serving: 'ams' })).toBeUndefined();
});

test('where another data centre serves it gets 503 and is told when to look again', async () => {
  for (const method of ['REGISTER', 'INVITE'] as const) {
    const answer = await ask(method, 'fra', { serving: 'ams' });
    expect([answer?.status, answer?.reason]).toEqual([503, 'Data centre ams serves this user']);
    expect(header(answer!, 'Retry-After')).toBe('30');
  }
});
