/** How right a tone is that came over a network: its level, and what else is in it, in windows of so many samples. */
export interface ToneQuality {
  /** Root mean square of all, in dB against what was sent. */
  readonly levelDb: number;
  /** The share of windows in which the tone is at least 15 dB above all else. */
  readonly pure: number;
  /** The share of windows in which nearly nothing is heard. */
  readonly silent: number;
}

export function toneQuality(
  samples: ArrayLike<number>,
  rateHz: number,
  hz: number,
  sentAmplitude: number,
  windowMs = 40,
): ToneQuality {
  const window = (rateHz * windowMs) / 1000;
  const windows = Math.floor(samples.length / window);
  let pure = 0;
  let silent = 0;
  let total = 0;
  for (let n = 0; n < windows; n++) {
    let [c, s, all] = [0, 0, 0];
    for (let i = 0; i < window; i++) {
      const value = samples[n * window + i]!;
      const angle = (2 * Math.PI * hz * i) / rateHz;
      c += value * Math.cos(angle);
      s += value * Math.sin(angle);
      all += value * value;
    }
    total += all;
    const tone = (2 * (c * c + s * s)) / window;
    if (all / window < (sentAmplitude / 20) ** 2) silent++;
    else if (tone / Math.max(1, all - tone) > 31) pure++;
  }
  const level = Math.sqrt(total / (windows * window));
  return {
    levelDb: 20 * Math.log10(Math.max(1e-3, level) / (sentAmplitude / Math.SQRT2)),
    pure: pure / windows,
    silent: silent / windows,
  };
}
