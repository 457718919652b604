// Two packages that bring no types: emscripten modules, opened by a function.
declare module '@echogarden/fvad-wasm' {
  interface Fvad {
    readonly HEAPU8: Uint8Array<ArrayBuffer>;
    _malloc(bytes: number): number;
    _fvad_new(): number;
    _fvad_free(detector: number): void;
    _fvad_set_mode(detector: number, mode: number): number;
    _fvad_set_sample_rate(detector: number, rateHz: number): number;
    _fvad_process(detector: number, samples: number, count: number): number;
  }
  export default function open(): Promise<Fvad>;
}

declare module '@echogarden/speex-resampler-wasm' {
  interface Speex {
    readonly HEAPF32: Float32Array<ArrayBuffer>;
    readonly HEAPU32: Uint32Array<ArrayBuffer>;
    _malloc(bytes: number): number;
    _free(at: number): void;
    _speex_resampler_init(
      channels: number,
      fromHz: number,
      toHz: number,
      quality: number,
      errorAt: number,
    ): number;
    _speex_resampler_skip_zeros(state: number): number;
    _speex_resampler_process_float(
      state: number,
      channel: number,
      inputAt: number,
      inputCountAt: number,
      outputAt: number,
      outputCountAt: number,
    ): number;
    _speex_resampler_destroy(state: number): void;
  }
  export default function open(): Promise<Speex>;
}
