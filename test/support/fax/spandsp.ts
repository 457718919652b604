import koffi, { type TypeObject } from 'koffi';

/** Debian's libspandsp as a fax machine of another maker: whole T.30 terminals, by T.38 and by sound, and a gateway between both. */
export interface FaxJob {
  /** The machine that called. */
  readonly calls: boolean;
  /** A TIFF file to send, or where to put what is received. */
  readonly sends?: string;
  readonly receives?: string;
  /** Error correction (T.30 Annex A): broken parts of a page are sent again. */
  readonly errorCorrection: boolean;
}

export interface FaxResult {
  /** What spandsp says at the end of the call; `OK` when all went well. */
  readonly said: string;
  readonly pages: number;
  readonly badRows: number;
  readonly retries: number;
  readonly errorCorrection: boolean;
  readonly bitsPerSecond: number;
}

type Pointer = number;
type Packet = (packet: Buffer, times: number) => void;

const P = 'uintptr_t';
/** Fax machines of 1990: V.27ter, V.29 and V.17, all resolutions of T.4. */
const MODEMS = 0x07;
/** Offsets in `t30_stats_t` of spandsp 0.0.6: ints in a row. */
const STATISTICS = {
  bitRate: 0,
  errorCorrection: 1,
  pagesSent: 2,
  pagesReceived: 3,
  badRows: 11,
  retries: 13,
};
const STATISTICS_OCTETS = 256;
export const FRAME_SAMPLES = 160;

function bind() {
  const library = koffi.load('libspandsp.so.2');
  const call = <A extends unknown[], R>(
    name: string,
    result: string,
    ...parameters: (string | TypeObject)[]
  ) => library.func(name, result, parameters) as unknown as (...values: A) => R;
  const onPacket = koffi.proto(
    'int fax_packet(uintptr_t core, uintptr_t user, const uint8_t *data, int length, int count)',
  );
  const onEnd = koffi.proto('void fax_end(uintptr_t t30, uintptr_t user, int code)');
  const init = (name: string) =>
    call<[Pointer, number, unknown, Pointer], Pointer>(name, P, P, 'int', koffi.pointer(onPacket), P);
  const samples = (name: string) =>
    call<[Pointer, Int16Array, number], number>(name, 'int', P, 'int16_t *', 'int');
  const part = (name: string) => call<[Pointer], Pointer>(name, P, P);
  const setting = (name: string) => call<[Pointer, number], number>(name, 'int', P, 'int');
  return {
    onPacket,
    onEnd,
    terminal: init('t38_terminal_init'),
    terminalT30: part('t38_terminal_get_t30_state'),
    terminalCore: part('t38_terminal_get_t38_core_state'),
    terminalFree: part('t38_terminal_free'),
    terminalPasses: setting('t38_terminal_send_timeout'),
    gateway: call<[Pointer, unknown, Pointer], Pointer>('t38_gateway_init', P, P, koffi.pointer(onPacket), P),
    gatewayCore: part('t38_gateway_get_t38_core_state'),
    gatewayFree: part('t38_gateway_free'),
    gatewayHears: samples('t38_gateway_rx'),
    gatewaySays: samples('t38_gateway_tx'),
    gatewayAlwaysSays: setting('t38_gateway_set_transmit_on_idle'),
    gatewayErrorCorrection: setting('t38_gateway_set_ecm_capability'),
    fax: call<[Pointer, number], Pointer>('fax_init', P, P, 'int'),
    faxT30: part('fax_get_t30_state'),
    faxFree: part('fax_free'),
    faxHears: samples('fax_rx'),
    faxMisses: setting('fax_rx_fillin'),
    faxSays: samples('fax_tx'),
    faxAlwaysSays: setting('fax_set_transmit_on_idle'),
    coreHears: call<[Pointer, Buffer, number, number], number>(
      't38_core_rx_ifp_packet',
      'int',
      P,
      'const uint8_t *',
      'int',
      'uint16_t',
    ),
    sends: call<[Pointer, string, number, number], void>('t30_set_tx_file', 'void', P, 'str', 'int', 'int'),
    receives: call<[Pointer, string, number], void>('t30_set_rx_file', 'void', P, 'str', 'int'),
    modems: setting('t30_set_supported_modems'),
    errorCorrection: setting('t30_set_ecm_capability'),
    whenEnded: call<[Pointer, unknown, Pointer], void>(
      't30_set_phase_e_handler',
      'void',
      P,
      koffi.pointer(onEnd),
      P,
    ),
    statistics: call<[Pointer, Buffer], void>('t30_get_transfer_statistics', 'void', P, 'void *'),
    meaning: call<[number], string>('t30_completion_code_to_str', 'str', 'int'),
  };
}

let bound: ReturnType<typeof bind> | undefined;
const spandsp = () => {
  bound ??= bind();
  return bound;
};

export const hasFax = (() => {
  try {
    return spandsp() !== undefined;
  } catch {
    return false;
  }
})();

/** The machine's protocol (T.30), whatever carries it. */
class Machine {
  /** Resolves when its call has ended by T.30: a DCN, or it gave up. */
  readonly ended: Promise<FaxResult>;
  readonly #t30: Pointer;
  readonly #callback: bigint;

  constructor(t30: Pointer, job: FaxJob) {
    const calls = spandsp();
    this.#t30 = t30;
    calls.modems(t30, MODEMS);
    calls.errorCorrection(t30, job.errorCorrection ? 1 : 0);
    if (job.sends !== undefined) calls.sends(t30, job.sends, -1, -1);
    if (job.receives !== undefined) calls.receives(t30, job.receives, -1);
    let told: (result: FaxResult) => void = () => {};
    this.ended = new Promise((resolve) => {
      told = resolve;
    });
    this.#callback = koffi.register(
      (_: Pointer, __: Pointer, code: number) => told(this.#result(code)),
      koffi.pointer(calls.onEnd),
    );
    calls.whenEnded(t30, this.#callback, 0);
  }

  #result(code: number): FaxResult {
    const numbers = Buffer.alloc(STATISTICS_OCTETS);
    spandsp().statistics(this.#t30, numbers);
    const at = (index: number) => numbers.readInt32LE(4 * index);
    return {
      said: spandsp().meaning(code),
      pages: Math.max(at(STATISTICS.pagesSent), at(STATISTICS.pagesReceived)),
      badRows: at(STATISTICS.badRows),
      retries: at(STATISTICS.retries),
      errorCorrection: at(STATISTICS.errorCorrection) !== 0,
      bitsPerSecond: at(STATISTICS.bitRate),
    };
  }

  release(): void {
    koffi.unregister(this.#callback);
  }
}

function registerPackets(packet: Packet): bigint {
  return koffi.register((_: Pointer, __: Pointer, data: unknown, length: number, count: number) => {
    packet(Buffer.from(koffi.decode(data, koffi.array('uint8_t', length)) as Uint8Array), count);
    return 0;
  }, koffi.pointer(spandsp().onPacket));
}

/** A fax server that speaks T.38 itself. `packet`: what it sends, and how often each. */
export function openT38Terminal(job: FaxJob, packet: Packet) {
  const calls = spandsp();
  const callback = registerPackets(packet);
  const state = calls.terminal(0, job.calls ? 1 : 0, callback, 0);
  const core = calls.terminalCore(state);
  const machine = new Machine(calls.terminalT30(state), job);
  return {
    ended: machine.ended,
    passes: () => void calls.terminalPasses(state, FRAME_SAMPLES),
    packet: (bytes: Buffer, sequence: number) => void calls.coreHears(core, bytes, bytes.length, sequence),
    release() {
      calls.terminalFree(state);
      machine.release();
      koffi.unregister(callback);
    },
  };
}

/** A machine with a telephone plug: it hears and says 8 kHz samples, in frames of 20 ms. */
export function openSoundFax(job: FaxJob) {
  const calls = spandsp();
  const state = calls.fax(0, job.calls ? 1 : 0);
  calls.faxAlwaysSays(state, 1);
  const machine = new Machine(calls.faxT30(state), job);
  return {
    ended: machine.ended,
    hears: (frame: Int16Array) => void calls.faxHears(state, frame, frame.length),
    misses: (samples: number) => void calls.faxMisses(state, samples),
    says: (frame: Int16Array) => void frame.fill(0, calls.faxSays(state, frame, frame.length)),
    release() {
      calls.faxFree(state);
      machine.release();
    },
  };
}

/** What an adapter has between its telephone plug and T.38. */
export function openT38Gateway(errorCorrection: boolean, packet: Packet) {
  const calls = spandsp();
  const callback = registerPackets(packet);
  const state = calls.gateway(0, callback, 0);
  const core = calls.gatewayCore(state);
  calls.gatewayAlwaysSays(state, 1);
  calls.gatewayErrorCorrection(state, errorCorrection ? 1 : 0);
  return {
    hears: (frame: Int16Array) => void calls.gatewayHears(state, frame, frame.length),
    says: (frame: Int16Array) => void frame.fill(0, calls.gatewaySays(state, frame, frame.length)),
    packet: (bytes: Buffer, sequence: number) => void calls.coreHears(core, bytes, bytes.length, sequence),
    release() {
      calls.gatewayFree(state);
      koffi.unregister(callback);
    },
  };
}

export type T38Terminal = ReturnType<typeof openT38Terminal>;
export type SoundFax = ReturnType<typeof openSoundFax>;
export type T38Gateway = ReturnType<typeof openT38Gateway>;
