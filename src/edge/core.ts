import type { FlowId } from '../base/index.ts';
import type { Channel, Flow } from '../link/index.ts';
import { type Peeked, peek } from '../sip/index.ts';
import { Counters } from './counters.ts';
import { Delivery } from './delivery.ts';
import { answerStun, keepAliveOf } from './keep-alive.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { Lookups } from './lookups.ts';
import type { EdgeCoreOptions, EdgeStatus } from './options.ts';
import { Owners } from './owners.ts';
import { OwnPace } from './pace.ts';
import { isTrusted, type Parts } from './parts.ts';
import { Router } from './router.ts';
import { scannerPattern } from './scanners.ts';
import { Sources } from './sources.ts';
import { loadOf, Spread } from './spread.ts';
import { Switches } from './switches.ts';
import { TransactionMap } from './transaction-map.ts';
import { isTrunkFlow } from './trunks.ts';

/**
 * The edge without sockets: for each message of a client it decides which switch gets it, and for each frame of a switch
 * whether it may reach a client. The simulator runs it on virtual time.
 */
export class EdgeCore {
  readonly counters = new Counters();
  readonly #options: EdgeCoreOptions;
  readonly #parts: Parts;
  readonly #delivery: Delivery;
  readonly #router: Router;
  readonly #switches: Switches;
  readonly #isScanner: (bytes: Uint8Array) => boolean;

  constructor(options: EdgeCoreOptions) {
    const { clock, log, tokens, transports, state } = options;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { counters } = this;
    this.#options = options;
    this.#parts = {
      clock,
      log,
      limits,
      tokens,
      transports,
      counters,
      owners: new Owners(limits.bundles),
      spread: new Spread(limits, clock),
      transactions: new TransactionMap(clock, limits, counters),
      lookups: new Lookups({ state, clock, counters }),
      sources: new Sources(clock, limits),
      pace: new OwnPace(clock),
      knownFlows: new Set(),
      startedMs: clock.nowMs(),
      recovery: { sinceMs: clock.nowMs() },
    };
    this.#delivery = new Delivery(this.#parts);
    this.#router = new Router(this.#parts, this.#delivery, options.challenge);
    this.#switches = new Switches(this.#parts, this.#delivery, this.#router);
    this.#isScanner = scannerPattern(limits.scanners);
  }

  /** One whole SIP message, or a UDP datagram, from a client. Never throws. */
  receive(flow: Flow, bytes: Uint8Array): void {
    try {
      this.#receive(flow, bytes);
    } catch (error) {
      this.counters.add('dropped_total', 'reason="internal_error"');
      this.#parts.log.error({ flow: flow.id, error }, 'edge.receive_failed');
    }
  }

  /** Bytes of a stream that cannot be cut into messages. Never throws. */
  receiveUnreadable(flow: Flow, bytes: Uint8Array): void {
    this.#unreadable(flow, bytes);
  }

  /** A client's connection ended: the switches that may know it hear so. */
  flowClosed(flow: FlowId): void {
    const known = this.#parts.knownFlows.delete(flow);
    // Whoever is to reach another data centre for the first time has not been heard from there.
    if (known || isTrunkFlow(flow)) this.#switches.flowClosed(flow);
  }

  /** A switch connected. It counts as live once it greeted. */
  connected(channel: Channel): void {
    this.#switches.connected(channel);
  }

  status(): Omit<EdgeStatus, 'listeners' | 'flows'> {
    const { owners, spread, transactions, clock, startedMs } = this.#parts;
    return {
      id: this.#options.id,
      uptimeMs: Math.round(clock.nowMs() - startedMs),
      zones: spread.zones.map((zone) => ({
        id: zone.id,
        load: loadOf(zone),
        open: spread.isOpen(zone),
        switches: zone.places.map((place) => ({
          id: place.id,
          draining: place.draining,
          newCalls: place.newCalls,
          bundles: owners.countOf(place),
        })),
      })),
      bundles: owners.size,
      transactions: transactions.size,
      waiting: this.#delivery.waiting.size,
      counters: this.counters.snapshot(),
    };
  }

  /** Stops its timers. */
  close(): void {
    this.#parts.transactions.close();
    this.#parts.lookups.close();
    this.#parts.pace.close();
    this.#delivery.waiting.close();
  }

  #receive(flow: Flow, bytes: Uint8Array): void {
    const { sources, counters } = this.#parts;
    counters.add('received_total', `transport="${flow.transport}"`);
    if (flow.transport === 'udp' && this.#isKeepAlive(flow, bytes)) return;
    const seen = peek(bytes);
    if (!seen || !isRoutable(seen)) {
      this.#unreadable(flow, bytes);
      return;
    }
    const { address } = flow.remote;
    // A genuine token proves that we gave it to this call: it passes without being counted.
    const bundle = this.#router.bundleOf(seen);
    // Behind a door, and in another data centre, all phones share an address: what each may ask is watched there.
    if (bundle === undefined && seen.kind === 'request' && !isTrusted(flow)) {
      const silence = this.#silenceToward(address, bytes, seen);
      if (silence !== undefined) {
        counters.add('dropped_total', `reason="${silence}"`);
        return;
      }
      if (!sources.mayAskNewWork(address)) {
        this.#delivery.refuse(flow, bytes, 503, 'source_too_fast');
        return;
      }
    }
    sources.good(address);
    this.#router.route(flow, bytes, seen, bundle);
  }

  #silenceToward(address: string, bytes: Uint8Array, { method }: Peeked): string | undefined {
    if (this.#parts.sources.isMuted(address)) return 'muted_source';
    if (method !== 'ACK' && method !== 'CANCEL' && this.#isScanner(bytes)) return 'scanner';
    return undefined;
  }

  #isKeepAlive(flow: Flow, bytes: Uint8Array): boolean {
    const kind = keepAliveOf(bytes);
    if (kind === undefined) return false;
    this.counters.add('keepalives_total', `kind="${kind}"`);
    const answer = kind === 'stun' ? answerStun(bytes, flow.remote) : undefined;
    if (answer) this.#parts.transports.send(flow.id, answer);
    return true;
  }

  /** A 400 where the sender can be told (RFC 3261 §18.3, §21.4.1), silence where it cannot or does nothing else. */
  #unreadable(flow: Flow, bytes: Uint8Array): void {
    const { sources, counters, transports, log } = this.#parts;
    const { address } = flow.remote;
    counters.add('malformed_total', `transport="${flow.transport}"`);
    if (sources.isMuted(address)) {
      counters.add('dropped_total', 'reason="muted_source"');
      return;
    }
    if (!isTrusted(flow) && sources.bad(address)) {
      log.warn({ address }, 'edge.source_muted');
      if (flow.transport !== 'udp') transports.close(flow.id, 'only unreadable messages');
      return;
    }
    this.#delivery.refuse(flow, bytes, 400, 'malformed');
  }
}

/**
 * What routing and every answer need (RFC 3261 §8.1.1); a client of RFC 2543 gives no branch (§17.2.3). The rest of the syntax is
 * checked by the switch.
 */
const isRoutable = (seen: Peeked): boolean =>
  seen.kind === 'response'
    ? seen.branch !== undefined
    : seen.sentBy !== undefined && seen.callId !== undefined && seen.cseq !== undefined;
