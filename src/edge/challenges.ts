import type { Flow } from '../link/index.ts';
import { type Peeked, parseMessage, validateRequest } from '../sip/index.ts';
import type { Challenge } from './options.ts';
import type { Parts } from './parts.ts';
import { refuse } from './refusal.ts';

/** In whatever case the first letter is, of Authorization and Proxy-Authorization alike. */
const CREDENTIALS = 'uthorization';

/**
 * Asks for credentials where a request of new work has none, so that no switch is woken for half of all registrations and calls. Which
 * challenge, and whether at all, is said by `challenge`; whatever is unusual about a request goes to a switch as if nobody had looked.
 */
export class Challenges {
  readonly #parts: Parts;
  readonly #challenge: Challenge | undefined;

  constructor(parts: Parts, challenge: Challenge | undefined) {
    this.#parts = parts;
    this.#challenge = challenge;
  }

  /** False: not answered here. */
  answers(flow: Flow, bytes: Uint8Array, seen: Peeked): boolean {
    // Another data centre shows who it is by its certificate.
    if (this.#challenge === undefined || flow.dataCentre !== undefined) return false;
    if (!this.#isNewWork(seen) || mayHaveCredentials(bytes)) return false;
    const { counters, transports } = this.#parts;
    const parsed = parseMessage(bytes);
    if (!parsed.ok || parsed.message.kind !== 'request') return false;
    const { message } = parsed;
    if (validateRequest(message) !== undefined) return false;
    const challenge = this.#challenge(message, flow);
    if (challenge === undefined) return false;
    const { bytes: answer, remote } = refuse(flow, message, challenge.status, { headers: challenge.headers });
    counters.add('challenged_total', `status="${challenge.status}"`);
    transports.send(flow.id, answer, remote);
    return true;
  }

  /** Whoever would be refused afterwards, because there is no room, hears so now. */
  #isNewWork({ method, toTag }: Peeked): boolean {
    if (toTag !== undefined) return false;
    const { spread, pace } = this.#parts;
    if (method === 'REGISTER') return spread.servesOthers;
    return method === 'INVITE' && spread.takesCalls && !pace.isLate;
  }
}

/** Cheaper than parsing; a name written otherwise is found by `challenge`. */
const mayHaveCredentials = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(CREDENTIALS, 0, 'latin1');
