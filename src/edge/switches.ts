import { type BundleId, TwinlineError } from '../base/index.ts';
import {
  type Channel,
  type EdgeToSwitch,
  type Flow,
  type Frame,
  PROTOCOL_VERSION,
  type SwitchToEdge,
} from '../link/index.ts';
import { peek } from '../sip/index.ts';
import type { Delivery } from './delivery.ts';
import { Unanswered } from './pace.ts';
import type { Parts } from './parts.ts';
import type { Router } from './router.ts';
import type { Place } from './spread.ts';
import { keyOf } from './transaction-map.ts';

/** The switches' side: what they say about themselves and their bundles, what they send to clients, and what to do when one is gone. */
export class Switches {
  readonly #parts: Parts;
  readonly #delivery: Delivery;
  readonly #router: Router;
  readonly #places = new Map<Channel, Place>();
  /** Of unacknowledged frames: those that went to an adopter already. */
  readonly #passedOn = new WeakSet<object>();

  constructor(parts: Parts, delivery: Delivery, router: Router) {
    this.#parts = parts;
    this.#delivery = delivery;
    this.#router = router;
  }

  connected(channel: Channel): void {
    channel.onFrame((frame) => this.#onFrame(channel, frame));
    channel.onClose((reason) => this.#ended(channel, reason));
  }

  flowClosed(flow: EdgeToSwitch['flow-closed']['flow']): void {
    for (const { channel } of this.#places.values()) channel.send({ kind: 'flow-closed', data: { flow } });
  }

  #onFrame(channel: Channel, frame: Frame): Frame | undefined {
    if (frame.kind === 'greet') {
      this.#greeted(channel, frame.data as SwitchToEdge['greet']);
      return undefined;
    }
    const place = this.#places.get(channel);
    if (!place)
      throw new TwinlineError(
        'not_greeted',
        `switch ${channel.peer.id} sent ${frame.kind} before its greeting`,
      );
    switch (frame.kind) {
      case 'sip':
        this.#toClient(place, frame.data as SwitchToEdge['sip'], frame.body ?? new Uint8Array());
        return undefined;
      case 'own':
        this.#own(place, (frame.data as SwitchToEdge['own']).bundles);
        return { kind: 'own', data: {} };
      case 'release':
        this.#parts.owners.release(place, (frame.data as SwitchToEdge['release']).bundles);
        return undefined;
      case 'return': {
        const { flow, bundle } = frame.data as SwitchToEdge['return'];
        // Only where it went to another switch: what nobody holds must not go round in circles.
        const holder = this.#parts.owners.of(bundle);
        const elsewhere = holder !== undefined && holder.place !== place;
        if (frame.body && elsewhere && this.#delivery.toBundle(bundle, flow, frame.body))
          this.#parts.counters.add('resent_total');
        return undefined;
      }
      case 'load': {
        const { load, draining } = frame.data as SwitchToEdge['load'];
        place.load = load;
        place.draining = draining;
        return undefined;
      }
      case 'edge-lost':
        this.#parts.recovery.sinceMs = this.#parts.clock.nowMs();
        return undefined;
      case 'close-flow': {
        const { flow, reason } = frame.data as SwitchToEdge['close-flow'];
        this.#parts.transports.close(flow, reason);
        return undefined;
      }
      default:
        this.#parts.log.warn({ switch: place.id, kind: frame.kind }, 'edge.unknown_frame');
        return undefined;
    }
  }

  #greeted(channel: Channel, greeting: SwitchToEdge['greet']): void {
    const { log, spread } = this.#parts;
    if (greeting.version !== PROTOCOL_VERSION) {
      log.error({ switch: greeting.switch, version: greeting.version }, 'edge.switch_version');
      channel.close(`protocol version ${greeting.version}, expected ${PROTOCOL_VERSION}`);
      return;
    }
    if (this.#places.has(channel)) return;
    for (const [older, { id }] of this.#places) {
      if (id !== greeting.switch) continue;
      // A switch has one channel. The older one is the half-open rest of a process that is gone.
      older.close('replaced');
      this.#ended(older, 'replaced');
    }
    const { switch: id, zone, load, draining } = greeting;
    const place: Place = {
      id,
      zone,
      channel,
      load,
      draining,
      newCalls: 0,
      unanswered: new Unanswered(this.#parts.clock),
    };
    this.#places.set(channel, place);
    spread.add(place);
    log.info({ switch: id, zone, bundles: greeting.owns.length }, 'edge.switch_up');
    this.#own(place, greeting.owns);
  }

  #own(place: Place, bundles: SwitchToEdge['own']['bundles']): void {
    const { owners, counters } = this.#parts;
    const moved = new Map<Place, Set<BundleId>>();
    for (const claimed of bundles) {
      const claim = owners.claim(place, claimed);
      if (claim.outcome === 'stale') {
        this.#refuseStale(place, claimed.bundle, claim.epoch);
        continue;
      }
      const before = claim.previous;
      if (!before || before.holder === place.id) continue;
      counters.add('adopted_total');
      if (before.place) moved.set(before.place, (moved.get(before.place) ?? new Set()).add(claimed.bundle));
    }
    // The former holder lives but has lost them (it hangs, or was told to give them up): what it did not acknowledge goes first.
    for (const [former, bundleIds] of moved) {
      for (const { data, body } of former.channel.unacknowledged()) {
        const { flow, bundle } = data as EdgeToSwitch['sip'];
        if (body && bundle !== undefined && bundleIds.has(bundle))
          this.#passOn(data as object, place, flow, body, bundle);
      }
    }
    for (const { bundle } of bundles) this.#delivery.waiting.flush(bundle);
  }

  #toClient(place: Place, data: SwitchToEdge['sip'], bytes: Uint8Array): void {
    const { owners, transports, counters } = this.#parts;
    const { flow, remote, bundle, epoch = 0 } = data;
    if (bundle !== undefined && !owners.admits(place, { bundle, epoch })) {
      this.#refuseStale(place, bundle, owners.of(bundle)?.epoch ?? 0);
      return;
    }
    if (isResponse(bytes)) this.#learn(place, bytes, bundle);
    if (transports.send(flow, bytes, remote)) {
      counters.add('sent_total');
      return;
    }
    counters.add('unsendable_total');
    // It may be of an edge process before this one: whoever keeps it should forget it.
    place.channel.send({ kind: 'flow-closed', data: { flow } });
  }

  /** From an answer to an INVITE: the bundle that its call got, and how long its transaction is to be remembered. */
  #learn(place: Place, bytes: Uint8Array, bundle: BundleId | undefined): void {
    const seen = peek(bytes);
    if (seen?.method !== 'INVITE' || seen.status === undefined) return;
    const key = keyOf(seen);
    place.unanswered.answered(key);
    this.#parts.transactions.answered(key, seen.status, bundle);
  }

  #refuseStale(place: Place, bundle: BundleId, epoch: number): void {
    this.#parts.counters.add('stale_total');
    this.#parts.log.warn({ switch: place.id, bundle, epoch }, 'edge.stale_owner');
    place.channel.send({ kind: 'stale', lane: 'priority', data: { bundle, epoch } });
  }

  #ended(channel: Channel, reason: string): void {
    const place = this.#places.get(channel);
    if (!place) return;
    const { spread, owners, log, counters } = this.#parts;
    this.#places.delete(channel);
    spread.remove(place);
    const lost = owners.lost(place);
    const open = channel.unacknowledged();
    log.warn(
      { switch: place.id, zone: place.zone, reason, bundles: lost.length, unacknowledged: open.length },
      'edge.switch_down',
    );
    for (const { kind, data, body } of open) {
      if (kind !== 'sip' || !body || this.#passedOn.has(data as object)) continue;
      const { flow, bundle } = data as EdgeToSwitch['sip'];
      counters.add('resent_total');
      const seen = peek(body);
      if (seen) this.#router.route(flow, body, seen, bundle);
    }
  }

  #passOn(data: object, place: Place, flow: Flow, bytes: Uint8Array, bundle: BundleId): void {
    if (this.#passedOn.has(data)) return;
    this.#passedOn.add(data);
    this.#parts.counters.add('resent_total');
    if (!this.#delivery.toPlace(place, flow, bytes, { bundle }))
      this.#delivery.waiting.add(bundle, flow, bytes);
  }

  get places(): Iterable<Place> {
    return this.#places.values();
  }
}

/** `SIP/2.0 …`: a request's method cannot hold a slash. */
const isResponse = (bytes: Uint8Array): boolean => bytes[3] === 0x2f && bytes[0] === 0x53;
