/* global AudioWorkletProcessor, registerProcessor, sampleRate */
const WINDOW = Math.round(sampleRate / 10);
const SLICE = Math.round(sampleRate / 100);
/** Of full scale. A tone is at 0.1 or more; comfort noise and what fades after concealment below. */
const AUDIBLE = 0.01;

/** Tells ten times a second which tone stands out, and how much of the time was silent. */
class Listener extends AudioWorkletProcessor {
  #samples = new Float32Array(WINDOW);
  #filled = 0;
  #sliceEnergy = 0;
  #slice = 0;
  #silentMs = 0;
  #longestSilentMs = 0;

  process([input]) {
    const channel = input[0];
    const length = channel?.length ?? 128;
    for (let i = 0; i < length; i++) this.#take(channel?.[i] ?? 0);
    return true;
  }

  #take(sample) {
    this.#samples[this.#filled++] = sample;
    this.#sliceEnergy += sample * sample;
    if (++this.#slice === SLICE) {
      const silent = Math.sqrt(this.#sliceEnergy / SLICE) < AUDIBLE;
      this.#silentMs = silent ? this.#silentMs + 10 : 0;
      this.#longestSilentMs = Math.max(this.#longestSilentMs, this.#silentMs);
      this.#slice = this.#sliceEnergy = 0;
    }
    if (this.#filled < WINDOW) return;
    this.#filled = 0;
    this.port.postMessage({ toneHz: strongestTone(this.#samples), longestSilentMs: this.#longestSilentMs });
    this.#longestSilentMs = this.#silentMs;
  }
}

/** In steps of 50 Hz; undefined when none stands out. */
function strongestTone(samples) {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  if (energy / samples.length < AUDIBLE * AUDIBLE) return undefined;
  let best;
  let bestPower = 0;
  for (let hz = 200; hz <= 2000; hz += 50) {
    const coefficient = 2 * Math.cos((2 * Math.PI * hz) / sampleRate);
    let before = 0;
    let beforeThat = 0;
    for (const sample of samples) {
      const next = sample + coefficient * before - beforeThat;
      beforeThat = before;
      before = next;
    }
    const power = before * before + beforeThat * beforeThat - coefficient * before * beforeThat;
    if (power > bestPower) [best, bestPower] = [hz, power];
  }
  // A pure sine of n samples has power n × energy / 2.
  return bestPower > (0.3 * samples.length * energy) / 2 ? best : undefined;
}

registerProcessor('listener', Listener);
