import { expect } from 'vitest';
import type { Installation } from './installation.ts';
import type { Phone } from './phone.ts';
import {
  audioOf,
  callAndTalk,
  hearEachOther,
  registeredPhone,
  type Talk,
  type UserPhoneOptions,
} from './talk.ts';

export interface Status {
  zones: { id: string; state: string; switches: { id: string; calls: number }[] }[];
  edges: { id: string; state: string; openZones: string[] }[];
  calls: number;
  registrations: number;
}

/** Ten phones in five talking pairs, `calls` calls spread over them. */
export async function manyCalls(
  twinline: Installation,
  calls: number,
  options: UserPhoneOptions = {},
): Promise<{ phones: Phone[]; talks: Talk[] }> {
  const users = ['1001', '1002', '1003', '1004', '1005', '1006', '1007', '1008', '1009', '1010'];
  const phones = await Promise.all(users.map((user) => registeredPhone(twinline, user, options)));
  const talks: Talk[] = [];
  for (let call = 0; call < calls; call++) {
    const pair = call % 5;
    talks.push(await callAndTalk(phones[2 * pair]!, phones[2 * pair + 1]!));
  }
  return { phones, talks };
}

export const gapsOf = (talks: readonly Talk[]): number[] =>
  talks
    .flatMap(({ caller, callee }) => [
      audioOf(caller).stats().longestGapMs,
      audioOf(callee).stats().longestGapMs,
    ])
    .sort((a, b) => a - b);

export function resetGaps(talks: readonly Talk[]): void {
  for (const { caller, callee } of talks) {
    audioOf(caller).resetGap();
    audioOf(callee).resetGap();
  }
}

/** What nobody may have noticed: nothing was sent to a phone, every call is still there. */
export async function expectUnnoticed(
  twinline: Installation,
  phones: Phone[],
  talks: Talk[],
  seen: number[],
): Promise<void> {
  expect(phones.map((phone) => phone.received.next)).toEqual(seen);
  const { calls } = await twinline.twinline<Status>('status');
  expect(calls).toBe(talks.length);
}

/** The calls are not only heard but served: hold, resume and BYE are answered by whoever owns them now. */
export async function holdResumeAndEnd(talks: readonly Talk[]): Promise<void> {
  for (const talk of talks) {
    expect((await talk.caller.hold()).status).toBe(200);
    expect((await talk.callee.hold()).status).toBe(200);
    await talk.callee.resume();
    await talk.caller.resume();
    await hearEachOther(talk, 3);
    await talk.callee.bye();
    expect((await talk.caller.ended()).how).toBe('bye');
  }
}

export const zoneOf = (status: Status, zone: string) => status.zones.find(({ id }) => id === zone);
export const callsIn = (status: Status, zone: string) =>
  zoneOf(status, zone)?.switches.reduce((sum, one) => sum + one.calls, 0) ?? 0;

/** Asks for the status until it is as wished: the installation's own report is the event. */
export async function statusWhen(
  twinline: Installation,
  what: string,
  wished: (status: Status) => boolean,
): Promise<Status> {
  const endMs = performance.now() + 15_000;
  for (;;) {
    const status = await twinline.twinline<Status>('status');
    if (wished(status)) return status;
    if (performance.now() > endMs)
      throw new Error(`not within 15 s: ${what}; last ${JSON.stringify(status)}`);
  }
}
