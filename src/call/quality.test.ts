import { describe, expect, it } from 'vitest';
import { CallFlow } from '../../test/support/call-flow.ts';
import { hangUp, talk } from '../../test/support/call-scenario.ts';
import type { StreamReport } from '../media/index.ts';

const received = (mos: number) => ({
  bitsPerSecond: 80_000,
  lost: { average: 0.01, worst: 0.04 },
  jitterMs: { average: 3, worst: 9 },
  longestGapMs: 60,
  mos,
});
const heard = (mos: number) => ({ reports: 5, mos });

/** Alice and bob talk for so long; what media measured of either's stream. */
function record(
  talkMs: number,
  ofAlice: Partial<StreamReport>,
  ofBob: Partial<StreamReport>,
  meanwhile: (flow: CallFlow) => void = () => {},
) {
  const flow = new CallFlow();
  const alice = flow.phone('alice');
  const bob = flow.phone('bob');
  talk({ flow, alice, bob });
  const [first] = flow.streams.keys();
  flow.figures = (stream) => (stream === first ? ofAlice : ofBob);
  meanwhile(flow);
  flow.advance(talkMs);
  hangUp(alice, bob);
  return flow.record;
}

describe('a call’s record (PH-QOS-01, 02)', () => {
  it('has MOS per leg, the worse way of it, and of the call what was heard worst from mouth to ear', () => {
    const told = record(
      40_000,
      { received: received(4.2), heard: heard(3.9), roundTripMs: { average: 40, worst: 60 } },
      { received: received(3.1), heard: heard(4) },
    );
    expect(told.legs.map(({ quality }) => quality)).toEqual([
      { mos: 3.9, rating: 'good' },
      { mos: 3.1, rating: 'poor' },
    ]);
    expect(told.quality).toEqual({ mos: 3.9, rating: 'good' });
    expect(told.talkMs).toBe(40_000);
    expect(told.legs[0]).toMatchObject({
      codec: 'pcmu',
      media: { received: received(4.2), roundTripMs: { average: 40, worst: 60 } },
    });
  });

  it('is good from 3.5 on, poor below, and less reliable below 30 s', () => {
    const of = (mos: number, ms: number) => record(ms, { heard: heard(mos) }, {}).quality;
    expect(of(3.5, 30_000)).toEqual({ mos: 3.5, rating: 'good' });
    expect(of(3.49, 30_000)).toEqual({ mos: 3.49, rating: 'poor' });
    expect(of(4, 29_999)).toEqual({ mos: 4, rating: 'good', lessReliable: true });
  });

  it('goes by what came where nobody knows what was heard, and says nothing where nothing was measured', () => {
    expect(record(40_000, { received: received(4.1) }, { received: received(4) }).quality).toEqual({
      mos: 4,
      rating: 'good',
    });
    const nothing = record(40_000, {}, {});
    expect([nothing.quality, ...nothing.legs.map(({ quality }) => quality)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('one-way audio', () => {
  const oneWay = (flow: CallFlow, forMs: number) => {
    const stream = [...flow.streams.keys()][1]!;
    flow.feed({ type: 'media-event', event: { type: 'one-way', stream, forMs } });
  };

  it('is in the record with how long it had lasted, of the leg that was not heard', () => {
    const told = record(20_000, {}, {}, (flow) => {
      flow.advance(10_000);
      oneWay(flow, 10_000);
      oneWay(flow, 5_000);
    });
    expect(told.legs.map(({ unheardForMs }) => unheardForMs)).toEqual([undefined, 10_000]);
  });

  it('counts from the answer on: a phone that rings need not send', () => {
    const told = record(20_000, {}, {}, (flow) => {
      flow.advance(4_000);
      oneWay(flow, 30_000);
      expect(flow.call?.legs[1]?.unheardForMs).toBeUndefined();
      flow.advance(4_000);
      oneWay(flow, 34_000);
    });
    expect(told.legs[1]?.unheardForMs).toBe(8_000);
  });
});
