import type { AccountId, Clock, Logger, Random, UserId } from '../base/index.ts';
import { randomText } from '../base/index.ts';
import {
  contentTypeOf,
  createResponse,
  header,
  parseVqReport,
  type SipRequest,
  type SipResponse,
  VQ_EVENT,
  VQ_LIMITS,
  VQ_TYPE,
} from '../sip/index.ts';
import type { StatePort } from '../state/index.ts';
import { RECORD_LOG } from './carry-out.ts';

/** A phone says a few of them for a call; who says more than this in a minute waits. */
const MOST_A_MINUTE = 60;
const MINUTE_MS = 60_000;
const MOST_USER_AGENT = 128;

export interface PhoneReportsOptions {
  readonly state: Pick<StatePort, 'append'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * PUBLISH of phones that tell how a call was by their own measuring (RFC 6035 §4.2; PH-QOS-02). A report goes into the account's durable log beside the
 * records, and whoever carries those on puts it into the call's. It may come at any time and by any switch: nothing of it is kept here.
 */
export class PhoneReports {
  readonly #options: PhoneReportsOptions;
  readonly #counts = new Map<UserId, number>();
  #minute = -1;

  constructor(options: PhoneReportsOptions) {
    this.#options = options;
  }

  /** The answer to such a request of a user who is known. Never rejects. */
  async take(request: SipRequest, account: AccountId, user: UserId, toTag: string): Promise<SipResponse> {
    const refuse = (status: number, headers: Record<string, string> = {}, reason?: string): SipResponse =>
      createResponse(request, status, { toTag, headers, ...(reason === undefined ? {} : { reason }) });
    const event = header(request, 'Event')?.split(';', 1)[0]?.trim().toLowerCase();
    // RFC 3903 §6: the event first, then what it would change.
    if (event !== VQ_EVENT) return refuse(489, { 'Allow-Events': VQ_EVENT });
    // A report is said once: there is nothing to refresh.
    if (header(request, 'SIP-If-Match') !== undefined) return refuse(412);
    if (contentTypeOf(request) !== VQ_TYPE) return refuse(415, { Accept: VQ_TYPE });
    if (request.body.length > VQ_LIMITS.bodyBytes) return refuse(413);
    const report = parseVqReport(request.body);
    if (!report.ok) return refuse(400, {}, report.error);
    if (!this.#mayReport(user)) return refuse(503, { 'Retry-After': '60' });
    const { state, clock, random, log } = this.#options;
    const userAgent = header(request, 'User-Agent')?.slice(0, MOST_USER_AGENT);
    const entry = {
      v: 1,
      kind: 'phone-report',
      account,
      user,
      utcMs: clock.utcMs(),
      report: { ...report.value, ...(userAgent === undefined ? {} : { userAgent }) },
    };
    try {
      await state.append(account, RECORD_LOG, entry);
    } catch (error) {
      log.warn({ error: String(error), user }, 'phone_report.not_kept');
      return refuse(503, { 'Retry-After': '5' });
    }
    // RFC 3903 §6 asks for both; it is part of the record now, and no state that ends.
    return refuse(200, { 'SIP-ETag': randomText(random, 10), Expires: '0' });
  }

  #mayReport(user: UserId): boolean {
    const minute = Math.floor(this.#options.clock.nowMs() / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#counts.clear();
    }
    const count = (this.#counts.get(user) ?? 0) + 1;
    this.#counts.set(user, count);
    return count <= MOST_A_MINUTE;
  }
}
