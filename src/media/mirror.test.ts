import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PacketPath } from '../../test/support/packet-path.ts';
import { spec } from '../../test/support/stream-spec.ts';
import { type MediaId, seededRandom, silentLogger, VirtualClock } from '../base/index.ts';
import { canPassDescriptors, listenUnix, type UnixListener, type UnixSocket } from '../native/index.ts';
import { decode, encode, type OwnerSays } from './mirror-messages.ts';
import { MirrorOwner } from './mirror-owner.ts';

let directory: string;
let listener: UnixListener;
let owner: MirrorOwner;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tl-'));
});
afterEach(() => {
  owner.stop(false);
  listener.close();
  rmSync(directory, { recursive: true });
});

/** An owner of one stream whose twin is this test: it reads only when it is told to. */
async function mirrored() {
  const path = new PacketPath();
  const stream = path.put(spec('alice', { port: 5000 }));
  const clock = new VirtualClock();
  const twin = new Promise<UnixSocket>((resolve) => {
    listener = listenUnix(join(directory, 'm'), resolve);
  });
  owner = new MirrorOwner({
    id: 'a' as MediaId,
    twin: join(directory, 'm'),
    random: seededRandom(1),
    clock,
    log: silentLogger,
    twinWaitMs: 200,
    streams: () => [stream],
    standsBy: () => false,
    epochs: () => [],
    hears: () => true,
  });
  owner.start();
  return { stream, clock, twin: await twin };
}

describe.runIf(canPassDescriptors)('the mirror', () => {
  test('greets, says all streams, and waits for the answer to a put', async () => {
    const { stream, twin } = await mirrored();
    const heard: string[] = [];
    twin.onMessage(({ bytes }) => {
      const message = decode<OwnerSays>(bytes)!;
      heard.push(message.kind);
      if (message.kind === 'put' && message.ack > 0) twin.send(encode({ kind: 'ack', ack: message.ack }));
    });
    await owner.put(stream);
    expect(heard).toEqual(['hello', 'put', 'put']);
  });

  test('a put does not wait for a twin longer than 200 ms, nor for one that dies', async () => {
    const { stream, clock, twin } = await mirrored();
    const slow = owner.put(stream);
    clock.advance(200);
    await slow;
    const dying = owner.put(stream);
    listener.close();
    twin.close();
    await dying;
    expect(owner.connected).toBe(false);
    expect(owner.commit(stream)).toBe(true);
  });

  test('a twin that does not read stops what it must know of first, but not for ever, and is then told the whole', async () => {
    const { stream, clock, twin } = await mirrored();
    let said = 0;
    while (owner.commit(stream)) said++;
    expect(said).toBeGreaterThan(10);
    clock.advance(4900);
    expect(owner.commit(stream)).toBe(false);
    clock.advance(200);
    expect(owner.commit(stream)).toBe(true);
    owner.closed([stream.id]);
    const kinds: string[] = [];
    await new Promise<void>((resolve) =>
      twin.onMessage(({ bytes }) => {
        kinds.push(decode<OwnerSays>(bytes)!.kind);
        if (kinds.at(-1) === 'closed') resolve();
      }),
    );
    expect(kinds).toEqual(['hello', 'put', ...new Array<string>(said).fill('state'), 'closed']);
  });
});

test('unreadable words are no message', () => {
  for (const text of ['', '{', 'null', '7', '[]', '{"a":1}'])
    expect(decode(Buffer.from(text))).toBeUndefined();
});
