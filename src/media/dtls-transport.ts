import type { Clock, Logger, Timer } from '../base/index.ts';
import { type DtlsContext, type DtlsSession, formatAddress, UdpAddress } from '../native/index.ts';
import { sameHost } from './address-rule.ts';
import { useKeys } from './dtls-record.ts';
import type { DtlsKeys } from './dtls-state.ts';
import { nameOfTerms, usableFingerprints } from './dtls-terms.ts';
import type { DtlsTransport } from './negotiation.ts';
import type { DtlsTerms } from './protocol.ts';
import type { RelayPort } from './relay.ts';
import type { Stream } from './stream.ts';

/** From when terms and path are known to keys; Chromium gives up after a minute of its own. */
const GIVE_UP_MS = 30_000;
/** So long a server answers a Finished that comes again, and closes are heard. Then 50 KB are given back. */
const KEEP_MS = 60_000;
/** As a server we cannot know whether our last flight arrived, until media comes under the new keys. */
const SETTLING_MS = 3_000;
/** After a close the peer's signalling has so long to end the stream. */
const CLOSED_MS = 3_000;
/** Handshakes from elsewhere than signalled that may fail before only the signalled host is listened to. */
const MOST_STRANGERS = 8;
/** A ClientHello that is faster than its SDP, perhaps in pieces. */
const MOST_EARLY = 4;
/** So often one peer may begin anew before its handshake has ended: what each costs us is bounded. */
const MOST_BEGINNINGS = 8;
/** A peer that refused us has so long to begin anew. */
const BEGIN_ANEW_MS = 3_000;

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
/** Octets of a datagram in which a ClientHello stands first (RFC 6347 §4.2.2, RFC 5246 §7.4.1.2). */
const FRAGMENT_OFFSET = 19;
const RANDOM_END = 59;

/** What all streams of the process share. */
export interface DtlsResources {
  readonly clock: Clock;
  readonly log: Logger;
  /** Ours by `DtlsTerms.association`. */
  contextFor(terms: DtlsTerms): DtlsContext;
  /** Sessions in the middle of a handshake: what they cost is bounded. False: not now. */
  admit(): boolean;
  release(): void;
}

/**
 * One stream's DTLS. The twin is told `begun` before the first flight leaves and the keys before the last one does: so whoever goes on
 * with the stream either does the handshake, or has the keys, or knows that a new offer is needed.
 */
export class StreamDtls implements DtlsTransport {
  readonly #stream: Stream;
  readonly #resources: DtlsResources;
  #session: DtlsSession | undefined;
  /** A place among the handshakes is ours. */
  #admitted = false;
  #timer: Timer | undefined;
  readonly #from = new UdpAddress();
  #sinceMs = -1;
  #connectedMs = -1;
  #closedMs = -1;
  /** The twin has not been told of the keys yet: nothing leaves. */
  #untold = false;
  #strangers = 0;
  /** The random of the ClientHello that the session began with. */
  #helloRandom = '';
  #beginnings = 0;
  /** The peer refused us and may yet begin anew. */
  #refusal: { readonly problem: string; readonly sinceMs: number } | undefined;
  #early: { readonly packet: Buffer; readonly from: UdpAddress }[] = [];

  constructor(stream: Stream, resources: DtlsResources) {
    this.#stream = stream;
    this.#resources = resources;
  }

  get handshaking(): boolean {
    if (this.#session === undefined || this.#session.state === 'failed') return false;
    if (this.#session.state === 'handshaking' || this.#untold) return true;
    return (
      this.#stream.spec.dtls?.role === 'passive' &&
      this.#stream.arrival.ssrc === -1 &&
      this.#resources.clock.nowMs() - this.#connectedMs < SETTLING_MS
    );
  }

  receive(port: RelayPort, packet: Buffer, length: number, from: UdpAddress, nowMs: number): void {
    const { counts, association, spec } = this.#stream;
    this.#renew(spec.dtls);
    if (spec.dtls === undefined || from.unsendable) return;
    if (this.#givesUpForAnother(packet, length)) this.#forgetHandshake();
    if (this.#session === undefined) {
      const begins = isClientHello(packet, length) && spec.dtls.role === 'passive';
      // What belongs to an association of another process, or to one that is over.
      if (!begins || association.phase !== 'new') return;
      if (spec.dtls.fingerprints.length === 0) {
        this.#keepEarly(packet, length, from);
        return;
      }
      if (!this.#listensTo(from) || !this.#begin(port, spec.dtls, from)) {
        counts.refusedStranger++;
        return;
      }
      this.#helloRandom = helloRandom(packet, length);
    } else if (!this.#isPeer(from)) {
      counts.refusedStranger++;
      return;
    }
    this.#session!.receive(packet, length);
    this.#advance(port, nowMs);
  }

  tick(port: RelayPort, nowMs: number): void {
    const { spec, association } = this.#stream;
    const { dtls } = spec;
    this.#renew(dtls);
    if (dtls === undefined || dtls.fingerprints.length === 0) return;
    if (this.#session !== undefined && association.phase !== 'failed') this.#advance(port, nowMs);
    if (association.phase === 'done') {
      this.#afterwards(port, nowMs);
      return;
    }
    if (association.phase === 'failed') return;
    if (association.phase === 'begun' && this.#session === undefined) {
      this.#fail(port, 'the media process died in the middle of the handshake: a new offer is needed');
      return;
    }
    if (this.#refusal !== undefined && nowMs - this.#refusal.sinceMs > BEGIN_ANEW_MS) {
      this.#fail(port, this.#refusal.problem);
      return;
    }
    this.#replayEarly(port, nowMs);
    if (this.#stream.ice !== undefined && !this.#stream.rtp.confirmed) return;
    if (this.#sinceMs < 0) this.#sinceMs = nowMs;
    if (nowMs - this.#sinceMs > GIVE_UP_MS) {
      this.#fail(
        port,
        association.phase === 'begun'
          ? 'the DTLS handshake has not ended within 30 s'
          : 'no DTLS within 30 s',
      );
    } else if (dtls.role === 'active' && association.phase === 'new' && this.#stream.rtp.known) {
      if (!this.#begin(port, dtls, this.#stream.rtp.address)) return;
      this.#session!.start();
      this.#advance(port, nowMs);
    }
  }

  close(): void {
    this.#end();
    this.#early = [];
  }

  /** Signalling asks for another association than the one that is here: it begins anew; keys in use stay until it has others. */
  #renew(terms: DtlsTerms | undefined): void {
    const { association } = this.#stream;
    if (terms === undefined || terms.fingerprints.length === 0) return;
    const name = nameOfTerms(terms);
    if (association.terms === name) return;
    this.#end();
    association.terms = name;
    association.phase = 'new';
    this.#sinceMs = this.#connectedMs = this.#closedMs = -1;
    this.#strangers = this.#beginnings = 0;
    this.#refusal = undefined;
  }

  /**
   * A ClientHello of another random than the one that the handshake under way began with. OpenSSL would take it for a late copy of the
   * first and wait on. A peer begins anew when our fingerprint reached it after our first flight, which it could not believe then.
   */
  #givesUpForAnother(packet: Buffer, length: number): boolean {
    if (this.#session?.state !== 'handshaking' || !this.#mayBeginAnew || !isClientHello(packet, length))
      return false;
    const random = helloRandom(packet, length);
    return random !== '' && random !== this.#helloRandom;
  }

  /** Only where ICE vouches for the sender: without it anybody could end a handshake so. */
  get #mayBeginAnew(): boolean {
    const { spec, ice } = this.#stream;
    return spec.dtls?.role === 'passive' && ice !== undefined && this.#beginnings < MOST_BEGINNINGS;
  }

  #forgetHandshake(): void {
    this.#beginnings++;
    this.#end();
    this.#stream.association.phase = 'new';
  }

  #begin(port: RelayPort, terms: DtlsTerms, from: UdpAddress): boolean {
    const { association } = this.#stream;
    const { log } = this.#resources;
    const fingerprints = usableFingerprints(terms);
    if (fingerprints.length === 0) {
      this.#fail(port, 'the peer’s fingerprint is of no hash that we know');
      return false;
    }
    if (!this.#admit()) return false;
    association.phase = 'begun';
    if (!port.commit(this.#stream)) {
      association.phase = 'new';
      this.#unadmit();
      return false;
    }
    const needsCookie = terms.role === 'passive' && this.#stream.ice === undefined;
    try {
      this.#session = this.#resources.contextFor(terms).open({
        role: terms.role === 'active' ? 'client' : 'server',
        fingerprints,
        ...(needsCookie && { cookieFor: `${formatAddress(from)} ${from.port}` }),
      });
    } catch (error) {
      log.error({ stream: this.#stream.id, error: String(error) }, 'media.dtls-failed');
      this.#fail(port, 'this media process could open no DTLS session');
      return false;
    }
    this.#from.copyFrom(from);
    this.#refusal = undefined;
    return true;
  }

  #advance(port: RelayPort, nowMs: number): void {
    const session = this.#session!;
    const { association } = this.#stream;
    if (session.state === 'failed') {
      this.#send(port);
      this.#sessionFailed(port, session, nowMs);
      return;
    }
    if (session.state !== 'handshaking' && association.phase === 'begun') this.#connected(nowMs);
    if (this.#untold) {
      // What it wanted to say is said again when the peer asks again: the twin first.
      if (!port.commit(this.#stream)) {
        session.takeDatagrams();
        return;
      }
      this.#untold = false;
      const { id, ice, rtp } = this.#stream;
      const { suite } = association.keys!.sendKey;
      // A path that is still to be nominated says it then.
      if (ice === undefined || rtp.confirmed)
        port.event({ type: 'transport', stream: id, state: 'connected', suite });
    }
    if (session.state === 'closed' && this.#closedMs < 0) this.#closedMs = nowMs;
    this.#send(port);
    this.#arm(port);
  }

  #connected(nowMs: number): void {
    const { association, rtp, ice } = this.#stream;
    useKeys(this.#stream, srtpKeys(this.#session!, this.#stream.spec.dtls!.role));
    association.phase = 'done';
    this.#unadmit();
    this.#connectedMs = nowMs;
    this.#untold = true;
    this.#early = [];
    // Whoever has the key of that certificate has shown that it reads there: as good as an authenticated packet.
    if (ice === undefined && this.#stream.spec.dtls!.role === 'passive') rtp.follow(this.#from, nowMs);
  }

  #send(port: RelayPort): void {
    const { rtp, ice } = this.#stream;
    const to = ice !== undefined && rtp.confirmed ? rtp.address : this.#from;
    for (const datagram of this.#session!.takeDatagrams()) {
      const packet = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length);
      port.send(this.#stream, false, packet, packet.length, to, false);
    }
  }

  #arm(port: RelayPort): void {
    this.#timer?.cancel();
    const waitMs = this.#session?.timeoutMs();
    if (waitMs === undefined) return;
    const { clock } = this.#resources;
    this.#timer = clock.after(Math.max(1, waitMs), () => {
      if (this.#session === undefined) return;
      this.#session.handleTimeout();
      this.#advance(port, clock.nowMs());
    });
  }

  #sessionFailed(port: RelayPort, { problem, refused }: DtlsSession, nowMs: number): void {
    if (this.#stream.association.phase === 'done') {
      // Keys are there: an alert or nonsense afterwards takes them from nobody.
      this.#end();
      return;
    }
    if (refused && this.#mayBeginAnew) {
      this.#forgetHandshake();
      this.#refusal = { problem, sinceMs: nowMs };
      port.note(this.#stream);
    } else if (this.#isTrusted(this.#from)) this.#fail(port, problem);
    else {
      this.#strangers++;
      this.#stream.counts.refusedStranger++;
      this.#end();
      this.#stream.association.phase = 'new';
      port.note(this.#stream);
    }
  }

  #fail(port: RelayPort, problem: string): void {
    const { id, association } = this.#stream;
    this.#end();
    association.phase = 'failed';
    this.#resources.log.warn({ stream: id, problem }, 'media.dtls-failed');
    port.event({ type: 'transport', stream: id, state: 'failed', problem });
    port.note(this.#stream);
  }

  #afterwards(port: RelayPort, nowMs: number): void {
    if (this.#closedMs >= 0 && nowMs - this.#closedMs > CLOSED_MS) {
      if (this.#stream.lastHeardMs < this.#closedMs) this.#fail(port, 'the peer has closed its DTLS');
      else this.#end();
    } else if (this.#session !== undefined && nowMs - this.#connectedMs > KEEP_MS) this.#end();
  }

  /** The session is given back; what was agreed on stays. */
  #end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#session?.free();
    this.#session = undefined;
    this.#untold = false;
    this.#closedMs = -1;
    this.#unadmit();
  }

  #admit(): boolean {
    if (!this.#admitted) this.#admitted = this.#resources.admit();
    return this.#admitted;
  }

  #unadmit(): void {
    if (this.#admitted) this.#resources.release();
    this.#admitted = false;
  }

  /** With ICE only the peer gets here; without, its signalled host is as good as we know. */
  #isTrusted(from: UdpAddress): boolean {
    const { ice, rtp } = this.#stream;
    return ice !== undefined || (rtp.known && sameHost(rtp.address, from));
  }

  #listensTo(from: UdpAddress): boolean {
    return this.#strangers < MOST_STRANGERS || this.#isTrusted(from);
  }

  /** An association that goes on keeps to its address; with ICE the path may move (RFC 8842 §5.5). */
  #isPeer(from: UdpAddress): boolean {
    if (this.#stream.ice !== undefined || this.#from.equals(from)) return true;
    return this.#stream.spec.dtls?.role === 'active' && sameHost(this.#from, from);
  }

  #keepEarly(packet: Buffer, length: number, from: UdpAddress): void {
    if (this.#early.length >= MOST_EARLY) this.#early.shift();
    this.#early.push({ packet: Buffer.from(packet.subarray(0, length)), from: from.clone() });
  }

  #replayEarly(port: RelayPort, nowMs: number): void {
    for (const { packet, from } of this.#early.splice(0))
      this.receive(port, packet, packet.length, from, nowMs);
  }
}

/** RFC 5764 §4.2: the client's write key is what the client sends under. */
function srtpKeys(session: DtlsSession, role: DtlsTerms['role']): DtlsKeys {
  const { suite, client, server } = session.keys()!;
  const key = (bytes: Uint8Array) => ({ suite, keySalt: Buffer.from(bytes).toString('base64') });
  return role === 'active'
    ? { sendKey: key(client), receiveKey: key(server) }
    : { sendKey: key(server), receiveKey: key(client) };
}

/** A record of epoch 0 that begins a handshake message of that type (RFC 6347 §4.1, §4.2.2). */
function isClientHello(packet: Buffer, length: number): boolean {
  return (
    length > 25 &&
    packet[0] === HANDSHAKE_RECORD &&
    packet[3] === 0 &&
    packet[4] === 0 &&
    packet[13] === CLIENT_HELLO
  );
}

/** In hexadecimal, as long as the ClientHello is the same one (RFC 6347 §4.2.1 keeps it for the cookie's turn); empty where there is none. */
function helloRandom(packet: Buffer, length: number): string {
  const isFirstPiece = length >= RANDOM_END && packet.readUIntBE(FRAGMENT_OFFSET, 3) === 0;
  return isFirstPiece ? packet.toString('hex', RANDOM_END - 32, RANDOM_END) : '';
}
