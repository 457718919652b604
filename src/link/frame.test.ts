import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Frame } from './channel.ts';
import { type Envelope, FrameReader, FrameType, FrameWriter, Lane, MAX_FRAME_BYTES } from './frame.ts';

const frames: fc.Arbitrary<Frame> = fc.record(
  {
    kind: fc.string({ unit: 'binary', maxLength: 40 }),
    data: fc.jsonValue(),
    body: fc.uint8Array({ maxLength: 3000 }),
    lane: fc.constant('priority' as const),
    deadlineMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
    epoch: fc.maxSafeNat(),
    trace: fc.string({ unit: 'binary', maxLength: 64 }),
  },
  { requiredKeys: ['kind', 'data'] },
);

describe('frames on the wire', () => {
  test('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(frames, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 700 })),
        (sent, cuts) => {
          const bytes = encode(sent);
          const reader = new FrameReader();
          const received: Frame[] = [];
          for (let at = 0; at < bytes.length; ) {
            const size = cuts.next().value as number;
            const result = reader.push(bytes.subarray(at, at + size));
            if (!result.ok) throw new Error(result.error);
            received.push(...result.value.map(({ frame }) => frame));
            at += size;
          }
          expect(received.map(asJson)).toEqual(sent.map(asJson));
        },
      ),
    );
  });

  test('carry sequence numbers, answers and the remaining time', () => {
    const writer = new FrameWriter();
    writer.write(
      envelope(FrameType.reply, 4_294_967_295, 7),
      { kind: 'k', data: undefined, deadlineMs: 500 },
      20.5,
    );
    const result = new FrameReader().push(writer.next()!);
    expect(result).toMatchObject({
      ok: true,
      value: [
        {
          type: FrameType.reply,
          sequence: 4_294_967_295,
          answers: 7,
          remaining: true,
          frame: { deadlineMs: 20.5 },
        },
      ],
    });
  });

  test('arbitrary bytes are an error or wait for more, never an exception', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (chunks) => {
        const reader = new FrameReader();
        for (const chunk of chunks) if (!reader.push(chunk).ok) break;
      }),
      { numRuns: 2000 },
    );
  });

  test('altered frames are an error or another frame, never an exception', () => {
    fc.assert(
      fc.property(
        fc.array(frames, { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (sent, changes) => {
          const bytes = Buffer.from(encode(sent));
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const result = new FrameReader().push(bytes);
          if (!result.ok) expect(result.error).toMatch(/\w/);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a length beyond the limit is refused at once, not waited for', () => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(MAX_FRAME_BYTES);
    expect(new FrameReader().push(bytes).ok).toBe(false);
  });

  test("another release's frames are refused with what to do", () => {
    const bytes = Buffer.from(encode([{ kind: 'k', data: 1 }]));
    bytes[4] = 9;
    const result = new FrameReader().push(bytes);
    expect(result.ok ? '' : result.error).toMatch(/version 9.*run the same release/);
  });

  test('a body outlives the chunk it came in', () => {
    const chunk = Buffer.from(encode([{ kind: 'k', data: 1, body: Uint8Array.of(1, 2, 3) }]));
    const result = new FrameReader().push(chunk);
    chunk.fill(0);
    expect(result.ok && [...result.value[0]!.frame.body!]).toEqual([1, 2, 3]);
  });
});

const envelope = (type: FrameType, sequence: number, answers = 0): Envelope => ({
  type,
  lane: Lane.normal,
  sequence,
  answers,
});

function encode(sent: readonly Frame[]): Uint8Array {
  const writer = new FrameWriter();
  sent.forEach((frame, sequence) => {
    const lane = frame.lane === 'priority' ? Lane.priority : Lane.normal;
    writer.write({ ...envelope(FrameType.data, sequence), lane }, frame);
  });
  const chunks: Uint8Array[] = [];
  for (let chunk = writer.next(); chunk !== undefined; chunk = writer.next()) chunks.push(chunk);
  expect(writer.pendingBytes).toBe(0);
  return Buffer.concat(chunks);
}

/** Lone surrogates become U+FFFD in UTF-8, and JSON knows no -0. */
const asJson = (frame: Frame): unknown =>
  JSON.parse(Buffer.from(JSON.stringify({ ...frame, body: frame.body && [...frame.body] })).toString());
