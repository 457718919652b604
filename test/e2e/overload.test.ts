import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { header } from '../../src/sip/index.ts';
import { Installation, ROOT } from '../support/installation.ts';
import type { Phone, PhoneCall } from '../support/phone.ts';
import { callAndTalk, hearEachOther, registeredPhone } from '../support/talk.ts';

const CALLS = 40;
let twinline: Installation;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'twinline-overload-'));
  const topology = path.join(directory, 'small.yaml');
  const text = readFileSync(path.join(ROOT, 'sip-zones/local.yaml'), 'utf8');
  // Two calls a second in each zone while both are up: easily too many come.
  writeFileSync(topology, text.replaceAll('calls-per-second: 200', 'calls-per-second: 4'));
  twinline = await Installation.start({ topology });
});
afterAll(async () => {
  await twinline?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Answered, or the status that refused it. */
async function outcomeOf(call: PhoneCall): Promise<number> {
  const event = await call.event('an outcome', ({ type }) => type === 'answered' || type === 'ended', 20_000);
  if (event.type !== 'ended') return 200;
  return event.status ?? 0;
}

it('too many calls: some are accepted and complete, the rest gets 503, nobody who talks hears of it', async () => {
  await using ada = await registeredPhone(twinline, '1001');
  await using charles = await registeredPhone(twinline, '1002');
  await using grace = await registeredPhone(twinline, '1003');
  await using alan = await registeredPhone(twinline, '1004');
  const talk = await callAndTalk(ada, charles);
  const calls: PhoneCall[] = [];
  for (let at = 0; at < CALLS; at++) {
    calls.push(await grace.call('1004'));
    // As fast as the held call's audio goes on: five packets are 100 ms.
    await hearEachOther(talk, 5);
  }
  const emergency = await grace.call('112');
  expect(await outcomeOf(emergency), 'nobody here has 112, but the call was looked at').toBe(404);
  const outcomes = await Promise.all(calls.map(outcomeOf));
  const accepted = calls.filter((_, at) => outcomes[at] === 200);
  expect(new Set(outcomes)).toEqual(new Set([200, 503]));
  expect(accepted.length).toBeGreaterThanOrEqual(4);
  for (const { message } of refusalsTo(grace)) expect(header(message, 'Retry-After')).toMatch(/^\d+$/);
  for (const call of accepted) expect((await call.bye())?.status).toBe(200);
  await untilAccepted(grace);
  expect((await talk.callee.hold()).status).toBe(200);
  expect((await talk.callee.resume()).status).toBe(200);
  await talk.caller.bye();
  expect((await talk.callee.ended()).how).toBe('bye');
  expect(alan.activeCalls).toEqual([]);
});

const refusalsTo = (phone: Phone) =>
  phone.received.items.filter(({ message }) => message.kind === 'response' && message.status === 503);

/** PH-ZONE-07: within 5 s. */
async function untilAccepted(phone: Phone): Promise<void> {
  const fromMs = performance.now();
  for (;;) {
    const call = await phone.call('1004');
    const outcome = await outcomeOf(call);
    if (outcome === 200) {
      await call.bye();
      expect(performance.now() - fromMs).toBeLessThan(5_000);
      return;
    }
    expect(outcome).toBe(503);
    // A person's redialling: the answer that counts is the next call's own.
    await new Promise((wait) => setTimeout(wait, 200));
  }
}
