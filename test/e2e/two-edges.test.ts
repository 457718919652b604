import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { header } from '../../src/sip/index.ts';
import { callRecords } from '../support/call-records.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { statusWhen } from '../support/many-calls.ts';
import type { Phone } from '../support/phone.ts';
import type { PhoneTransportName } from '../support/phone-transport.ts';
import { callAndTalk, hearEachOther, registeredPhone, type UserPhoneOptions } from '../support/talk.ts';

const KEEP_SEC = 6;
let twinline: Installation;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'twinline-two-edges-'));
  const topology = path.join(directory, 'two-edges.yaml');
  const text = readFileSync(path.join(ROOT, 'sip-zones/two-edges.yaml'), 'utf8');
  writeFileSync(topology, `keep-lost-phones: ${KEEP_SEC}\n${text}`);
  twinline = await Installation.start({ topology });
});
afterAll(async () => {
  await twinline?.stop();
  rmSync(directory, { recursive: true, force: true });
});
afterEach(() => bothEdgesUp());

const offsets = { udp: 0, tcp: 0, tls: 1, ws: 2, wss: 3 } as const;
const edge = (number: 1 | 2, transport: PhoneTransportName) => ({
  address: '127.0.0.1',
  port: twinline.portBase + 50 + 10 * number + offsets[transport],
});
const edges = (transport: PhoneTransportName) => [edge(1, transport), edge(2, transport)];

/** Registered over a flow to each edge (RFC 5626). */
function phoneWithTwoFlows(user: string, transport: PhoneTransportName, more: UserPhoneOptions = {}) {
  const instanceId = `urn:uuid:00000000-0000-4000-8000-00000000${user}`;
  return registeredPhone(twinline, user, {
    ...more,
    transport,
    phone: { servers: edges(transport), instanceId, recoverAfterMs: 200 },
  });
}

/** Registered at one edge, and at the other when that is gone. */
const phoneWithList = (user: string, transport: PhoneTransportName, first: 1 | 2 = 1) =>
  registeredPhone(twinline, user, {
    transport,
    phone: {
      servers: first === 1 ? edges(transport) : edges(transport).reverse(),
      recoverAfterMs: 100,
    },
  });

const bothEdgesUp = () =>
  statusWhen(twinline, 'both edges are up', ({ edges }) =>
    edges.every(({ state, openZones }) => state === 'up' && openZones.length > 0),
  );

const killEdge = (id: string) => twinline.twinline('kill', 'edge', id);
const lostItsFlow = (phone: Phone) =>
  phone.flowEvents.first('the end of a flow', (event) => event.startsWith('closed'), { waitMs: 5_000 });
const invites = (phone: Phone): number =>
  new Set(
    phone.received.items.flatMap(({ message }) =>
      message.kind === 'request' && message.method === 'INVITE' ? [header(message, 'Call-ID')] : [],
    ),
  ).size;

describe.each(['tcp', 'tls', 'wss'] as const)('phones with two flows over %s', (transport) => {
  it('talk on when an edge is killed, and hold, resume and end their call over the other', async () => {
    await using ada = await phoneWithTwoFlows('1001', transport);
    await using charles = await phoneWithTwoFlows('1002', transport);
    const talk = await callAndTalk(ada, charles);
    expect(invites(charles)).toBe(1);
    await killEdge('edge1');
    await Promise.all([lostItsFlow(ada), lostItsFlow(charles)]);
    expect((await talk.callee.hold()).status).toBe(200);
    expect((await talk.callee.resume()).status).toBe(200);
    await hearEachOther(talk, 50);
    expect((await talk.caller.hold()).status).toBe(200);
    expect((await talk.caller.resume()).status).toBe(200);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  });
});

describe('phones with two flows', () => {
  it('one rings when its edge dies: it is answered over the other edge', async () => {
    await using ada = await phoneWithTwoFlows('1001', 'tcp');
    await using charles = await phoneWithTwoFlows('1002', 'tcp', { answer: { mode: 'manual' } });
    const caller = await ada.call('1002');
    const callee = await charles.incoming();
    await caller.ringing();
    for (const id of ['edge1']) await killEdge(id);
    await Promise.all([lostItsFlow(ada), lostItsFlow(charles)]);
    callee.answer();
    await caller.answered();
    await callee.acknowledged();
    await hearEachOther({ caller, callee });
    await caller.bye();
    expect((await callee.ended()).how).toBe('bye');
    expect(invites(charles)).toBe(1);
  });

  it('one rings when its edge dies: the caller gives up over the other edge', async () => {
    await using ada = await phoneWithTwoFlows('1001', 'tcp');
    await using charles = await phoneWithTwoFlows('1002', 'tcp', { answer: { mode: 'manual' } });
    const caller = await ada.call('1002');
    const callee = await charles.incoming();
    await caller.ringing();
    await killEdge('edge1');
    await Promise.all([lostItsFlow(ada), lostItsFlow(charles)]);
    caller.cancel();
    expect(await caller.ended()).toMatchObject({ how: 'cancel' });
    expect((await callee.ended()).how).toBe('cancel');
  });

  it('are called in the moment in which an edge is gone, and ring once', async () => {
    await using ada = await phoneWithTwoFlows('1001', 'tcp');
    await using charles = await phoneWithTwoFlows('1002', 'tcp');
    await killEdge('edge2');
    await Promise.all([lostItsFlow(ada), lostItsFlow(charles)]);
    const talk = await callAndTalk(ada, charles);
    expect(invites(charles)).toBe(1);
    await talk.caller.bye();
    await talk.callee.ended();
  });

  it('an edge freezes: it is killed and started again, its phones use the other meanwhile', async () => {
    await using ada = await phoneWithTwoFlows('1001', 'udp');
    await using charles = await phoneWithTwoFlows('1002', 'udp');
    const talk = await callAndTalk(ada, charles);
    const frozenAtMs = performance.now();
    const before = await edgePids();
    await twinline.twinline('freeze', 'edge', 'edge1');
    await twinline.twinline('freeze', 'edge', 'edge2').catch(() => {});
    await bothEdgesUp();
    expect(performance.now() - frozenAtMs).toBeLessThan(15_000);
    expect((await edgePids()).filter((pid) => before.includes(pid))).toEqual([]);
    await hearEachOther(talk, 50);
    expect((await talk.callee.hold()).status).toBe(200);
    expect((await talk.callee.resume()).status).toBe(200);
    await talk.caller.bye();
    expect((await talk.callee.ended()).how).toBe('bye');
  });
});

async function edgePids(): Promise<number[]> {
  const { edges: all } = await twinline.twinline<{ edges: { pid: number }[] }>('status');
  return all.map(({ pid }) => pid);
}

describe('phones with one flow', () => {
  it.each(['tcp', 'wss'] as const)(
    'over %s register at the other edge when theirs dies, and their call goes on',
    async (transport) => {
      await using ada = await phoneWithList('1001', transport);
      await using charles = await phoneWithList('1002', transport);
      const talk = await callAndTalk(ada, charles);
      await killEdge('edge1');
      for (const phone of [ada, charles])
        await phone.flowEvents.first('recovery', (event) => event === 'recovered', { waitMs: 5_000 });
      expect((await talk.callee.hold()).status).toBe(200);
      expect((await talk.callee.resume()).status).toBe(200);
      await hearEachOther(talk, 50);
      await talk.caller.bye();
      expect((await talk.callee.ended()).how).toBe('bye');
    },
  );

  it('over UDP find their edge again', async () => {
    await using ada = await registeredPhone(twinline, '1001');
    await using charles = await registeredPhone(twinline, '1002', { phone: { servers: [edge(2, 'udp')] } });
    const talk = await callAndTalk(ada, charles);
    await killEdge('edge1');
    expect((await talk.callee.hold()).status).toBe(200);
    expect((await talk.callee.resume()).status).toBe(200);
    await hearEachOther(talk, 50);
    await talk.caller.bye();
    expect((await talk.callee.ended()).how).toBe('bye');
  });

  it('one does not come back: the other hears the end of the call, and the record says why', async () => {
    await using ada = await registeredPhone(twinline, '1001', { transport: 'tcp' });
    await using charles = await phoneWithTwoFlows('1002', 'tcp');
    const talk = await callAndTalk(ada, charles);
    const fromMs = performance.now();
    await ada.transport.close();
    const end = await talk.callee.ended((KEEP_SEC + 5) * 1000);
    expect(end.how).toBe('bye');
    expect(performance.now() - fromMs).toBeGreaterThan(KEEP_SEC * 1000 - 500);
    const bySystem = () => callRecords(twinline).filter(({ endedBy }) => endedBy === 'system');
    await expect.poll(bySystem, { timeout: 10_000 }).toHaveLength(1);
    expect(bySystem()[0]).toMatchObject({
      outcome: 'answered',
      reason: "the caller's connection ended and the phone did not come back",
    });
  });
});

it('ada is at one edge and charles at the other; they talk on when a zone dies, and end their call', async () => {
  await using ada = await registeredPhone(twinline, '1001');
  await using charles = await registeredPhone(twinline, '1002', { phone: { servers: [edge(2, 'udp')] } });
  const talk = await callAndTalk(ada, charles);
  const status = await twinline.twinline<{ edges: { id: string; state: string }[] }>('status');
  expect(status.edges.map(({ id, state }) => `${id} ${state}`)).toEqual(['edge1 up', 'edge2 up']);
  const { calls } = await twinline.twinline<{ calls: { zone: string }[] }>('calls');
  await twinline.twinline('kill', 'zone', calls[0]!.zone);
  await hearEachOther(talk, 50);
  expect((await talk.callee.hold()).status).toBe(200);
  expect((await talk.callee.resume()).status).toBe(200);
  await talk.caller.bye();
  expect((await talk.callee.ended()).how).toBe('bye');
});
