import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IndexAudit } from '../../../test/support/index-audit.ts';
import { PlanePath } from '../../../test/support/plane-path.ts';
import { CODECS } from '../../../test/support/tone-phone.ts';
import type { StreamId } from '../../base/index.ts';
import { keySaltLength } from '../../rtp/index.ts';
import { exactOf, goOnExactly } from '../exact.ts';
import type { SrtpKey, StreamCodec, StreamSpec } from '../protocol.ts';
import { applyProgress, applyState, progressOf, type StreamState, stateOf } from '../record.ts';
import { prepare } from '../take-over.ts';

/*
 * TR-MEDIA-09 for what is made here: however playbacks, transcoding and what is passed on take turns, and whatever becomes of the process, no
 * two packets leave under one key and index.
 */

const { pcmu, opus } = CODECS as Record<'pcmu' | 'opus', StreamCodec>;
const ACTIONS = ['talk', 'play', 'relay', 'transcode', 'progress', 'kill', 'kill', 'drain'] as const;

let keys = 0;

class Process {
  path: PlanePath;
  told: StreamState | undefined;
  spec: Partial<StreamSpec>;
  readonly audit: IndexAudit;
  readonly #key: SrtpKey;
  #ssrc = -1;
  #sequences = { bob: 100, carol: 100 };
  #plays = 0;

  constructor() {
    const suite = 'AEAD_AES_256_GCM';
    this.#key = { suite, keySalt: Buffer.alloc(keySaltLength(suite), ++keys % 251).toString('base64') };
    this.audit = new IndexAudit(this.#key);
    this.spec = { sendKey: this.#key, receiveKey: this.#key, source: 'bob' as StreamId };
    this.path = this.#serve(1_000_000);
  }

  put(more: Partial<StreamSpec>): void {
    this.spec = { ...this.spec, ...more };
    this.path.put('alice', pcmu, this.spec);
    // A put is told to the twin.
    this.told = structuredClone(stateOf(this.path.path.stream('alice')));
  }

  act(action: (typeof ACTIONS)[number], frames: number): void {
    switch (action) {
      case 'talk':
        break;
      case 'play':
        this.put({
          plays: { id: `p${this.#plays++}`, items: [{ digits: '5', digitMs: 60, pauseMs: 0 }], times: 1 },
        });
        break;
      case 'relay':
        this.put({ source: 'bob' as StreamId });
        break;
      case 'transcode':
        this.put({ source: 'carol' as StreamId });
        break;
      case 'progress': {
        // What the second's report leaves out is left out here too.
        const copy = new PlanePath({ nowMs: this.path.clock.nowMs() });
        const stream = copy.put('alice', pcmu, this.spec);
        applyState(stream, this.told!);
        applyProgress(stream, structuredClone(progressOf(this.path.path.stream('alice'))));
        this.told = structuredClone(stateOf(stream));
        copy.end();
        break;
      }
      case 'kill':
        this.#goOn(false);
        break;
      case 'drain':
        this.#goOn(true);
        break;
    }
    this.path.run(frames);
  }

  end(): void {
    this.#collect();
    this.path.end();
  }

  #goOn(exactly: boolean): void {
    this.#collect();
    const before = this.path.path.stream('alice');
    const exact = JSON.parse(JSON.stringify(exactOf(before)));
    const state = structuredClone(exactly ? stateOf(before) : this.told!);
    for (const id of ['bob', 'carol'] as const) this.#sequences[id] = this.path.talker(id).sequence;
    const nowMs = this.path.clock.nowMs();
    this.path.end();
    this.path = this.#serve(nowMs, (path) => {
      const stream = path.path.stream('alice');
      applyState(stream, state);
      if (exactly) goOnExactly(stream, exact, nowMs);
      else prepare(stream, nowMs);
    });
  }

  #serve(nowMs: number, takeOver: (path: PlanePath) => void = () => {}): PlanePath {
    const path = new PlanePath({ nowMs });
    path.put('bob', pcmu);
    path.put('carol', opus);
    for (const [id, hz] of [
      ['bob', 500],
      ['carol', 900],
    ] as const) {
      path.talker(id).hz = hz;
      path.talker(id).sequence = this.#sequences[id];
    }
    // The stand-by has the stream before it is anybody's.
    const { source, ...quiet } = this.spec;
    const stream = path.put('alice', pcmu, quiet);
    if (this.#ssrc >= 0) Object.defineProperty(stream, 'ssrc', { value: this.#ssrc });
    this.#ssrc = stream.ssrc;
    takeOver(path);
    path.path.onTold = (each) => {
      if (each.id === 'alice') this.told = structuredClone(stateOf(each));
    };
    path.put('alice', pcmu, this.spec);
    this.told = structuredClone(stateOf(stream));
    return path;
  }

  #collect(): void {
    for (const { packet } of this.path.talker('alice').packets.splice(0)) this.audit.see(packet);
  }
}

test('however what is made here and what is passed on take turns over kills and hand-overs, no index is used twice', async () => {
  let packets = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...ACTIONS), fc.integer({ min: 1, max: 12 })), {
        minLength: 3,
        maxLength: 12,
      }),
      async (history) => {
        const process = new Process();
        for (const [action, frames] of history) {
          process.act(action, frames);
          await process.path.settle();
        }
        process.end();
        const { reused, unreadable, rtpPackets } = process.audit.judge();
        packets += rtpPackets;
        expect({ reused, unreadable }).toEqual({ reused: [], unreadable: [] });
      },
    ),
    { numRuns: 15 },
  );
  expect(packets).toBeGreaterThan(100);
}, 120_000);
