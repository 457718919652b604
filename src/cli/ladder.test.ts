import { describe, expect, test } from 'vitest';
import type { LadderEntry } from '../link/index.ts';
import { drawLadder } from './ladder.ts';

const at = Date.UTC(2026, 0, 1, 12, 0, 0);
const entry = (
  afterMs: number,
  leg: string,
  direction: 'in' | 'out',
  summary: string,
  onSwitch = 'a1',
): LadderEntry => ({
  utcMs: at + afterMs,
  leg,
  direction,
  peer: { caller: '1001', desk: '1002', app: '1002' }[leg] ?? leg,
  transport: leg === 'app' ? 'tls' : 'udp',
  summary,
  text: '',
  switch: onSwitch as LadderEntry['switch'],
});

test('a call that rings two phones and is answered by one, whose switch dies in between', () => {
  const entries = [
    entry(0, 'caller', 'in', 'INVITE sip:1002@demo.test'),
    entry(1, 'caller', 'out', '100 Trying'),
    entry(4, 'desk', 'out', 'INVITE sip:1002@10.0.0.2:5060'),
    entry(5, 'app', 'out', 'INVITE sip:1002@10.0.0.3:40000;transport=tls'),
    entry(40, 'desk', 'in', '180 Ringing'),
    entry(41, 'caller', 'out', '180 Ringing'),
    entry(3041, 'app', 'in', '200 OK'),
    entry(3042, 'desk', 'out', 'CANCEL sip:1002@10.0.0.2:5060'),
    entry(3043, 'caller', 'out', '200 OK', 'b2'),
  ];
  expect(`\n${drawLadder(entries, 120)}\n`).toMatchInlineSnapshot(`
    "
                1001 UDP                          twinline                          1002 UDP                          1002 TLS
                    │                                 │                                 │                                 │
    12:00:00.000    │── INVITE sip:1002@demo.test ───▶│                                 │                                 │
    12:00:00.001    │◀─ 100 Trying ───────────────────│                                 │                                 │
    12:00:00.004    │                                 │── INVITE sip:1002@10.0.0.2:50… ▶│                                 │
    12:00:00.005    │                                 │── INVITE sip:1002@10.0.0.3:40000;transport=tls ──────────────────▶│
    12:00:00.040    │                                 │◀─ 180 Ringing ──────────────────│                                 │
    12:00:00.041    │◀─ 180 Ringing ──────────────────│                                 │                                 │
    12:00:03.041    │                                 │◀─ 200 OK ─────────────────────────────────────────────────────────│
    12:00:03.042    │                                 │── CANCEL sip:1002@10.0.0.2:50… ▶│                                 │
                    │                           [b2 goes on]                            │                                 │
                    │                                 │                                 │                                 │
    12:00:03.043    │◀─ 200 OK ───────────────────────│                                 │                                 │
                    │                                 │                                 │                                 │
    "
  `);
});

test('what came in has no leg yet: it is known by the phone’s address', () => {
  const entries = [
    entry(0, 'caller', 'in', 'INVITE'),
    entry(1, 'caller', 'out', '100 Trying'),
    entry(2, 'desk', 'out', 'INVITE'),
    entry(3, 'desk', 'in', '200 OK'),
    entry(4, 'caller', 'out', '200 OK'),
    entry(5, 'caller', 'in', 'BYE'),
  ];
  const unknown = entries.map((one) => (one.direction === 'in' ? { ...one, leg: '' } : one));
  expect(drawLadder(unknown)).toBe(drawLadder(entries));
});

test('somebody calls themselves', () => {
  const drawn = drawLadder([
    entry(0, '', 'in', 'INVITE'),
    { ...entry(1, 'one', 'out', '100 Trying'), peer: '' },
    { ...entry(2, 'two', 'out', 'INVITE'), peer: '' },
  ]);
  expect(
    drawn
      .split('\n')
      .slice(2, 5)
      .map((line) =>
        line
          .replace(/^\S+ +/, '')
          .replace(/ +/g, ' ')
          .replace(/─+/g, '─'),
      ),
  ).toEqual(['│─ INVITE ─▶│ │', '│◀─ 100 Trying ─│ │', '│ │─ INVITE ─▶│']);
});

describe('a ladder', () => {
  test('of nothing is nothing', () => {
    expect(drawLadder([])).toBe('');
  });

  test('shows control characters of the network as dots', () => {
    const drawn = drawLadder([entry(0, 'caller', 'in', 'INVITE \u001b[2J\r\n')]);
    expect(drawn).not.toContain('\u001b');
    expect(drawn).toContain('INVITE ·[2J··');
  });

  test('keeps its columns whatever the width of the terminal', () => {
    for (const columns of [10, 80, 200]) {
      const lines = drawLadder(
        [
          entry(0, 'caller', 'in', 'x'.repeat(500)),
          entry(1, 'desk', 'out', 'y'),
          entry(2, 'desk', 'in', 'z'),
        ],
        columns,
      ).split('\n');
      const rails = lines.slice(1).map((line) => [...line].indexOf('│'));
      expect(new Set(rails).size).toBe(1);
    }
  });
});
