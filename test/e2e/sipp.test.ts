import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Crowd } from '../support/crowd.ts';
import { Installation } from '../support/installation.ts';
import { Sipp, type SippOptions } from '../support/sipp.ts';

type Transport = 'udp' | 'tcp';

interface Calls {
  readonly calls: readonly { readonly state: string }[];
}

interface Status {
  readonly registrations: number;
}

describe.skipIf(Sipp.program === undefined)('sipp', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start();
  });
  afterAll(() => twinline?.stop());

  const crowd = new Crowd(() => twinline);
  const running: Sipp[] = [];
  /** Whose registrations a sipp left. */
  const called: string[] = [];
  afterEach(async ({ task }) => {
    // Who waited may know better than who called.
    if (task.result?.state === 'fail') for (const sipp of running) console.log(sipp.told());
    await Promise.all(running.splice(0).map((sipp) => sipp.stop()));
    for (const user of called.splice(0)) await (await crowd.phone(user)).unregister({ all: true });
    await crowd.leave();
  });

  async function sipp(options: Omit<SippOptions, 'server'>): Promise<Sipp> {
    const server = { address: '127.0.0.1', port: twinline.port(options.transport ?? 'udp') };
    const started = await Sipp.start({ ...options, server });
    running.push(started);
    return started;
  }

  /**
   * Somebody who can be called with sipp's `scenario`. Over UDP one sipp registers and another one waits for calls at its port; over TCP
   * the connection that registered must stay, so one does both.
   */
  async function callee(
    user: string,
    scenario: string,
    transport: Transport,
    options: Partial<SippOptions> = {},
  ): Promise<Sipp> {
    called.push(user);
    if (transport === 'tcp') {
      const before = (await twinline.twinline<Status>('status')).registrations;
      const stays = await sipp({
        scenario: 'register-and-stay',
        outOfCall: scenario,
        user,
        transport,
        calls: 1,
        holdMs: 60_000,
        withinSec: 60,
      });
      await registered(before + 1);
      return stays;
    }
    const registering = await sipp({ scenario: 'register', user, transport, calls: 1 });
    expect(await registering.finished()).toMatchObject({ successful: 1, failed: 0 });
    return sipp({ scenario, user, transport, port: registering.port, ...options });
  }

  async function registered(count: number): Promise<void> {
    await expect
      .poll(async () => (await twinline.twinline<Status>('status')).registrations, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(count);
  }

  describe.each<[Transport, string, string]>([
    ['udp', '1001', '1002'],
    ['tcp', '1003', '1004'],
  ])('over %s', (transport, user, dialled) => {
    it('100 calls at 20 a second: each is set up and ended', async () => {
      const waiting = await callee(dialled, 'callee', transport, { calls: 100 });
      const calling = await sipp({ scenario: 'caller', user, dialled, transport, calls: 100, holdMs: 300 });
      const figures = await calling.finished();
      expect(figures).toMatchObject({ created: 100, successful: 100, failed: 0, unexpected: 0 });
      // Over UDP a busy machine may be slower than T1 now and then.
      if (transport === 'tcp') expect(figures.retransmissions).toBe(0);
      if (transport === 'udp') {
        expect(await waiting.finished()).toMatchObject({ successful: 100, failed: 0, unexpected: 0 });
      }
      await expect
        .poll(
          async () => {
            const { calls } = await twinline.twinline<Calls>('calls');
            return calls.filter(({ state }) => state !== 'ended');
          },
          { timeout: 10_000 },
        )
        .toEqual([]);
    });

    it('CANCEL: 200 for it, 487 for the INVITE, on both sides', async () => {
      await callee(dialled, 'callee-rings', transport);
      const calling = await sipp({ scenario: 'caller-cancels', user, dialled, transport, calls: 10 });
      expect(await calling.finished()).toMatchObject({ successful: 10, failed: 0, unexpected: 0 });
    });

    it('busy: 486 reaches the caller', async () => {
      await callee(dialled, 'callee-busy', transport);
      const calling = await sipp({ scenario: 'caller-refused', user, dialled, transport, calls: 10 });
      expect(await calling.finished()).toMatchObject({ successful: 10, failed: 0, unexpected: 0 });
    });

    it('a late offer', async () => {
      await callee(dialled, 'callee', transport);
      const calling = await sipp({ scenario: 'caller-late-offer', user, dialled, transport, calls: 10 });
      expect(await calling.finished()).toMatchObject({ successful: 10, failed: 0, unexpected: 0 });
    });

    it('a merged request: 482 for the second, a call for the first', async () => {
      // Answers late, so that the second is refused while the first rings.
      await crowd.phone('1005', { answer: { mode: 'auto', afterMs: 500 } });
      // The 180 to the first may come while sipp is about to acknowledge the 482, and is no reason to give up.
      const calling = await sipp({
        scenario: 'caller-merged',
        user,
        dialled: '1005',
        transport,
        calls: 5,
        arguments: ['-default_behaviors', 'all,-abortunexp'],
      });
      expect(await calling.finished()).toMatchObject({ successful: 5, failed: 0 });
    });
  });

  it('every tenth datagram is lost: retransmissions bring all calls about', async () => {
    const lossPercent = 10;
    await callee('1006', 'callee', 'udp', { lossPercent });
    const calling = await sipp({
      scenario: 'caller',
      user: '1005',
      dialled: '1006',
      calls: 30,
      ratePerSec: 30,
      lossPercent,
    });
    const figures = await calling.finished();
    expect(figures).toMatchObject({ successful: 30, failed: 0 });
    expect(figures.retransmissions).toBeGreaterThan(0);
  });

  it('a wrong password is refused, the right one still serves', async () => {
    const wrong = await sipp({ scenario: 'register', user: '1007', password: 'guess', calls: 1 });
    await expect(wrong.finished()).rejects.toThrow(/401/);
    const right = await sipp({ scenario: 'register', user: '1007', calls: 1 });
    expect(await right.finished()).toMatchObject({ successful: 1 });
  });

  it('sipp and a phone of ours call each other', async () => {
    const ada = await crowd.phone('1001', { transport: 'tls', srtp: ['AES_CM_128_HMAC_SHA1_80'] });
    const calling = await sipp({ scenario: 'caller', user: '1007', dialled: '1001', calls: 1 });
    const incoming = await ada.incoming();
    await incoming.acknowledged();
    expect((await incoming.ended()).how).toBe('bye');
    await calling.finished();
    await callee('1008', 'callee', 'udp');
    const outgoing = await ada.call('1008');
    await outgoing.answered();
    expect((await outgoing.bye())?.status).toBe(200);
  });
});
