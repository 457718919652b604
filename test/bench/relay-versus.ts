import { availableParallelism, loadavg } from 'node:os';
import type { SrtpSuite } from '../../src/sdp/index.ts';
import { Rtpengine } from '../support/rtpengine.ts';
import { cpuUs, GeneratorWatch, generatorNote } from './cpu.ts';
import { delay } from './measure.ts';
import type { BenchOptions } from './options.ts';
import { debiansRtpengine, MOST_CALLS, ourMedia, type RelayEngine } from './relay-engines.ts';
import { Streams } from './streams.ts';
import { median, rounded, table } from './table.ts';

const WARM_UP_MS = 3_000;
/** What is on its way when sending ends. */
const DRAIN_MS = 300;
const MIXES: readonly (SrtpSuite | undefined)[] = [undefined, 'AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_256_GCM'];
const NAMES: Readonly<Partial<Record<SrtpSuite, string>>> = {
  AES_CM_128_HMAC_SHA1_80: 'AesCm128',
  AEAD_AES_256_GCM: 'Aes256Gcm',
  AEAD_AES_128_GCM: 'Aes128Gcm',
  AES_256_CM_HMAC_SHA1_80: 'AesCm256',
};
const nameOf = (suite: SrtpSuite | undefined): string => (suite === undefined ? 'Plain' : NAMES[suite]!);

interface Round {
  readonly usPerPacket: number;
  readonly lossPercent: number;
  readonly delayP99Ms: number;
  readonly generatorPercent: number;
}

/**
 * Our media processes and rtpengine relay the same packets, in turns, alone: CPU per packet of each, and their ratio. In `--json`: `ratio` is
 * that of plain RTP, or of the one suite that was asked for.
 */
export async function relayVersus(
  options: BenchOptions,
  say: (text: string) => void,
): Promise<Readonly<Record<string, number>>> {
  if (Rtpengine.program === undefined) throw new Error('rtpengine is not installed (Debian: rtpengine)');
  const { calls = 200, seconds = 5, runs = 3, srtp } = options;
  if (calls > MOST_CALLS) throw new Error(`--calls is at most ${MOST_CALLS} here`);
  const engines: RelayEngine[] = [];
  const streams = await Streams.start();
  try {
    engines.push(await ourMedia(), await debiansRtpengine(availableParallelism()));
    const figures: Record<string, number> = {};
    const rows: (string | number)[][] = [];
    for (const suite of srtp === undefined ? MIXES : [srtp]) {
      const rounds = engines.map(() => [] as Round[]);
      for (let run = 0; run < runs; run++) {
        for (const [at, engine] of engines.entries()) {
          const round = await oneRound(engine, streams, calls, seconds, suite);
          rounds[at]!.push(round);
          say(
            `plain ↔ ${suite ?? 'plain'}, ${engine.name}, run ${run + 1}: ${rounded(round.usPerPacket)} µs a packet, ${rounded(
              round.lossPercent,
            )} % lost, p99 ${round.delayP99Ms.toFixed(2)} ms; ${generatorNote(round.generatorPercent)}; load ${loadavg()[0]!.toFixed(1)}`,
          );
        }
      }
      const of = (at: number, what: keyof Round) => median(rounds[at]!.map((round) => round[what]));
      // Each pair was measured side by side: the median of the ratios, not the ratio of the medians.
      const ratio = median(rounds[0]!.map((ours, at) => ours.usPerPacket / rounds[1]![at]!.usPerPacket));
      const name = nameOf(suite);
      figures[`ratio${name}`] = rounded(ratio);
      for (const [at, engine] of ['twinline', 'rtpengine'].entries()) {
        figures[`${engine}UsPerPacket${name}`] = rounded(of(at, 'usPerPacket'));
        figures[`${engine}LossPercent${name}`] = rounded(of(at, 'lossPercent'));
        figures[`${engine}AddedDelayMsP99${name}`] = rounded(of(at, 'delayP99Ms'));
      }
      rows.push([
        `plain ↔ ${suite ?? 'plain'}`,
        rounded(of(0, 'usPerPacket')),
        rounded(of(1, 'usPerPacket')),
        rounded(ratio),
        rounded(of(0, 'lossPercent')),
        rounded(of(1, 'lossPercent')),
        rounded(of(0, 'delayP99Ms')),
        rounded(of(1, 'delayP99Ms')),
      ]);
    }
    say(
      `\n${calls} calls, ${calls * 100} packets/s in, ${seconds} s a round, ${runs} rounds, CPU in µs per packet\n${table(
        ['', 'twinline', 'rtpengine', 'ratio', 'lost %', 'lost %', 'p99 ms', 'p99 ms'],
        rows,
      )}`,
    );
    return { ratio: figures[`ratio${nameOf(srtp)}`]!, ...figures };
  } finally {
    streams.stop();
    for (const engine of engines) await engine.stop();
  }
}

async function oneRound(
  engine: RelayEngine,
  streams: Streams,
  calls: number,
  seconds: number,
  suite: SrtpSuite | undefined,
): Promise<Round> {
  const left = await streams.open(calls);
  const right = await streams.open(calls, suite);
  try {
    for (let n = 0; n < calls; n++) {
      const sides = await engine.call(n, left[n]!, right[n]!, suite);
      for (const [which, { address, port, keySalt }] of sides.entries()) {
        const at = n + which * calls;
        streams.order({ do: 'connect', at, address, port, ...(keySalt !== undefined && { keySalt }) });
      }
    }
    streams.order({ do: 'send' });
    await delay(WARM_UP_MS);
    streams.order({ do: 'mark' });
    const generator = new GeneratorWatch([streams.pid]);
    const before = used(engine);
    const fromMs = performance.now();
    await delay(seconds * 1000);
    const after = used(engine);
    const toMs = performance.now();
    const generatorPercent = generator.percent();
    streams.order({ do: 'silence' });
    await delay(DRAIN_MS);
    const report = await streams.report();
    // The rate is steady: the packets of the window by its length.
    const packets = (calls * 2 * 50 * (toMs - fromMs)) / 1000;
    return {
      usPerPacket: (after - before) / packets,
      lossPercent: Math.max(0, (1 - report.received / report.sent) * 100),
      delayP99Ms: Math.max(0, report.delayMs.p99 - report.directMs.p50),
      generatorPercent,
    };
  } finally {
    streams.order({ do: 'close' });
    await engine.clear(calls);
  }
}

function used({ name, pids }: RelayEngine): number {
  return pids.reduce((sum, pid) => {
    const us = cpuUs(pid);
    if (us === undefined) throw new Error(`${name} (pid ${pid}) ended while it was measured`);
    return sum + us;
  }, 0);
}
