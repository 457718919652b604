import { TwinlineError } from '../../base/index.ts';
import type { SrtpKey, StreamPlace, StreamSpec } from '../protocol.ts';
import type { Bencoded } from './bencode.ts';
import { type Described, innerDescription, peerDescription, readDescription } from './description.ts';
import { type Figures, figuresIn, INNER, OUTER } from './figures.ts';
import type { NgClient } from './ng-client.ts';

/** Suites that are never spoken here: short tags, and ciphers that we do not have. */
const NEVER = ['AES_256_CM', 'AES_192_CM', 'AES_CM_128', 'F8_128', 'NULL'].flatMap((cipher) => [
  `${cipher}_HMAC_SHA1_32`,
  ...(cipher.startsWith('AES') && cipher !== 'AES_192_CM' ? [] : [`${cipher}_HMAC_SHA1_80`]),
]);

export interface NgStreamOptions {
  readonly client: Pick<NgClient, 'ask'>;
  /** Of its call in rtpengine, which no other stream ever has. */
  readonly callId: string;
  /** By which streams reach each other inside rtpengine. */
  readonly innerFamily: 4 | 6;
  readonly dscp: number;
}

/** Where this stream's audio goes, and whether it comes from there. */
export interface Partner {
  /** Where the inner end of the other stream receives what this one's peer says; undefined: nobody is to hear it. */
  readonly receives: StreamPlace | undefined;
  /** It is not to be sent there for now. */
  readonly isMuted: boolean;
  /** That one sends to us, and nobody else may. */
  readonly isAlone: boolean;
}

/**
 * One stream is one call in rtpengine. Its outer end is the peer's; its inner end takes plain RTP to the inner end of another stream. To
 * rtpengine the inner end is who offers, the peer who answers, whoever did so in SIP: so a stream has its port, and the keys under which it
 * sends, before anything is known of its peer, and keeps them whomever it is connected with.
 */
export class NgStream {
  spec: StreamSpec;
  /** Connected as a switch, by which process. */
  owner = '';
  ownerSeenMs: number;
  figures: Figures | undefined;
  /** The last time at which more had come than before. */
  heardMs: number;
  nextSilentEventMs = 0;
  ended = false;
  readonly #options: NgStreamOptions;
  /** Commands of one call go out one after another. */
  #last: Promise<unknown> = Promise.resolve();
  #outer: Described | undefined;
  #inner: StreamPlace | undefined;
  #applied = '';
  #isMuted = false;

  constructor(options: NgStreamOptions, spec: StreamSpec, nowMs: number) {
    this.#options = options;
    this.spec = spec;
    this.ownerSeenMs = nowMs;
    this.heardMs = nowMs;
  }

  /** Where its peer sends to; undefined until it is open. */
  get outer(): Described | undefined {
    return this.#outer;
  }

  get inner(): StreamPlace | undefined {
    return this.#inner;
  }

  get sendKeys(): SrtpKey[] {
    return (this.#outer?.cryptos ?? []).map(({ suite, keySalt }) => ({ suite, keySalt }));
  }

  /**
   * Makes it so in rtpengine, `partner` as it is when the turn has come. Rejects with `unknown_stream` when rtpengine has forgotten the
   * call or sends under another key than the peer was told, and with the codes of `NgClient`.
   */
  apply(partner: () => Partner): Promise<void> {
    return this.#inTurn(() => this.#apply(partner()));
  }

  async #apply({ receives, isMuted, isAlone }: Partner): Promise<void> {
    const { spec } = this;
    const { innerFamily } = this.#options;
    if (this.ended) throw forgotten(spec, 'it has ended');
    const isPlain = spec.codecs.length > 0 && spec.sendKey === undefined;
    const protocol = isPlain ? 'RTP/AVP' : 'RTP/SAVP';
    const inner = innerDescription(spec.codecs, innerFamily, receives);
    const terms = [String(isAlone), spec.sendKey?.keySalt, spec.receiveKey?.keySalt];
    const wanted = [protocol, inner, peerDescription(spec, undefined), ...terms].join('\n');
    if (wanted !== this.#applied) await this.#negotiate(inner, protocol, isAlone, wanted);
    if (isMuted !== this.#isMuted) await this.#mute(isMuted);
  }

  /** What its descriptions say of directions rtpengine (10.5) does not go by. */
  async #mute(isMuted: boolean): Promise<void> {
    const command = isMuted ? 'block media' : 'unblock media';
    await this.#options.client.ask({ command, 'call-id': this.#options.callId, 'from-tag': OUTER });
    this.#isMuted = isMuted;
  }

  async #negotiate(inner: string, protocol: string, isAlone: boolean, wanted: string): Promise<void> {
    const { spec } = this;
    const { client, innerFamily } = this.#options;
    this.#applied = '';
    const offer = await client.ask({
      ...this.#command('offer', spec.family),
      'transport-protocol': protocol,
      // Offered always, so that a peer may take it or not as it likes.
      'rtcp-mux': ['offer'],
      SDES: ['pad', ...NEVER.map((suite) => `no-${suite}`)],
      flags: [...FLAGS, 'asymmetric', ...(isAlone ? ['strict-source'] : [])],
      sdp: inner,
    });
    const outer = this.#readAgain(readDescription(offer['sdp']), this.#outer, 'the peer');
    const tag = this.#tagOf(outer, spec);
    const answer = await client.ask({
      ...this.#command('answer', innerFamily),
      'to-tag': OUTER,
      'rtcp-mux': ['demux'],
      flags: FLAGS,
      sdp: peerDescription(spec, tag),
    });
    const described = readDescription(answer['sdp']);
    this.#inner = this.#readAgain(
      described,
      this.#inner && { place: this.#inner, rtcpPort: 0, cryptos: [] },
      'other streams',
    ).place;
    // A plain offer has no keys; what was said of them before may yet be asked for.
    this.#outer = outer.cryptos.length > 0 ? outer : { ...outer, cryptos: this.#outer?.cryptos ?? [] };
    this.#applied = wanted;
  }

  /** A call that rtpengine has forgotten begins anew at another port, and says nothing of it. */
  #readAgain(said: Described | undefined, before: Described | undefined, whose: string): Described {
    if (said === undefined)
      throw new TwinlineError('ng_malformed', `rtpengine describes no audio for ${whose} of ${this.spec.id}`);
    const { place } = said;
    if (before !== undefined && (place.port !== before.place.port || place.address !== before.place.address))
      throw forgotten(this.spec, `rtpengine has another port for ${whose} than before`);
    return said;
  }

  #tagOf({ cryptos }: Described, spec: StreamSpec): number | undefined {
    const { sendKey } = spec;
    if (sendKey === undefined) return undefined;
    const line = cryptos.find(({ suite, keySalt }) => suite === sendKey.suite && keySalt === sendKey.keySalt);
    if (line === undefined) throw forgotten(spec, 'rtpengine sends under another key than its peer was told');
    return line.tag;
  }

  /** Rejects with `unknown_stream` when rtpengine has forgotten it. */
  query(): Promise<Figures> {
    return this.#inTurn(async () => {
      if (this.ended) throw forgotten(this.spec, 'it has ended');
      return figuresIn(await this.#options.client.ask({ command: 'query', 'call-id': this.#options.callId }));
    });
  }

  /** Ends it, and gives its last figures; those last heard where rtpengine does not say. */
  end(): Promise<Figures | undefined> {
    return this.#inTurn(async () => {
      if (this.ended) return this.figures;
      this.ended = true;
      const reply = await this.#options.client
        .ask({
          command: 'delete',
          'call-id': this.#options.callId,
          'from-tag': INNER,
          'delete-delay': 0,
        })
        .catch(() => undefined);
      return reply === undefined ? this.figures : figuresIn(reply);
    });
  }

  #command(command: 'offer' | 'answer', family: 4 | 6): Record<string, Bencoded> {
    return {
      command,
      'call-id': this.#options.callId,
      'from-tag': INNER,
      'address-family': `IP${family}`,
      TOS: this.#options.dscp << 2,
      ICE: 'remove',
      DTLS: 'off',
      replace: ['origin', 'session-connection'],
    };
  }

  #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job).catch((error: unknown) => {
      throw isUnknownCall(error) ? forgotten(this.spec, 'rtpengine knows no such call') : error;
    });
    this.#last = result.catch(() => {});
    return result;
  }
}

const FLAGS = ['trust-address', 'port-latching', 'pad-crypto'];

const isUnknownCall = (error: unknown): boolean =>
  error instanceof TwinlineError && error.code === 'ng_refused' && /unknown call-id/i.test(error.message);

const forgotten = ({ id }: StreamSpec, why: string): TwinlineError =>
  new TwinlineError('unknown_stream', `stream ${id}: ${why}; it needs an offer with new keys`);
