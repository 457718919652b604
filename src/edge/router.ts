import type { BundleId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import { isEmergencyUri, type Peeked } from '../sip/index.ts';
import { Challenges } from './challenges.ts';
import type { Delivery } from './delivery.ts';
import { PROMPT_MS } from './lookups.ts';
import type { Challenge } from './options.ts';
import { isRecovering, isTrusted, type Parts } from './parts.ts';
import { isStatelessTag } from './refusal.ts';
import type { Place, Spreading } from './spread.ts';
import { keyOf } from './transaction-map.ts';

/**
 * Finds the switch for a message: by a token of ours, else by the transaction that it belongs to, else by the state's index,
 * else it is new work.
 */
export class Router {
  readonly #parts: Parts;
  readonly #delivery: Delivery;
  readonly #emergency: ReadonlySet<string>;
  readonly #challenges: Challenges;
  #emergencyReserve: number;
  #reserveFilledMs: number;

  constructor(parts: Parts, delivery: Delivery, challenge?: Challenge) {
    this.#parts = parts;
    this.#delivery = delivery;
    this.#challenges = new Challenges(parts, challenge);
    this.#emergency = new Set(parts.limits.emergency);
    this.#emergencyReserve = parts.limits.emergencyPerSec;
    this.#reserveFilledMs = parts.clock.nowMs();
  }

  /** The bundle that a genuine token in the message names. */
  bundleOf(seen: Peeked): BundleId | undefined {
    const { tokens } = this.#parts;
    // Our branch: the magic cookie, then the token.
    if (seen.kind === 'response') return tokens.read(seen.branch ?? '', BRANCH_COOKIE.length);
    return tokens.read(seen.toTag ?? '') ?? tokens.read(seen.uriUser ?? '');
  }

  route(flow: Flow, bytes: Uint8Array, seen: Peeked, bundle = this.bundleOf(seen)): void {
    const { counters } = this.#parts;
    if (bundle !== undefined) {
      // It must not stand behind a queue of new calls (§ link: the priority lane).
      const lane = seen.method === 'BYE' ? 'priority' : undefined;
      if (this.#delivery.toBundle(bundle, flow, bytes, lane)) {
        counters.add('forwarded_total', 'by="token"');
        return;
      }
    }
    if (seen.kind === 'response') counters.add('dropped_total', 'reason="response_without_owner"');
    // The ACK of our own refusal (RFC 3261 §17.2.3: it would end a transaction that we do not keep).
    else if (seen.method === 'ACK' && isStatelessTag(seen.toTag))
      counters.add('dropped_total', 'reason="ack_of_refusal"');
    else if (!isEmergencyUri(seen.uri ?? '', this.#emergency) && this.#challenges.answers(flow, bytes, seen))
      return;
    else if (followsTransaction(seen)) this.#byTransaction(flow, bytes, seen);
    else this.#spreadOther(flow, bytes, seen);
  }

  /** INVITE without a To tag, CANCEL, and the ACK of a refusal. */
  #byTransaction(flow: Flow, bytes: Uint8Array, seen: Peeked): void {
    const { transactions, lookups, counters, limits } = this.#parts;
    const key = keyOf(seen);
    if (!lookups.isAsking(key)) {
      const transaction = transactions.get(key);
      const sent =
        transaction?.bundle !== undefined
          ? this.#delivery.toBundle(transaction.bundle, flow, bytes)
          : transaction?.place?.channel.open === true &&
            this.#delivery.toPlace(transaction.place, flow, bytes);
      if (sent) {
        // Sent again, or with credentials: its answer shows the switch's pace as well as the first one's.
        if (seen.method === 'INVITE' && transaction?.bundle === undefined)
          transaction?.place?.unanswered.given(key);
        counters.add('forwarded_total', 'by="transaction"');
        return;
      }
      // A full link of a live switch: it alone could have known what to do.
      if (transaction?.place?.channel.open) {
        this.#delivery.refuse(flow, bytes, 503, 'link_full');
        return;
      }
      if (transaction === undefined && seen.method === 'INVITE' && !isRecovering(this.#parts)) {
        this.#newCall(flow, bytes, seen, key);
        return;
      }
    }
    // Of what a switch had that is gone there may be a call: nobody can adopt it while the state is away either.
    const waitMs = transactions.get(key) === undefined ? PROMPT_MS : limits.waitMs;
    lookups.ask(key, waitMs, (found) => {
      const bundle = found === 'none' || found === 'unanswered' ? undefined : found;
      if (bundle !== undefined && this.#delivery.toBundle(bundle, flow, bytes)) {
        // A CANCEL or ACK may come again long after the INVITE's last answer; if one is still to come it follows at once.
        transactions.put(key, undefined, bundle, seen.method === 'INVITE');
        counters.add('forwarded_total', 'by="index"');
      } else if (bundle === undefined && transactions.get(key)?.place?.channel.open) {
        // An INVITE before this one found no call either and was given to a switch meanwhile.
        this.#byTransaction(flow, bytes, seen);
      } else if (seen.method === 'INVITE') {
        if (found === 'unanswered' && transactions.get(key) !== undefined) this.#giveUpInvite(flow, bytes);
        else this.#newCall(flow, bytes, seen, key);
      } else if (seen.method === 'ACK') counters.add('dropped_total', 'reason="ack_without_transaction"');
      else this.#spreadOther(flow, bytes, seen);
    });
  }

  /** The switch that had the INVITE is gone, and whether it began a call nobody knows: a second one would be answered as well. */
  #giveUpInvite(flow: Flow, bytes: Uint8Array): void {
    // A datagram comes again by itself, perhaps when the state is back.
    if (flow.transport === 'udp') this.#parts.counters.add('dropped_total', 'reason="state_away"');
    else this.#delivery.refuse(flow, bytes, 503, 'state_away');
  }

  #newCall(flow: Flow, bytes: Uint8Array, seen: Peeked, key: string): void {
    const { spread, transactions, counters, clock, limits } = this.#parts;
    const emergency = this.#isEmergency(flow, bytes, seen);
    const options = emergency
      ? ({ lane: 'priority' } as const)
      : { deadlineMs: clock.nowMs() + limits.newWorkDeadlineMs };
    const send = (place: Place): boolean => {
      if (!this.#delivery.toPlace(place, flow, bytes, options)) return false;
      place.unanswered.given(key);
      transactions.put(key, place, undefined);
      counters.add('new_calls_total', `zone="${place.zone}"`);
      counters.add('forwarded_total', emergency ? 'by="emergency"' : 'by="turn"');
      return true;
    };
    // Before any switch hears of it: what is refused must cost next to nothing.
    if (!emergency && this.#parts.pace.isLate) this.#delivery.refuse(flow, bytes, 503, 'edge_late');
    else this.#conclude(emergency ? spread.emergencyCall(send) : spread.newCall(send), flow, bytes);
  }

  #spreadOther(flow: Flow, bytes: Uint8Array, seen: Peeked): void {
    const { spread, counters, clock, limits } = this.#parts;
    const deadlineMs = clock.nowMs() + limits.newWorkDeadlineMs;
    const outcome = spread.other(seen.callId ?? '', (place) =>
      this.#delivery.toPlace(place, flow, bytes, { deadlineMs }),
    );
    if (outcome === 'sent') counters.add('forwarded_total', 'by="hash"');
    this.#conclude(outcome, flow, bytes);
  }

  #conclude(outcome: Spreading, flow: Flow, bytes: Uint8Array): void {
    if (outcome === 'sent') return;
    const { clock, startedMs, counters } = this.#parts;
    // The switches are about to connect. A datagram comes again by itself; a 503 would make its phone wait.
    if (outcome === 'nobody' && flow.transport === 'udp' && clock.nowMs() - startedMs < STARTING_MS) {
      counters.add('dropped_total', 'reason="starting"');
    } else this.#delivery.refuse(flow, bytes, 503, outcome);
  }

  /** Whether this call may use the emergency reserve. Beyond it an emergency call is a call like any other. */
  #isEmergency(flow: Flow, bytes: Uint8Array, seen: Peeked): boolean {
    if (!isEmergencyUri(seen.uri ?? '', this.#emergency) && !isMarked(flow, bytes)) return false;
    const { clock, limits, sources, counters } = this.#parts;
    const now = clock.nowMs();
    const filled = this.#emergencyReserve + ((now - this.#reserveFilledMs) / 1_000) * limits.emergencyPerSec;
    this.#emergencyReserve = Math.min(limits.emergencyPerSec, filled);
    this.#reserveFilledMs = now;
    const mayCall = isTrusted(flow) || sources.mayCallEmergency(flow.remote.address);
    if (this.#emergencyReserve < 1 || !mayCall) {
      counters.add('emergency_over_reserve_total');
      return false;
    }
    this.#emergencyReserve -= 1;
    return true;
  }
}

const STARTING_MS = 2_000;
const BRANCH_COOKIE = 'z9hG4bK';
const EMERGENCY_MARK = '\r\nResource-Priority: esnet.';

const followsTransaction = ({ method, toTag }: Peeked): boolean =>
  method === 'CANCEL' || method === 'ACK' || (method === 'INVITE' && toTag === undefined);

/** What another data centre says is an emergency call (RFC 7135): the number that was dialled there does not stand in it any more. */
const isMarked = ({ dataCentre }: Flow, bytes: Uint8Array): boolean =>
  dataCentre !== undefined &&
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(EMERGENCY_MARK);
