import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseVqReport, VQ_LIMITS } from './vq-report.ts';

/** As the examples of RFC 6035 §4.7 have it. */
const REPORT = [
  'VQSessionReport: CallTerm',
  'CallID: 6dg37f1890463',
  'LocalID: Alice <sip:alice@example.org>',
  'RemoteID: Bill <sip:bill@example.net>',
  'OrigID: Alice <sip:alice@example.org>',
  'LocalAddr: IP=10.10.1.100 PORT=5000 SSRC=1a3b5c7d',
  'RemoteAddr: IP=11.1.1.150 PORT=5002 SSRC=0x2468abcd',
  'LocalMetrics:',
  'Timestamps:START=2004-10-10T18:23:43Z STOP=2004-10-10T18:26:02Z',
  'SessionDesc:PT=18 PD=G729 SR=8000 FD=20 FO=20 FPP=2 PPS=50 FMTP="annexb=no" PLC=3 SSUP=on',
  'JitterBuffer:JBA=3 JBR=2 JBN=40 JBM=80 JBX=120',
  'PacketLoss:NLR=5.0 JDR=2.0',
  'BurstGapLoss:BLD=0 BD=0 GLD=2.0 GD=500 GMIN=16',
  'Delay:RTD=200 ESD=140 SOWD=200 IAJ=2 MAJ=10',
  'Signal:SL=-21 NL=-50 RERL=127',
  'QualityEst:RLQ=90 RCQ=85 EXTRI=90 MOSLQ=4.2 MOSCQ=4.3 QoEEstAlg=P.564',
  'RemoteMetrics:',
  'PacketLoss:NLR=50.0 JDR=20.0',
  'QualityEst:RCQ=5 MOSCQ=1.1',
  'X-Device:MIC="Jabra Evolve2 (built in)" HEADSET="Jabra Evolve2" ISP="Example Net"',
  'DialogID:1890463548@alice.example.org;to-tag=8472761;from-tag=9123dh311',
];

const read = (lines: readonly string[], end = '\r\n') => parseVqReport(lines.join(end));

test('the figures of the phone itself are read, in our units', () => {
  for (const end of ['\r\n', '\n'])
    expect(read(REPORT, end)).toEqual({
      ok: true,
      value: {
        kind: 'session',
        sipCallId: '6dg37f1890463',
        startUtcMs: Date.UTC(2004, 9, 10, 18, 23, 43),
        stopUtcMs: Date.UTC(2004, 9, 10, 18, 26, 2),
        codec: 'G729',
        lost: 0.05,
        discarded: 0.02,
        jitterBufferMs: 40,
        jitterMs: 2,
        roundTripMs: 200,
        endSystemDelayMs: 140,
        signalDbm0: -21,
        noiseDbm0: -50,
        rFactor: 85,
        rFactorLq: 90,
        mosCq: 4.3,
        mosLq: 4.2,
        algorithm: 'P.564',
        microphone: 'Jabra Evolve2 (built in)',
        headset: 'Jabra Evolve2',
        isp: 'Example Net',
      },
    });
});

test('kinds of report; without one, or without a call, there is none', () => {
  for (const [line, kind] of [
    ['VQIntervalReport', 'interval'],
    ['VQAlertReport: Type=NLR Severity=Critical Dir=local', 'alert'],
    ['VQSessionReport', 'session'],
  ] as const)
    expect(read([line, 'CallID:x'])).toMatchObject({ ok: true, value: { kind, sipCallId: 'x' } });
  for (const lines of [[], ['CallID: x'], ['VQSessionReport'], ['VQSessionReport', 'CallID: a b']])
    expect(read(lines).ok).toBe(false);
  expect(read(['VQSessionReport', `CallID:${'x'.repeat(257)}`]).ok).toBe(false);
  expect(read([...REPORT, 'x'.repeat(VQ_LIMITS.bodyBytes)]).ok).toBe(false);
});

test('figures that cannot be, and what is no figure, are left out', () => {
  const wrong = [
    'VQSessionReport',
    'CallID:x',
    'PacketLoss:NLR=500 JDR=-1',
    'Delay:RTD=1e9 IAJ=NaN',
    'QualityEst:MOSCQ=9 MOSLQ=12.7 RCQ=127',
    'Timestamps:START=yesterday',
    'X-Device:MIC="\u0007" HEADSET=""',
  ];
  expect(read(wrong)).toEqual({ ok: true, value: { kind: 'session', sipCallId: 'x' } });
});

test('anything may come', () => {
  const piece = fc.oneof(fc.constantFrom(...REPORT), fc.string(), fc.constantFrom('A=', '"', ':', '=\u0000'));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (lines) => {
      const found = parseVqReport(lines.join('\n'));
      if (found.ok) expect(JSON.stringify(found.value).length).toBeLessThan(2_000);
    }),
  );
});
