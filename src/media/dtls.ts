import type { Clock, Logger } from '../base/index.ts';
import { type DtlsContext, type DtlsIdentity, dtlsLibrary } from '../native/index.ts';
import { StreamDtls } from './dtls-transport.ts';
import type { DtlsTerms, StreamOpened, StreamSpec } from './protocol.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

/** A handshake under way costs some 60 KB and a millisecond of CPU in all; those above this number wait for the peer's next try. */
const MOST_HANDSHAKES = 500;

/** The process's DTLS: its certificates and what all handshakes share. */
export class Dtls {
  readonly #contexts: readonly DtlsContext[];
  readonly #clock: Clock;
  readonly #log: Logger;
  #handshakes = 0;

  /**
   * `identities`: our certificates, the same at the twin; none: this process has no DTLS. Throws Error that says what is wrong with
   * one of them.
   */
  constructor(options: { clock: Clock; log: Logger; identities: readonly DtlsIdentity[] }) {
    this.#clock = options.clock;
    this.#log = options.log;
    const library = options.identities.length > 0 ? dtlsLibrary() : undefined;
    if (library === undefined && options.identities.length > 0) options.log.warn({}, 'media.no-dtls-library');
    this.#contexts = library === undefined ? [] : options.identities.map((each) => library.newContext(each));
  }

  /** Gives the stream its DTLS if its spec has terms, takes it away if not. */
  attend(port: RelayPort, stream: Stream): void {
    const { spec, association } = stream;
    if (spec.dtls === undefined) {
      stream.dtls?.close();
      stream.dtls = undefined;
      return;
    }
    if (this.#contexts.length === 0) {
      if (association.phase === 'failed') return;
      association.phase = 'failed';
      const problem = 'this media process has no DTLS: no certificate, or no OpenSSL';
      port.event({ type: 'transport', stream: stream.id, state: 'failed', problem });
      return;
    }
    stream.dtls ??= new StreamDtls(stream, {
      clock: this.#clock,
      log: this.#log,
      contextFor: (terms) => this.#contextFor(terms),
      admit: () => {
        if (this.#handshakes >= MOST_HANDSHAKES) return false;
        this.#handshakes++;
        return true;
      },
      release: () => void this.#handshakes--,
    });
  }

  /** What SDP says of us for this stream. */
  fingerprint({ dtls }: StreamSpec): Pick<StreamOpened, 'fingerprint'> {
    if (this.#contexts.length === 0) return {};
    const { fingerprint } = this.#contextFor(dtls);
    return { fingerprint: { hash: 'sha-256', value: fingerprint } };
  }

  close(): void {
    for (const context of this.#contexts) context.free();
  }

  /**
   * Peers that know nothing of `a=tls-id` (libwebrtc) begin a new association only when our fingerprint is another one: so each
   * association of a stream shows the other certificate than the one before.
   */
  #contextFor(terms: DtlsTerms | undefined): DtlsContext {
    return this.#contexts[(terms?.association ?? 0) % this.#contexts.length]!;
  }
}
