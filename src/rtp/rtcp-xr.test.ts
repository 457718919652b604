import { expect, it } from 'vitest';
import { parseRtcp, type VoipMetrics, writeRtcp } from './index.ts';

const metrics: VoipMetrics = {
  ssrc: 0xfeedface,
  lossRate: 13,
  discardRate: 2,
  burstDensity: 85,
  gapDensity: 10,
  burstMs: 120,
  gapMs: 420,
  roundTripMs: 81,
  endSystemDelayMs: 65,
  gmin: 16,
  rFactor: 82,
  mosLq: 4.1,
  mosCq: 4,
  rxConfig: 0xf0,
  jitterNominalMs: 40,
  jitterMaximumMs: 80,
  jitterAbsoluteMs: 400,
};

it('VoIP metrics are read as they were written, in the octets of RFC 3611 §4.7', () => {
  const bytes = Buffer.alloc(100);
  const length = writeRtcp(bytes, [{ type: 'xr', ssrc: 5, voip: [metrics] }]);
  expect(bytes.subarray(0, length).toString('hex')).toBe(
    [
      '80cf000a00000005',
      '07000008feedface0d02550a',
      '007801a400510041',
      '7f7f7f10527f2928',
      'f000002800500190',
    ].join(''),
  );
  expect(parseRtcp(bytes, length)).toEqual({ ok: true, value: [{ type: 'xr', ssrc: 5, voip: [metrics] }] });
});

it('what was not measured is said to be so', () => {
  const { rFactor: _, mosLq: __, mosCq: ___, ...unmeasured } = metrics;
  const bytes = Buffer.alloc(100);
  const length = writeRtcp(bytes, [{ type: 'xr', ssrc: 5, voip: [unmeasured] }]);
  expect(parseRtcp(bytes, length)).toEqual({
    ok: true,
    value: [{ type: 'xr', ssrc: 5, voip: [unmeasured] }],
  });
});

it('other blocks are skipped, and one that is cut off costs no more than itself', () => {
  const bytes = Buffer.alloc(100);
  const length = writeRtcp(bytes, [{ type: 'xr', ssrc: 5, voip: [metrics] }]);
  const reference = Buffer.from([4, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
  const cut = Buffer.from([7, 0, 0, 8, 0, 0, 0, 1]);
  const compound = Buffer.concat([bytes.subarray(0, 8), reference, bytes.subarray(8, length), cut]);
  compound.writeUInt16BE(compound.length / 4 - 1, 2);
  expect(parseRtcp(compound, compound.length)).toEqual({
    ok: true,
    value: [{ type: 'xr', ssrc: 5, voip: [metrics] }],
  });
});
