import {
  availableCodecs,
  type CodecName,
  createDecoder,
  createEncoder,
  levelDbov,
  mixInto,
  newSpeakerSelection,
  type SampleRateHz,
  selectSpeakers,
  takeMix,
} from '../../src/audio/index.ts';
import type { BenchOptions } from './options.ts';
import { median, rounded, table } from './table.ts';
import { payloads, voice } from './transcode.ts';

const FRAMES_PER_SEC = 50;
const SPEAKERS = 3;

interface Party {
  readonly id: string;
  /** Where its voice begins in the recording, so that no two say the same at once. */
  readonly offset: number;
  frame: Int16Array;
}

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** A frame of the conference: levels of all, the loudest chosen, their sum, and it less each one's own. Returns the sums by chosen speaker and for the rest. */
function conference(rateHz: SampleRateHz) {
  const samples = rateHz / FRAMES_PER_SEC;
  const selection = newSpeakerSelection();
  const levels = new Map<string, number>();
  const bus = new Int32Array(samples);
  const own = Array.from({ length: SPEAKERS }, () => new Int16Array(samples));
  const rest = new Int16Array(samples);
  return {
    own,
    rest,
    frame(parties: ReadonlyMap<string, Party>): readonly string[] {
      for (const party of parties.values()) levels.set(party.id, levelDbov(party.frame));
      const chosen = selectSpeakers(selection, levels, SPEAKERS);
      bus.fill(0);
      for (let i = 0; i < chosen.length; i++) mixInto(bus, parties.get(chosen[i] as string)!.frame);
      takeMix(bus, rest);
      for (let i = 0; i < chosen.length; i++) takeMix(bus, own[i]!, parties.get(chosen[i] as string)!.frame);
      return chosen;
    },
  };
}

async function partiesOf(
  count: number,
  rateHz: SampleRateHz,
): Promise<{ parties: Map<string, Party>; pcm: Int16Array }> {
  const pcm = await voice(rateHz, 20);
  const samples = rateHz / FRAMES_PER_SEC;
  const parties = new Map<string, Party>();
  for (let i = 0; i < count; i++) {
    const id = `party-${i}`;
    parties.set(id, {
      id,
      offset: Math.floor((i * pcm.length) / count / samples) * samples,
      frame: new Int16Array(samples),
    });
  }
  return { parties, pcm };
}

/** The arithmetic alone: CPU µs per second of conference. */
async function arithmetic(
  count: number,
  rateHz: SampleRateHz,
  seconds: number,
  runs: number,
): Promise<number> {
  const { parties, pcm } = await partiesOf(count, rateHz);
  const room = conference(rateHz);
  const samples = rateHz / FRAMES_PER_SEC;
  const second = (from: number): void => {
    for (let n = from; n < from + FRAMES_PER_SEC; n++) {
      for (const party of parties.values()) {
        const at = (party.offset + n * samples) % (pcm.length - samples);
        party.frame = pcm.subarray(at, at + samples);
      }
      room.frame(parties);
    }
  };
  second(0);
  return median(
    Array.from({ length: runs }, (_, run) => {
      const before = cpuUs();
      for (let n = 0; n < seconds; n++) second((run * seconds + n) * FRAMES_PER_SEC);
      return (cpuUs() - before) / seconds;
    }),
  );
}

/**
 * With codecs: everybody is decoded, each chosen speaker gets a mix of his own, the others one that is encoded once for all of the same
 * codec. Opus at its own rate, G.711 at 8 kHz.
 */
async function whole(count: number, codec: CodecName, seconds: number, runs: number): Promise<number> {
  const decoders = Array.from({ length: count }, () => createDecoder(codec)!);
  const rateHz = decoders[0]!.rateHz;
  const sent = await payloads(codec, 20);
  const { parties } = await partiesOf(count, rateHz);
  const list = [...parties.values()];
  const room = conference(rateHz);
  const encoders = Array.from({ length: SPEAKERS + 1 }, () => createEncoder(codec)!);
  const out = new Uint8Array(1500);
  const step = Math.floor(sent.length / count);
  const second = (from: number): void => {
    for (let n = from; n < from + FRAMES_PER_SEC; n++) {
      for (let i = 0; i < count; i++) {
        const payload = sent[(n + i * step) % sent.length]!;
        list[i]!.frame = decoders[i]!.decode(payload, 0, payload.length);
      }
      const chosen = room.frame(parties);
      for (let i = 0; i < chosen.length; i++) encoders[i]!.encode(room.own[i]!, out, 12);
      encoders[SPEAKERS]!.encode(room.rest, out, 12);
    }
  };
  second(0);
  const us = median(
    Array.from({ length: runs }, (_, run) => {
      const before = cpuUs();
      for (let n = 0; n < seconds; n++) second((run * seconds + n) * FRAMES_PER_SEC);
      return (cpuUs() - before) / seconds;
    }),
  );
  for (const one of [...decoders, ...encoders]) one.release();
  return us;
}

/** A conference in this process: `--calls` parties (50), the loudest three heard. */
export async function mix(
  options: BenchOptions,
  say: (text: string) => void,
): Promise<Readonly<Record<string, number>>> {
  const count = options.calls ?? 50;
  const seconds = options.seconds ?? 5;
  const runs = options.runs ?? 3;
  const figures: Record<string, number> = { parties: count };
  for (const rateHz of [8000, 16_000, 48_000] as const)
    figures[`mix_${rateHz / 1000}khz_us_per_second`] = rounded(
      await arithmetic(count, rateHz, seconds, runs),
    );
  if (availableCodecs().includes('opus'))
    figures['conference_opus_us_per_second'] = rounded(
      await whole(
        count,
        { name: 'opus', clockRateHz: 48_000, channels: 2, fmtp: 'useinbandfec=1' },
        seconds,
        runs,
      ),
    );
  figures['conference_pcmu_us_per_second'] = rounded(
    await whole(count, { name: 'pcmu', clockRateHz: 8000 }, seconds, runs),
  );
  say(
    table(
      [`${count} parties`, 'CPU µs per second', '% of a core'],
      Object.entries(figures)
        .filter(([name]) => name !== 'parties')
        .map(([name, us]) => [name, us, rounded(us / 1e4)]),
    ),
  );
  return figures;
}
