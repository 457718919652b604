import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { header } from '../../src/sip/index.ts';
import { EdgeFigures } from '../support/edge-figures.ts';
import { Installation, ROOT } from '../support/installation.ts';
import type { Phone } from '../support/phone.ts';
import { hearEachOther, registeredPhone, type Talk } from '../support/talk.ts';
import { listen } from '../support/undisturbed.ts';

/** Of each zone. */
const CAPACITY = 8;

describe('an installation whose zones carry eight calls each', () => {
  let scratch: string;
  let twinline: Installation;
  let edge: EdgeFigures;
  let ada: Phone;
  let charles: Phone;
  const talks: Talk[] = [];

  beforeAll(async () => {
    scratch = mkdtempSync(path.join(tmpdir(), 'twinline-load-'));
    const topology = path.join(scratch, 'small.yaml');
    const local = readFileSync(path.join(ROOT, 'sip-zones/local.yaml'), 'utf8');
    writeFileSync(topology, local.replaceAll('calls: 2000', `calls: ${CAPACITY}`));
    twinline = await Installation.start({ topology });
    edge = new EdgeFigures(twinline);
    ada = await registeredPhone(twinline, '1001', { phone: { waitMs: 15_000 } });
    charles = await registeredPhone(twinline, '1002', { phone: { waitMs: 15_000 } });
  });
  afterAll(async () => {
    await ada?.close();
    await charles?.close();
    edge?.close();
    await twinline?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  /** One more call, or what it was refused with; the edge has heard of its weight when this resolves. */
  async function oneMore(): Promise<number> {
    const caller = await ada.call('1002');
    const event = await caller.event(
      'an answer or the end',
      ({ type }) => type === 'answered' || type === 'ended',
    );
    if (event.type === 'ended') return event.status ?? 0;
    const callee = await charles.incoming();
    await callee.acknowledged();
    talks.push({ caller, callee });
    await hearEachOther({ caller, callee });
    await loadIs(talks.length);
    return 200;
  }

  /** Calls of all zones together, by the loads that their switches told the edge. */
  const loadIs = (calls: number) =>
    edge.when(`the edge knows of ${calls} calls`, ({ zones }) => {
      const told = zones.reduce((sum, { load }) => sum + load * CAPACITY, 0);
      return Math.abs(told - calls) < 0.4;
    });

  async function fill(): Promise<void> {
    for (;;) {
      const status = await oneMore();
      if (status === 200) continue;
      expect(status).toBe(503);
      return;
    }
  }

  async function hangUpAllBut(kept: number): Promise<void> {
    for (const talk of talks.splice(kept)) {
      await talk.caller.bye();
      await talk.callee.ended();
    }
    await loadIs(kept);
  }

  it('takes calls to the half of it; above, a new one hears 503 with Retry-After', async () => {
    await fill();
    // Up to and with the one that crosses the line, in each zone.
    expect(talks.length).toBeGreaterThanOrEqual(CAPACITY);
    expect(talks.length).toBeLessThanOrEqual(CAPACITY + 2);
    const refused = await ada.message((message) => message.kind === 'response' && message.status === 503);
    expect(Number(header(refused, 'Retry-After'))).toBeGreaterThan(0);
  });

  it('what is up is not touched: it is heard, held and resumed; phones register', async () => {
    const [first, ...others] = talks;
    // The first is held in between.
    const unheard = listen(others);
    expect(await (await ada.call('1002')).ended()).toMatchObject({ how: 'failed', status: 503 });
    expect((await first!.caller.hold()).status).toBe(200);
    expect((await first!.caller.resume()).status).toBe(200);
    await using another = await registeredPhone(twinline, '1003');
    expect(another.registrations[0]!.registered).toBe(true);
    await another.unregister();
    await hearEachOther(first!);
    await unheard();
    expect(first!.caller.end).toBeUndefined();
  });

  it('emergency calls pass the line, as many as their reserve has', async () => {
    const statuses: (number | undefined)[] = [];
    for (let call = 0; call < 14; call++) statuses.push((await (await ada.call('112')).ended()).status);
    // The demo has no such number: a switch has looked for it. What the reserve has not is an ordinary call.
    expect(statuses.slice(0, 12)).toEqual(Array.from({ length: 12 }, () => 404));
    expect(statuses).toContain(503);
    expect((await (await ada.call('1002')).ended()).status).toBe(503);
  });

  it('calls that have ended make room at once', async () => {
    await hangUpAllBut(3);
    const { zones } = await twinline.twinline<{ zones: { loadPercent: number }[] }>('status');
    expect(zones.every(({ loadPercent }) => loadPercent < 50)).toBe(true);
    expect(await oneMore()).toBe(200);
  });

  it('with one zone dead the other fills to the whole', async () => {
    await twinline.twinline('kill', 'zone', 'b');
    await edge.when('zone a is alone', ({ zones }) => zones.length === 1);
    await Promise.all(talks.map((talk) => hearEachOther(talk, 20)));
    await loadIs(talks.length);
    await fill();
    expect(talks).toHaveLength(CAPACITY);
    await Promise.all(talks.map((talk) => hearEachOther(talk)));
    expect(talks.every(({ caller, callee }) => caller.end === undefined && callee.end === undefined)).toBe(
      true,
    );
  });
});
