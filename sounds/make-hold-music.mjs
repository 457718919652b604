// Writes hold-music.ogg beside this file: our own little piece, 32 s that join on to themselves without a seam, level enough for a telephone.
//   node sounds/make-hold-music.mjs        (needs ffmpeg)
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const RATE_HZ = 48_000;
const BEAT_SEC = 0.5;
const BEATS_PER_BAR = 4;
/** Roots and chords in half tones above A2, a bar each, played twice; the melody's half tones above A4, one for each beat, null a rest. */
const BARS = [
  { root: 3, chord: [15, 19, 22], melody: [7, null, 10, 7] },
  { root: 0, chord: [12, 15, 19], melody: [3, null, 7, 3] },
  { root: 8, chord: [15, 20, 24], melody: [0, 3, null, 8] },
  { root: 10, chord: [14, 17, 22], melody: [5, null, 2, null] },
  { root: 3, chord: [15, 19, 22], melody: [10, null, 7, 3] },
  { root: 7, chord: [14, 19, 22], melody: [5, 2, null, 5] },
  { root: 8, chord: [15, 20, 24], melody: [8, 7, 3, null] },
  { root: 10, chord: [14, 17, 22], melody: [2, null, 5, null] },
];

const barSec = BEAT_SEC * BEATS_PER_BAR;
const length = Math.round(RATE_HZ * barSec * BARS.length * 2);
const mix = new Float64Array(length);

/** A struck string: a few harmonics that fade, the higher ones sooner. What rings beyond the end rings on at the beginning. */
function strike(atSec, halfTones, baseHz, level, seconds) {
  const hz = baseHz * 2 ** (halfTones / 12);
  const from = Math.round(atSec * RATE_HZ);
  for (let i = 0; i < seconds * RATE_HZ; i++) {
    const t = i / RATE_HZ;
    const attack = Math.min(1, t / 0.008);
    const release = Math.min(1, (seconds - t) / 0.05);
    let value = 0;
    for (let harmonic = 1; harmonic <= 5; harmonic++)
      value += Math.sin(2 * Math.PI * hz * harmonic * t) * Math.exp(-t * (1.2 + 1.1 * harmonic)) / harmonic ** 1.4;
    mix[(from + i) % length] += level * attack * release * value;
  }
}

for (let pass = 0; pass < 2; pass++) {
  for (const [bar, { root, chord, melody }] of BARS.entries()) {
    const startSec = (pass * BARS.length + bar) * barSec;
    strike(startSec, root, 110, 0.5, 1.9);
    strike(startSec + 2 * BEAT_SEC, root + 7, 110, 0.35, 0.9);
    for (let eighth = 0; eighth < 8; eighth++)
      strike(startSec + (eighth * BEAT_SEC) / 2, chord[[0, 1, 2, 1][eighth % 4]], 110, 0.22, 0.8);
    for (const [beat, note] of melody.entries())
      if (note !== null) strike(startSec + beat * BEAT_SEC, note + (pass === 1 && beat === 3 ? 5 : 0), 440, 0.3, 1.4);
  }
}

const peak = mix.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const pcm = Buffer.alloc(2 * length);
for (const [at, value] of mix.entries()) pcm.writeInt16LE(Math.round((value / peak) * 11_000), 2 * at);

const directory = mkdtempSync(path.join(tmpdir(), 'hold-music-'));
try {
  const raw = path.join(directory, 'music.raw');
  writeFileSync(raw, pcm);
  const made = path.join(import.meta.dirname, 'hold-music.ogg');
  const from = ['-f', 's16le', '-ar', String(RATE_HZ), '-ac', '1', '-i', raw];
  const as = ['-c:a', 'libopus', '-b:a', '24k', '-application', 'audio', '-map_metadata', '-1', '-fflags', '+bitexact'];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...from, ...as, made]);
} finally {
  rmSync(directory, { recursive: true });
}
