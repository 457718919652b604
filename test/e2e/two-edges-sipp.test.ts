import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { keepEdgeDead } from '../support/dead-edge.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { statusWhen } from '../support/many-calls.ts';
import type { Phone, PhoneCall } from '../support/phone.ts';
import { Sipp, type SippOptions } from '../support/sipp.ts';
import { audioOf, registeredPhone } from '../support/talk.ts';

const USER = '1002';

/**
 * sipp with a flow to each of two edges (RFC 5626), over UDP from one socket: on a stream it ends its calls with the connection. What it
 * hears it says back.
 */
describe.skipIf(Sipp.program === undefined)('sipp at two edges', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start({ topology: path.join(ROOT, 'sip-zones/two-edges.yaml') });
  });
  afterAll(() => twinline?.stop());

  const leaving: (() => Promise<unknown>)[] = [];
  const running: Sipp[] = [];
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') for (const one of running) console.log(one.told(), one.logged());
    running.splice(0);
    for (const leave of leaving.splice(0).reverse()) await leave();
    await statusWhen(twinline, 'both edges are up', ({ edges }) =>
      edges.every(({ state, openZones }) => state === 'up' && openZones.length > 0),
    );
  });

  const edge = (number: number) => ({ address: '127.0.0.1', port: twinline.portBase + 50 + 10 * number });

  async function sipp(options: Omit<SippOptions, 'server' | 'user'>): Promise<Sipp> {
    const started = await Sipp.start({ ...options, server: edge(1), user: USER, calls: 1 });
    running.push(started);
    leaving.push(() => started.stop());
    return started;
  }

  /** The port of a phone with both flows, where another sipp may go on. */
  async function registered(): Promise<number> {
    const registering = await sipp({
      scenario: 'register-two-flows',
      arguments: ['-key', 'second', String(edge(2).port)],
    });
    expect(await registering.finished()).toMatchObject({ successful: 1, failed: 0 });
    return registering.port;
  }

  /** At both edges too, so that either may die. */
  async function ada(): Promise<Phone> {
    const phone = await registeredPhone(twinline, '1001', {
      transport: 'tcp',
      phone: { servers: [edge(1), edge(2)], instanceId: 'urn:uuid:00000000-0000-4000-8000-000000001001' },
    });
    leaving.push(() => phone.close());
    return phone;
  }

  /** Until the phone has heard of it in its call: a target refresh over its other flow says where we are now. */
  async function edgeDies(number: number, phone: Sipp): Promise<void> {
    const before = phone.logged().length;
    leaving.push(keepEdgeDead(twinline, `edge${number}`));
    await expect.poll(() => phone.logged().length, { timeout: 10_000 }).toBeGreaterThan(before);
  }

  /** Of what the phone sends so much comes back. */
  const hearsItself = (call: PhoneCall, packets: number) =>
    audioOf(call).heard({ packets, withinMs: 10_000 });

  it('is called: the edge dies that its call came by, and it is held, taken up and ended over its other flow', async () => {
    const port = await registered();
    const phone = await sipp({ scenario: 'callee-two-flows', port, arguments: ['-rtp_echo'] });
    const us = await ada();
    const call = await us.call(USER);
    await call.answered();
    await hearsItself(call, 50);
    const [invite] = phone.logged();
    const [used, other] = invite === `INVITE from ${edge(1).port}` ? [1, 2] : [2, 1];
    expect(invite).toBe(`INVITE from ${edge(used).port}`);

    await edgeDies(used, phone);
    await hearsItself(call, 50);
    expect((await call.hold()).status).toBe(200);
    expect((await call.resume()).status).toBe(200);
    await hearsItself(call, 50);
    expect((await call.bye())?.status).toBe(200);
    expect(await phone.finished()).toMatchObject({ successful: 1, failed: 0, unexpected: 0 });
    expect(phone.logged()).toEqual(
      [edge(used), edge(other), edge(other), edge(other), edge(other)].map(
        ({ port: from }, at) => `${at < 4 ? 'INVITE' : 'BYE'} from ${from}`,
      ),
    );
  });

  it('calls by one edge: that dies, and it is held over its other flow and ends its call there', async () => {
    const port = await registered();
    const us = await ada();
    const phone = await sipp({
      scenario: 'caller-two-flows',
      dialled: '1001',
      port,
      arguments: ['-rtp_echo'],
    });
    const call = await us.incoming();
    await call.acknowledged();
    await hearsItself(call, 50);

    await edgeDies(1, phone);
    await hearsItself(call, 50);
    expect((await call.hold()).status).toBe(200);
    expect((await call.resume()).status).toBe(200);
    await hearsItself(call, 50);
    expect((await call.hold()).status).toBe(200);
    expect((await call.ended()).how).toBe('bye');
    expect(await phone.finished()).toMatchObject({ successful: 1, failed: 0, unexpected: 0 });
    expect(phone.logged()).toEqual(Array(4).fill(`INVITE from ${edge(2).port}`));
  });
});
