import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Libsql from 'libsql';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CallRecord } from '../../src/call/index.ts';
import { serialize } from '../../src/sip/index.ts';
import { callRecords } from '../support/call-records.ts';
import { EdgeFigures } from '../support/edge-figures.ts';
import { Installation, ROOT } from '../support/installation.ts';
import type { Phone } from '../support/phone.ts';
import {
  callAndTalk,
  hearEachOther,
  registeredPhone,
  type Talk,
  type UserPhoneOptions,
} from '../support/talk.ts';

interface Status {
  zones: { id: string; state: string }[];
  control: { pid: number };
}

const SECURED: UserPhoneOptions = { transport: 'tls', srtp: ['AEAD_AES_256_GCM'] };

describe('what is left of calls', () => {
  let scratch: string;
  let twinline: Installation;
  let edge: EdgeFigures;
  const phones: Phone[] = [];
  /** Everything that any phone has heard or, by what was answered, said. */
  const heard: string[] = [];

  beforeAll(async () => {
    scratch = mkdtempSync(path.join(tmpdir(), 'twinline-records-'));
    const topology = path.join(scratch, 'quick.yaml');
    const local = readFileSync(path.join(ROOT, 'sip-zones/local.yaml'), 'utf8');
    writeFileSync(topology, local.replaceAll('calls-per-second: 200', 'calls-per-second: 2000'));
    twinline = await Installation.start({ topology, arguments: ['--log-level', 'debug'] });
    edge = new EdgeFigures(twinline);
  });
  afterEach(async () => {
    for (const phone of phones.splice(0)) {
      await phone.unregister();
      heard.push(...phone.received.items.map(({ message }) => serialize(message)));
      await phone.close();
    }
  });
  afterAll(async () => {
    edge?.close();
    await twinline?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  async function registered(user: string, options: UserPhoneOptions = {}): Promise<Phone> {
    const phone = await registeredPhone(twinline, user, options);
    phones.push(phone);
    return phone;
  }

  const recordCount = (): number => callRecords(twinline).length;
  /** The records that came after `known` others, once there are that many. */
  async function newRecords(known: number, count: number): Promise<readonly CallRecord[]> {
    await expect.poll(() => callRecords(twinline).length - known, { timeout: 30_000 }).toBe(count);
    return callRecords(twinline).slice(known);
  }

  it('of a thousand calls each zone gets its half and each switch its quarter, and each leaves one record', async () => {
    const known = 0;
    const ada = await registered('1001');
    const startedAt = await turns();
    const statuses: (number | undefined)[] = [];
    let left = 1_000;
    const caller = async (): Promise<void> => {
      while (left-- > 0) statuses.push((await (await ada.call('1999')).ended()).status);
    };
    await Promise.all(Array.from({ length: 5 }, caller));
    expect(statuses).toHaveLength(1_000);
    expect(new Set(statuses)).toEqual(new Set([404]));
    const endedAt = await turns();
    const of = Object.fromEntries(Object.entries(endedAt).map(([id, calls]) => [id, calls - startedAt[id]!]));
    console.log(`a thousand calls: ${JSON.stringify(of)}`);
    for (const zone of ['a', 'b']) {
      const calls = of[`${zone}1`]! + of[`${zone}2`]!;
      expect(calls).toBeGreaterThanOrEqual(490);
      expect(calls).toBeLessThanOrEqual(510);
    }
    for (const id of ['a1', 'a2', 'b1', 'b2']) {
      expect(of[id]).toBeGreaterThanOrEqual(237.5);
      expect(of[id]).toBeLessThanOrEqual(262.5);
    }
    // What the edge gave them is what the switches began. Their logs are written a moment later.
    const began = () =>
      Object.fromEntries(
        Object.entries(twinline.logs())
          .filter(([name]) => name.startsWith('switch-'))
          .map(([name, log]) => [name.slice('switch-'.length), log.split('"call.began"').length - 1]),
      );
    await expect.poll(began).toEqual(of);
    const records = await newRecords(known, 1_000);
    expect(new Set(records.map(({ id }) => id)).size).toBe(1_000);
    expect(records.every(({ status, to }) => status === 404 && to.dialled === '1999')).toBe(true);
  });

  /** New calls by switch, as the edge counts them. */
  async function turns(): Promise<Record<string, number>> {
    const { zones } = await edge.status();
    return Object.fromEntries(
      zones.flatMap(({ switches }) => switches.map(({ id, newCalls }) => [id, newCalls])),
    );
  }

  it('one record for each, with transport and protection of each leg, also when a zone died in between', async () => {
    const known = recordCount();
    const ada = await registered('1001');
    const charles = await registered('1002', SECURED);
    const talks: Talk[] = [];
    for (let call = 0; call < 4; call++)
      talks.push(await (call % 2 === 0 ? callAndTalk(ada, charles) : callAndTalk(charles, ada)));
    await talks[0]!.caller.info('7');
    await talks[1]!.caller.info('9');
    await ladders(talks);
    await twinline.twinline('kill', 'zone', 'a');
    await Promise.all(talks.map((talk) => hearEachOther(talk, 20)));
    for (const talk of talks) {
      await talk.callee.bye();
      expect((await talk.caller.ended()).how).toBe('bye');
    }
    const records = await newRecords(known, 4);
    expect(new Set(records.map(({ id }) => id)).size).toBe(4);
    for (const record of records) {
      const fromAda = record.legs[0]!.transport === 'udp';
      expect(record).toMatchObject({
        outcome: 'answered',
        status: 200,
        endedBy: 'callee',
        to: { dialled: fromAda ? '1002' : '1001' },
      });
      expect(record.legs.map(({ role, transport, srtp }) => [role, transport, srtp])).toEqual(
        fromAda
          ? [
              ['caller', 'udp', 'plain'],
              ['callee', 'tls', 'AEAD_AES_256_GCM'],
            ]
          : [
              ['caller', 'tls', 'AEAD_AES_256_GCM'],
              ['callee', 'udp', 'plain'],
            ],
      );
    }
    // Two of the four were the dead zone's.
    expect(records.filter(({ adoptions }) => adoptions > 0)).toHaveLength(2);
    await twinline.twinline('start', 'zone', 'a');
  });

  const drawn: string[] = [];
  /** What `twinline call ID` shows of each, for people and for programs. */
  async function ladders(talks: readonly Talk[]): Promise<void> {
    const { calls } = await twinline.twinline<{ calls: { id: string }[] }>('calls');
    expect(calls).toHaveLength(talks.length);
    for (const { id } of calls) {
      const ladder = await twinline.twinline<{ entries: unknown[] }>('call', id);
      expect(ladder.entries.length).toBeGreaterThan(8);
      drawn.push(JSON.stringify(ladder));
    }
  }

  it('with control and the database away all goes on, and afterwards nothing is missing', async () => {
    const known = recordCount();
    const { control } = await twinline.twinline<Status>('status');
    process.kill(control.pid, 'SIGSTOP');
    const grace = await registered('1003');
    const alan = await registered('1004', SECURED);
    const talk = await callAndTalk(grace, alan);
    await talk.caller.hold();
    await talk.caller.resume();
    await hearEachOther(talk);
    await talk.caller.bye();
    await talk.callee.ended();
    process.kill(control.pid, 'SIGKILL');
    const during = await callAndTalk(alan, grace);
    await during.callee.bye();
    await during.caller.ended();
    const records = await newRecords(known, 2);
    expect(records.map(({ outcome, endedBy }) => [outcome, endedBy])).toEqual([
      ['answered', 'caller'],
      ['answered', 'callee'],
    ]);
    const after = await twinline.twinline<Status>('status');
    expect(after.control.pid).not.toBe(control.pid);
    expect(after.zones.map(({ state }) => state)).toEqual(['up', 'up']);
  });

  it('a database that is locked by another makes nobody wait, and gets what it missed', async () => {
    const known = recordCount();
    const other = new Libsql(path.join(twinline.data, 'twinline.db'));
    other.exec('begin exclusive');
    const grace = await registered('1003');
    const alan = await registered('1004');
    for (let call = 0; call < 3; call++) {
      const talk = await callAndTalk(grace, alan);
      await talk.caller.bye();
      await talk.callee.ended();
    }
    await expect.poll(() => twinline.logs()['control'] ?? '', { timeout: 20_000 }).toContain('records.wait');
    expect(recordCount()).toBe(known);
    other.exec('commit');
    other.close();
    expect(await newRecords(known, 3)).toHaveLength(3);
  });

  it('no key, password, credential or digit lies in a log, a ladder or anything else on disk', () => {
    const secrets = new Set<string>();
    for (const text of heard) {
      for (const [, key] of text.matchAll(/inline:([A-Za-z0-9+/=]{20,})/g)) secrets.add(key!);
      for (const [, nonce] of text.matchAll(/nonce="([^"]{8,})"/g)) secrets.add(nonce!);
    }
    expect([...secrets].some((one) => one.length === 60)).toBe(true);
    for (let user = 1001; user <= 1010; user++) secrets.add(`demo-${user}`);
    const ends = [...drawn, ...files(twinline.data)];
    for (const text of ends) for (const secret of secrets) expect(text.includes(secret), secret).toBe(false);
    const told = [...drawn, ...Object.values(twinline.logs())].join('\n');
    const open = [
      /inline:[A-Za-z0-9+/]/,
      /response=\\?"?[0-9a-f]{32}/,
      /Signal ?= ?(?!\*{3})/,
      /\bBasic [A-Za-z0-9+/]{8}/,
    ];
    // By its place: the whole text would be an unreadable failure.
    for (const secret of open) {
      const at = told.search(secret);
      expect(told.slice(at < 0 ? told.length : Math.max(0, at - 100), at + 60), String(secret)).toBe('');
    }
    expect(drawn.join()).toContain('inline:***');
    expect(drawn.join()).toContain('Signal=***');
  });

  /** Every regular file of the data directory, as a byte string. */
  function files(directory: string): string[] {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .map((name) => path.join(directory, name))
      .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true)
      .map((file) => readFileSync(file, 'latin1'));
  }
});
