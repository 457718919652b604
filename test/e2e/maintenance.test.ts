import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Installation } from '../support/installation.ts';
import {
  callsIn,
  expectUnnoticed,
  gapsOf,
  holdResumeAndEnd,
  manyCalls,
  resetGaps,
  type Status,
  statusWhen,
  zoneOf,
} from '../support/many-calls.ts';
import type { Phone } from '../support/phone.ts';
import { callAndTalk, hearEachOther } from '../support/talk.ts';

interface Moved {
  target: string;
  calls: number;
}

/** What a person on the phone would notice (the installation's aim for a rolling restart). */
const AUDIBLE_MS = 500;

describe('an operator works on a running system', () => {
  let twinline: Installation;
  let phones: Phone[] = [];
  beforeEach(async () => {
    twinline = await Installation.start();
  });
  afterEach(async () => {
    for (const phone of phones) await phone.close();
    await twinline?.stop();
  });

  const callsOf = (status: Status, id: string) =>
    status.zones.flatMap(({ switches }) => switches).find((one) => one.id === id)?.calls;

  it('empties a switch: its calls go on in the sibling, no packet is late, and it serves again afterwards', async () => {
    const crowd = await manyCalls(twinline, 20);
    phones = crowd.phones;
    const { talks } = crowd;
    const seen = phones.map((phone) => phone.received.next);
    resetGaps(talks);
    const moved = await twinline.twinline<Moved>('drain', 'switch', 'a1');
    expect(moved.calls).toBeGreaterThan(0);
    await Promise.all(talks.map((talk) => hearEachOther(talk, 25)));
    await statusWhen(twinline, 'switch a1 is empty', (status) => callsOf(status, 'a1') === 0);
    await expectUnnoticed(twinline, phones, talks, seen);
    expect(gapsOf(talks).at(-1)).toBeLessThan(AUDIBLE_MS);
    await twinline.twinline('undrain', 'switch', 'a1');
    await holdResumeAndEnd(talks);
    // New calls come to it again.
    const [one, other] = phones as [Phone, Phone];
    const again = [];
    for (let call = 0; call < 8; call++) again.push(await callAndTalk(one, other));
    await statusWhen(twinline, 'switch a1 has calls', (status) => (callsOf(status, 'a1') ?? 0) > 0);
    for (const { caller } of again) await caller.bye();
  });

  it('empties a zone into its twin, and back', async () => {
    const crowd = await manyCalls(twinline, 10);
    phones = crowd.phones;
    const { talks } = crowd;
    const seen = phones.map((phone) => phone.received.next);
    await twinline.twinline('drain', 'zone', 'a');
    await statusWhen(twinline, 'zone b has all calls', (status) => callsIn(status, 'b') === talks.length);
    await twinline.twinline('undrain', 'zone', 'a');
    await twinline.twinline('drain', 'zone', 'b');
    await statusWhen(twinline, 'zone a has all calls', (status) => callsIn(status, 'a') === talks.length);
    await Promise.all(talks.map((talk) => hearEachOther(talk, 10)));
    await expectUnnoticed(twinline, phones, talks, seen);
    await holdResumeAndEnd(talks);
  });

  it('moves one call to a switch of the other zone', async () => {
    const crowd = await manyCalls(twinline, 1);
    phones = crowd.phones;
    const { talks } = crowd;
    const seen = phones.map((phone) => phone.received.next);
    const callOf = async () =>
      (await twinline.twinline<{ calls: { id: string; switch: string }[] }>('calls')).calls[0];
    await expect.poll(callOf).toBeDefined();
    const before = (await callOf())!;
    const to = before.switch.startsWith('a') ? 'b2' : 'a2';
    expect(await twinline.twinline('move', before.id, 'switch', to)).toMatchObject({ calls: 1 });
    expect(await callOf()).toMatchObject({ id: before.id, switch: to });
    await Promise.all(talks.map((talk) => hearEachOther(talk, 10)));
    await expectUnnoticed(twinline, phones, talks, seen);
    await holdResumeAndEnd(talks);
  });

  it('restarts everything, one after the other, while calls talk: none is lost, no gap can be heard', async () => {
    const crowd = await manyCalls(twinline, 20);
    phones = crowd.phones;
    const { talks } = crowd;
    const pids = await twinline.twinline<{ zones: { pid: number }[]; edges: { pid: number }[] }>('status');
    resetGaps(talks);
    expect(await twinline.twinline('restart', 'all')).toMatchObject({ target: 'everything' });
    await Promise.all(talks.map((talk) => hearEachOther(talk, 25)));
    const sorted = gapsOf(talks);
    console.log(
      `everything restarted: longest gaps, median ${sorted[sorted.length >> 1]?.toFixed(1)} ms, worst ${sorted.at(-1)?.toFixed(1)} ms`,
    );
    expect(sorted.at(-1)).toBeLessThan(AUDIBLE_MS);
    const after = await twinline.twinline<typeof pids & Status>('status');
    expect(after.calls).toBe(talks.length);
    for (const [at, { pid }] of after.zones.entries()) expect(pid).not.toBe(pids.zones[at]!.pid);
    for (const [at, { pid }] of after.edges.entries()) expect(pid).not.toBe(pids.edges[at]!.pid);
    await holdResumeAndEnd(talks);
  });

  it('is told in a sentence when nobody could take the calls over', async () => {
    await twinline.twinline('kill', 'zone', 'b');
    await statusWhen(twinline, 'zone b is down', (status) => zoneOf(status, 'b')?.state === 'down');
    await expect(twinline.twinline('restart', 'zone', 'a')).rejects.toThrow(
      /nobody could take its calls over/,
    );
    await expect(twinline.twinline('move', 'nosuchcall', 'switch', 'a1')).rejects.toThrow(
      /no switch has a call/,
    );
    await expect(twinline.twinline('move', 'nosuchcall', 'switch', 'z1')).rejects.toThrow(
      /there is no switch z1/,
    );
  });
});
