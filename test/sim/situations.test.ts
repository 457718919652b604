import { beforeAll, describe, expect, it } from 'vitest';
import { adoptions } from '../../src/call/index.ts';
import type { DirectorySnapshot } from '../../src/directory/index.ts';
import { delays } from './moments.ts';
import { demoDirectory } from './phones.ts';
import { playVariant, type Variant, whereReached } from './situations.ts';

/** What no call is ever written in the middle of here; `src/call` plays each of them step by step. */
const notWrittenHere: Readonly<Record<string, string>> = {
  'asks to judge-flow': 'no phone here speaks in a dialog over a flow that it has not registered',
  'call.ways': 'there is one data centre here',
  'call.answerHeld': 'the phones here acknowledge a 1xx before they can answer',
  'call.adoptions': 'counts what these tests do',
  'call.appliedCommandIds': 'no operator ends calls here',
  'leg.trunk': 'as the ways between data centres',
  'leg.newContactAtMs': 'no phone here moves in a call',
  'leg.refreshAgainAtMs': 'no refresh meets an offer of the phone here',
  'leg.takeUp': 'nobody here is busy when a transfer takes the party up that was held',
  'leg.cancelWanted': 'the phones here say 100 before a caller can lose patience',
  'media.sendKey': 'the phones here talk plain RTP',
  'media.receiveKey': 'as the other key',
  'media.dtls': 'no phone here is a browser',
  'media.ice': 'as with DTLS',
  'media.association': 'as with DTLS',
  'media.fax': 'no phone here sends one',
  'media.updatedEarly': 'media are lost while they talk, not while a phone rings',
};

let directory: DirectorySnapshot;
let reached: ReadonlyMap<string, Variant>;
beforeAll(async () => {
  directory = await demoDirectory();
  reached = await whereReached({ directory });
}, 120_000);

describe('a call whose zone dies in the middle of what the table of adoptions names', () => {
  it('comes into everything but what is excused', () => {
    const missing = [...adoptions.keys()].filter((name) => !reached.has(name));
    expect(missing).toEqual(Object.keys(notWrittenHere));
  });

  it.each(
    [...adoptions.keys()]
      .filter((name) => !(name in notWrittenHere))
      .map((name, at) => [name, ...delays[at % delays.length]!] as const),
  )('%s, %s', async (name, _, afterMs) => {
    const variant = reached.get(name);
    expect(variant, 'some call comes to it').toBeDefined();
    const { broken } = await playVariant(variant!, { directory }, adoptions.get(name)!.holds, afterMs);
    expect(broken, variant!.name).toEqual([]);
  });
});
