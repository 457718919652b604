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
