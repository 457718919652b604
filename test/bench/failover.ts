import { loadavg } from 'node:os';
import { type ControlClient, connectControl } from '../../src/cli/client.ts';
import { type Bench, delay } from './measure.ts';
import type { BenchOptions, Victim } from './options.ts';
import { planOf, type Server } from './server.ts';
import type { StreamReport } from './stream-messages.ts';
import { Streams } from './streams.ts';
import { median, quantile, rounded, table } from './table.ts';
import { type BenchTalk, setUpTalks } from './talks.ts';

const BEFORE_MS = 2_000;
/** Until the audio must be back on every call; a frozen zone is noticed first. */
const AFTER_MS: Readonly<Record<Victim, number>> = {
  zone: 4_000,
  'zone-frozen': 7_000,
  switch: 4_000,
  media: 4_000,
  edge: 4_000,
  redis: 4_000,
  everything: 4_000,
};
/** Packets in `AFTER_MS` without which a stream counts as silent: a second's. */
const HEARD = 50;
const DRAIN_MS = 500;
const UP_AGAIN_MS = 30_000;

interface Run {
  readonly lost: number;
  /** Of the streams whose audio the victim relayed; all streams when a switch was killed. */
  readonly gapsMs: readonly number[];
  readonly otherGapsMs: readonly number[];
  readonly packetsLost: number;
  readonly directPauseMs: number;
  readonly unanswered: number;
  readonly requestsSeen: number;
}

/** Kills or freezes in the middle of calls, and starts again. */
export const failover: Bench = async (server, options, say) => {
  const { calls = 50, runs = 5, what } = options;
  const control = await connectControl(server.own!.data);
  const done: Run[] = [];
  try {
    for (let at = 0; at < runs; at++) {
      await untilUp(control);
      const run = await oneRun(server, control, calls, options);
      done.push(run);
      say(
        `run ${at + 1}: ${run.lost} calls lost; longest gap of ${run.gapsMs.length} streams: median ${median(run.gapsMs).toFixed(0)} ms, ` +
          `worst ${Math.max(...run.gapsMs).toFixed(0)} ms; of the ${run.otherGapsMs.length} others: worst ${Math.max(0, ...run.otherGapsMs).toFixed(0)} ms; ` +
          `${run.packetsLost} packets lost; ${run.unanswered} holds or BYEs unanswered, ${run.requestsSeen} requests seen by phones; ` +
          `the sender's own longest pause ${run.directPauseMs.toFixed(0)} ms; load average ${loadavg()[0]!.toFixed(1)}`,
      );
    }
  } finally {
    control.close();
  }
  const gaps = done.flatMap(({ gapsMs }) => gapsMs);
  const sum = (pick: (run: Run) => number) => done.reduce((all, run) => all + pick(run), 0);
  const figures = {
    callsLost: sum(({ lost }) => lost),
    gapMsMedian: rounded(median(gaps)),
    gapMsP99: rounded(quantile(gaps, 0.99)),
    gapMsWorst: rounded(Math.max(...gaps)),
    packetsLost: sum(({ packetsLost }) => packetsLost),
    unanswered: sum(({ unanswered }) => unanswered),
    requestsSeen: sum(({ requestsSeen }) => requestsSeen),
    generatorPauseMsWorst: rounded(Math.max(...done.map(({ directPauseMs }) => directPauseMs))),
  };
  say(`\n${what}, ${calls} calls, ${runs} runs\n${table(['', ''], Object.entries(figures))}`);
  return figures;
};

async function oneRun(
  server: Server,
  control: ControlClient,
  calls: number,
  { what, srtp }: BenchOptions,
): Promise<Run> {
  const streams = await Streams.start();
  const talks = await setUpTalks(server, streams, calls, srtp);
  try {
    streams.order({ do: 'send' });
    await delay(BEFORE_MS);
    streams.order({ do: 'mark' });
    // What still was on its way at the mark would count as more than was sent.
    const seenBefore = talks.lines.map(({ requestsSeen }) => requestsSeen);
    await strike(server, control, what);
    await delay(AFTER_MS[what]);
    const heard = await streams.report();
    await delay(HEARD * 20);
    const later = await streams.report();
    streams.order({ do: 'silence' });
    await delay(DRAIN_MS);
    const end = await streams.report();
    const requestsSeen = talks.lines.reduce((sum, line, at) => sum + line.requestsSeen - seenBefore[at]!, 0);
    const silent = silentCalls(talks.talks, heard, later);
    const answered = await Promise.all(talks.talks.map((talk, at) => holdAndHangUp(talk, at)));
    const struck = victimsPorts(server, what);
    const gapOf = (at: number) => later.streams[at]!.longestGapMs;
    const all = talks.talks.flatMap(({ serverPorts }, at) =>
      // The caller hears what the server sends from the caller's port, and so for the callee.
      serverPorts.map((port, side) => ({ gapMs: gapOf(2 * at + side), struck: struck(port) })),
    );
    return {
      lost: talks.talks.filter((_, at) => silent.has(at) || !answered[at]).length,
      gapsMs: all.filter((one) => one.struck).map(({ gapMs }) => gapMs),
      otherGapsMs: all.filter((one) => !one.struck).map(({ gapMs }) => gapMs),
      packetsLost: Math.max(0, end.sent - end.received),
      directPauseMs: later.longestPauseMs,
      unanswered: answered.filter((well) => !well).length,
      requestsSeen,
    };
  } finally {
    await talks.close();
    streams.stop();
    await restore(control, what);
  }
}

async function strike({ redis }: Server, control: ControlClient, what: Victim): Promise<void> {
  switch (what) {
    case 'zone-frozen':
      await control.ask('freeze', { target: 'zone a' });
      return;
    case 'redis':
      await redis!.kill();
      await redis!.start();
      return;
    case 'everything':
      await control.ask('restart', { target: 'all' });
      return;
    default:
      await control.ask('kill', { target: VICTIM_NAMES[what] });
  }
}

const VICTIM_NAMES = { zone: 'zone a', switch: 'switch a1', media: 'media a', edge: 'edge edge1' } as const;

/** A switch and a media process are started again by their supervisor. */
async function restore(control: ControlClient, what: Victim): Promise<void> {
  if (what === 'zone' || what === 'zone-frozen') await control.ask('start', { target: 'zone a' });
}

/** Whether the audio that comes in at this port of the server went through what was struck. */
function victimsPorts(server: Server, what: Victim): (port: number) => boolean {
  if (what === 'switch' || what === 'edge' || what === 'redis' || what === 'everything') return () => true;
  const ranges = planOf(server.own!)
    .zones.find(({ id }) => id === 'a')!
    .media.map(({ ports }) => ports);
  return (port) => ranges.some(({ from, to }) => port >= from && port <= to);
}

/** Calls with a stream that hardly brought anything in the last second. */
function silentCalls(talks: readonly BenchTalk[], heard: StreamReport, later: StreamReport): Set<number> {
  const silent = new Set<number>();
  talks.forEach((_, at) => {
    for (const stream of [2 * at, 2 * at + 1])
      if (later.streams[stream]!.received - heard.streams[stream]!.received < HEARD / 2) silent.add(at);
  });
  return silent;
}

/** Every other call is hung up by the callee. */
async function holdAndHangUp({ caller, callee }: BenchTalk, at: number): Promise<boolean> {
  const hung = at % 2 === 0 ? caller : callee;
  const other = at % 2 === 0 ? callee : caller;
  if (caller.ended || callee.ended) return false;
  if ((await caller.hold()) !== 200) return false;
  if ((await hung.bye()) !== 200) return false;
  for (let waitedMs = 0; !other.ended && waitedMs < 5_000; waitedMs += 50) await delay(50);
  return other.ended;
}

async function untilUp(control: ControlClient): Promise<void> {
  const until = performance.now() + UP_AGAIN_MS;
  for (;;) {
    const { zones } = await control.ask('status', {});
    const up = zones.every(
      ({ state, switches, media, twinUp }) =>
        state === 'up' && twinUp && [...switches, ...media].every((one) => one.state === 'up'),
    );
    if (up) break;
    if (performance.now() > until) throw new Error(`the zones were not up again: ${JSON.stringify(zones)}`);
    await delay(100);
  }
  await delay(1_000);
}
