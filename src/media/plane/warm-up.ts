import { createEncoder, samplesPerFrame } from '../../audio/index.ts';
import { writeRtpHeader } from '../../rtp/index.ts';
import type { StreamCodec } from '../protocol.ts';
import { Ear, isDecodable } from './ear.ts';

const CODECS: readonly StreamCodec[] = [
  { payloadType: 0, name: 'pcmu', clockRateHz: 8000, channels: 1 },
  { payloadType: 9, name: 'g722', clockRateHz: 8000, channels: 1 },
  { payloadType: 96, name: 'opus', clockRateHz: 48_000, channels: 2 },
];
const FRAMES = 150;

/**
 * Hears some seconds of nobody in each codec, so that the libraries are loaded and the code is compiled before the first call, and before a
 * take-over, whose first frames would else be late. Some hundred milliseconds at the start.
 */
export function warmUpAudio(): void {
  const bytes = Buffer.alloc(1500);
  for (const codec of CODECS) {
    if (!isDecodable(codec)) continue;
    const encoder = createEncoder(codec);
    if (encoder === undefined) continue;
    const ear = new Ear([codec]);
    const frame = new Int16Array(samplesPerFrame(encoder.rateHz));
    for (let n = 0; n < FRAMES; n++) {
      for (let i = 0; i < frame.length; i++) frame[i] = Math.round(4000 * Math.sin((i + n) / 9));
      const length = encoder.encode(frame, bytes, 12);
      writeRtpHeader(bytes, codec.payloadType, false, n, n * (codec.clockRateHz / 50), 1);
      // Some loss and jitter, for the ways that are gone seldom.
      if (n % 20 !== 19) ear.receive(bytes, 12, 12 + length, n * 20 + (n % 3) * 20);
      ear.listen(n, n * 20);
      for (const rateHz of [8000, 16_000, 48_000] as const) ear.at(rateHz);
    }
    ear.release();
    encoder.release();
  }
}
