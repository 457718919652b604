import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { registerCallees, usersFile } from './calls.ts';
import { sample, usedBetween } from './cpu.ts';
import { type Bench, delay } from './measure.ts';
import { refusedCalls } from './refused.ts';
import { calleeScenario, callerScenario, Sipp, type SippResult } from './sipp.ts';
import { Streams } from './streams.ts';
import { rounded, table } from './table.ts';
import { setUpTalks } from './talks.ts';

const HOLD_MS = 1_000;
const TIMES = 3;
/** At the sustainable rate, before and after. */
const CALM_SEC = 10;
const PATIENCE_MS = 45_000;
const DRAIN_MS = 500;

/**
 * PH-ZONE-07: more calls than can be served. What is accepted completes, the rest hears 503 with Retry-After, calls that are up hear
 * nothing of it, and when it is over every call is accepted again.
 */
export const overload: Bench = async (server, options, say) => {
  const { rate = 60, seconds = 60, calls: held = 20 } = options;
  const directory = mkdtempSync(path.join(tmpdir(), 'twinline-bench-'));
  const processes = server.processes();
  const pids = processes.map(({ pid }) => pid);
  const streams = await Streams.start();
  const talks = await setUpTalks(server, streams, held);
  // Only sipp's callees are to ring from now on.
  for (const line of talks.lines) await line.register(0);
  const localPort = await registerCallees(server);
  const callee = new Sipp({
    directory,
    name: 'callee',
    scenario: calleeScenario(),
    server,
    localPort,
    arguments: [],
  });
  const running = new Set<Sipp>([callee]);
  let number = 0;
  const drive = async (callRate: number, forSec: number): Promise<SippResult> => {
    const count = String(callRate * forSec);
    const caller = new Sipp({
      directory,
      name: `caller${number++}`,
      scenario: callerScenario(server.domain, HOLD_MS, { mayBeRefused: true }),
      server,
      localPort: 0,
      arguments: ['-inf', usersFile(directory), '-r', String(callRate), '-m', count, '-l', count],
    });
    running.add(caller);
    const result = await caller.ended(forSec * 1000 + HOLD_MS + PATIENCE_MS);
    running.delete(caller);
    return result;
  };
  try {
    streams.order({ do: 'send' });
    await drive(rate, CALM_SEC);
    const calmFrom = sample(pids);
    const calm = await drive(rate, CALM_SEC);
    const calmUsed = usedBetween(processes, calmFrom, sample(pids));
    streams.order({ do: 'mark' });
    const from = sample(pids);
    const fromMs = performance.now();
    const over = await drive(TIMES * rate, seconds);
    const used = usedBetween(processes, from, sample(pids));
    const lastedMs = performance.now() - fromMs;
    const during = await streams.report();
    const after = await drive(rate, CALM_SEC);
    streams.order({ do: 'silence' });
    await delay(DRAIN_MS);
    const heard = await streams.report();
    const accepted = over.successful - over.refused;
    const usPerCall = calmUsed.totalUs / Math.max(1, calm.successful - calm.refused);
    const gapsMs = during.streams.map(({ longestGapMs }) => longestGapMs);
    const figures = {
      offered: TIMES * rate * seconds,
      accepted,
      acceptedPerSec: rounded(accepted / seconds),
      refused: over.refused,
      failed: over.failed,
      calmFailed: calm.failed + calm.refused,
      cpuUsPerCallCalm: rounded(usPerCall),
      // Of accepted and refused ones together: accepted calls are cheaper under load than when it is calm.
      cpuPercent: rounded(used.totalUs / lastedMs / 10),
      packetsSent: heard.sent,
      packetsLost: Math.max(0, heard.sent - heard.received),
      gapMsWorst: rounded(Math.max(0, ...gapsMs)),
      senderPauseMsWorst: rounded(during.longestPauseMs),
      heldCallsEnded: talks.talks.filter(({ caller, callee: other }) => caller.ended || other.ended).length,
      recoverySec: after.lastRefusedSec,
      failedAfter: after.failed,
      // Beside another server's processes ours would tell nothing.
      ...(server.own !== undefined && (await refusedCalls(options, TIMES * rate, say))),
    };
    say(
      `${TIMES} × ${rate} calls/s for ${seconds} s beside ${held} calls with audio\n${table(['', ''], Object.entries(figures))}\n` +
        `failures: ${JSON.stringify(over.failures)}, ${over.retransmissions} retransmissions by the caller`,
    );
    return figures;
  } finally {
    for (const one of running) await one.stop();
    await talks.close();
    streams.stop();
    rmSync(directory, { recursive: true, force: true });
  }
};
