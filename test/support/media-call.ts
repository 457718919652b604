import { randomBytes } from 'node:crypto';
import type { SrtpKey, SrtpSuite } from '../../src/media/index.ts';
import type { UdpLoop } from '../../src/native/index.ts';
import { keySaltLength } from '../../src/rtp/index.ts';
import type { MediaPair } from './media-pair.ts';
import { everyMs } from './pacer.ts';
import { RtpPhone } from './rtp-phone.ts';
import { spec } from './stream-spec.ts';

export const newKey = (suite: SrtpSuite | 'plain'): SrtpKey | undefined =>
  suite === 'plain' ? undefined : { suite, keySalt: randomBytes(keySaltLength(suite)).toString('base64') };

/** Two phones without signalling that talk through a pair of media processes. */
export interface MediaCall {
  readonly phones: [RtpPhone, RtpPhone];
  readonly streams: [string, string];
}

let calls = 0;
export async function mediaCall(
  pair: MediaPair,
  loop: UdpLoop,
  left: SrtpSuite | 'plain',
  right: SrtpSuite | 'plain',
  { first, at = 'a' }: { readonly first?: number; readonly at?: string } = {},
): Promise<MediaCall> {
  const name = `call${calls++}`;
  const streams: [string, string] = [`${name}-l`, `${name}-r`];
  const sides = [left, right].map((suite, i) => {
    const toPhone = newKey(suite);
    const fromPhone = newKey(suite);
    const phone = new RtpPhone(loop, {
      // Wraps after some packets, before, in, or after the moment of the kill.
      first: first ?? 65_536 - 20 - calls * 7,
      ssrc: 1000 + calls * 2 + i,
      ...(fromPhone && { sendKey: fromPhone }),
      ...(toPhone && { receiveKey: toPhone }),
    });
    return { phone, toPhone, fromPhone };
  });
  for (const [i, { phone, toPhone, fromPhone }] of sides.entries()) {
    const opened = await pair.put(
      at,
      spec(streams[i]!, {
        port: phone.localPort,
        source: streams[1 - i]!,
        rtcpMux: true,
        ...(toPhone && { sendKey: toPhone }),
        ...(fromPhone && { receiveKey: fromPhone }),
      }),
    );
    phone.port = opened.port;
  }
  return { phones: [sides[0]!.phone, sides[1]!.phone], streams };
}

/** All speak every 20 ms, each at its own moment, until `hush`. */
export function talk(phones: readonly RtpPhone[]): {
  hush(): void;
  heardBy(enough: (phone: RtpPhone) => boolean): Promise<void>;
  /** Everybody has said so many packets more, heard or not. */
  spoken(count: number): Promise<void>;
} {
  // Reports come far more often than from a phone, so that as many as possible fall into the moment that is tried.
  const beats = phones.flatMap((phone, i) => [
    everyMs(20, () => phone.speak(), 20 + (20 * i) / phones.length),
    everyMs(50, () => phone.report(), 50 + (50 * i) / phones.length),
  ]);
  return {
    hush() {
      for (const beat of beats) beat.stop();
    },
    heardBy: (enough) =>
      new Promise((resolve) => {
        for (const phone of phones)
          phone.onHeard = () => {
            if (phones.every(enough)) resolve();
          };
      }),
    spoken: (count) =>
      new Promise((resolve) => {
        const enough = new Map(phones.map((phone) => [phone, phone.next + count]));
        for (const phone of phones)
          phone.onSpoke = () => {
            if (phones.every((each) => each.next >= enough.get(each)!)) resolve();
          };
      }),
  };
}

/** From now on each phone has heard so many packets more. */
export function more(count: number, phones: readonly RtpPhone[]): (phone: RtpPhone) => boolean {
  const before = new Map(phones.map((phone) => [phone, phone.heard.length]));
  return (phone) => phone.heard.length >= before.get(phone)! + count;
}

export function longestGapMs(phone: RtpPhone): number {
  return phone.heard.reduce(
    (gap, { atMs }, i, all) => Math.max(gap, i === 0 ? 0 : atMs - all[i - 1]!.atMs),
    0,
  );
}
