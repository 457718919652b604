import { GeneratorWatch, generatorNote, sample, usedBetween } from './cpu.ts';
import type { Bench } from './measure.ts';
import { delay } from './measure.ts';
import { Streams } from './streams.ts';
import { rounded, table } from './table.ts';
import { setUpTalks } from './talks.ts';

const WARM_UP_MS = 5_000;
/** What is on its way when sending ends. */
const DRAIN_MS = 500;

/** CPU of the media processes per packet that they relayed, loss, added delay. */
export const relay: Bench = async (server, options, say) => {
  const { calls = 200, seconds = 10, srtp } = options;
  const streams = await Streams.start();
  const processes = server.processes();
  // Of another server we cannot tell which process relays: all of them count.
  const relaying = processes.filter(
    ({ role }) => role === 'media' || role === 'rtpengine' || role === 'server',
  );
  const pids = processes.map(({ pid }) => pid);
  const talks = await setUpTalks(server, streams, calls, srtp);
  try {
    streams.order({ do: 'send' });
    await delay(WARM_UP_MS);
    streams.order({ do: 'mark' });
    const generator = new GeneratorWatch([streams.pid]);
    const from = sample(pids);
    await delay(seconds * 1000);
    const to = sample(pids);
    const generatorPercent = generator.percent();
    // Between the mark and the samples lie two messages; the rate is steady, so the packets of the window are counted by time.
    const packets = (calls * 2 * 50 * (to.atMs - from.atMs)) / 1000;
    streams.order({ do: 'silence' });
    await delay(DRAIN_MS);
    const report = await streams.report();
    const media = usedBetween(relaying, from, to);
    const all = usedBetween(processes, from, to);
    const lossPercent = Math.max(0, (1 - report.received / report.sent) * 100);
    const figures = {
      cpuUsPerPacket: rounded(media.totalUs / packets),
      lossPercent: rounded(lossPercent),
      addedDelayMsP50: rounded(report.delayMs.p50 - report.directMs.p50),
      addedDelayMsP99: rounded(report.delayMs.p99 - report.directMs.p50),
    };
    say(
      `${calls} calls, ${srtp ?? 'plain RTP'}, ${Math.round(packets / seconds)} packets/s for ${seconds} s\n` +
        table(
          ['', 'µs per packet', '% of a core'],
          [...all.byRole].map(([role, us]) => [
            role,
            rounded(us / packets),
            rounded(us / all.durationMs / 10),
          ]),
        ) +
        `\nsent ${report.sent}, received ${report.received}, refused ${report.refused}: ${figures.lossPercent} % lost` +
        `\ndelay p50 ${report.delayMs.p50.toFixed(2)} ms, p99 ${report.delayMs.p99.toFixed(2)} ms; without a server p50 ${report.directMs.p50.toFixed(
          2,
        )} ms, p99 ${report.directMs.p99.toFixed(2)} ms; longest pause of the sender ${report.longestPauseMs.toFixed(0)} ms` +
        `\n${generatorNote(generatorPercent)}`,
    );
    return figures;
  } finally {
    await talks.close();
    streams.stop();
  }
};
