import type { BundleId } from '../base/index.ts';
import type { Flow, Frame } from '../link/index.ts';
import { parseMessage } from '../sip/index.ts';
import { isRecovering, isTrusted, type Parts } from './parts.ts';
import { refuse } from './refusal.ts';
import type { Place } from './spread.ts';
import { Waiting } from './waiting.ts';

export interface SendOptions {
  readonly bundle?: BundleId;
  readonly lane?: Frame['lane'];
  readonly deadlineMs?: number;
}

/** Brings messages to switches: at once, when the bundle has an owner again, or not at all, and then the client hears why. */
export class Delivery {
  readonly #parts: Parts;
  readonly waiting: Waiting;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.waiting = new Waiting({
      clock: parts.clock,
      limits: parts.limits,
      retry: (bundle, { flow, bytes }) => {
        const place = parts.owners.of(bundle)?.place;
        return place !== undefined && this.toPlace(place, flow, bytes, { bundle });
      },
      expire: ({ flow, bytes }) => this.refuse(flow, bytes, 503, 'no_owner'),
    });
  }

  /** False when the switch's link is full or closed: nothing was sent. */
  toPlace(
    place: Place,
    flow: Flow,
    bytes: Uint8Array,
    { bundle, lane, deadlineMs }: SendOptions = {},
  ): boolean {
    const sent = place.channel.send({
      kind: 'sip',
      data: bundle === undefined ? { flow } : { flow, bundle },
      body: bytes,
      ...(lane !== undefined && { lane }),
      ...(deadlineMs !== undefined && { deadlineMs }),
    });
    if (sent && flow.transport !== 'udp') this.#parts.knownFlows.add(flow.id);
    return sent;
  }

  /**
   * To the bundle's owner, now or as soon as there is one. False when there will be none: the bundle was given up, or
   * nobody ever said that it exists.
   */
  toBundle(bundle: BundleId, flow: Flow, bytes: Uint8Array, lane?: Frame['lane']): boolean {
    const owner = this.#parts.owners.of(bundle);
    if (owner ? owner.released : !isRecovering(this.#parts)) return false;
    const place = owner?.place;
    // What waits already goes first.
    if (place && !this.waiting.has(bundle)) {
      if (this.toPlace(place, flow, bytes, lane === undefined ? { bundle } : { bundle, lane })) return true;
    }
    if (this.waiting.add(bundle, flow, bytes)) this.#parts.counters.add('waited_total');
    else this.refuse(flow, bytes, 503, 'no_room_to_wait');
    return true;
  }

  /** Answers a request, or meets anything else with silence. */
  refuse(flow: Flow, bytes: Uint8Array, status: number, reason: string): void {
    const { counters, sources, limits, transports } = this.#parts;
    const parsed = parseMessage(bytes);
    const request = parsed.ok ? parsed.message : parsed.request;
    if (request?.kind !== 'request' || request.method === 'ACK') {
      counters.add('dropped_total', `reason="${reason}"`);
      return;
    }
    if (!isTrusted(flow) && !sources.mayBeRefused(flow.remote.address)) {
      counters.add('dropped_total', 'reason="too_many_refusals"');
      return;
    }
    // What is wrong with the message itself comes first: 505, 414, 513 … (RFC 3261 §8.2, §21.4).
    const [code, why] = parsed.ok ? [status, {}] : [parsed.status ?? status, { reason: parsed.reason }];
    const options = code === 503 ? { retryAfterSec: limits.retryAfterSec } : why;
    const { bytes: answer, remote } = refuse(flow, request, code, options);
    counters.add('refused_total', `status="${code}",reason="${reason}"`);
    transports.send(flow.id, answer, remote);
  }
}
