import type { Clock, Timer } from '../../src/base/index.ts';
import {
  cancelledTransactionKey,
  clientTransactionKey,
  nextDeadlineMs,
  receiveRequest,
  receiveResponse,
  respond,
  type ServerTransaction,
  type SipRequest,
  type SipResponse,
  serialize,
  serverTransactionKey,
  startClient,
  startServer,
  type Transaction,
  type TransactionStep,
  type TransactionTimes,
  tick,
  transportFailed,
} from '../../src/sip/index.ts';
import type { PhoneFlow } from './phone-transport.ts';

/** What became of a request of ours beside its responses. */
export type ClientFailure = 'timeout' | 'transport-error';

export interface ClientHandlers {
  response(response: SipResponse): void;
  failed(why: ClientFailure): void;
}

/** A request that came, until it is answered. */
export class Incoming {
  readonly request: SipRequest;
  readonly flow: PhoneFlow;
  readonly key: string;
  /** The final status that we gave. */
  status: number | undefined;
  readonly #transactions: PhoneTransactions;

  constructor(request: SipRequest, flow: PhoneFlow, key: string, transactions: PhoneTransactions) {
    this.request = request;
    this.flow = flow;
    this.key = key;
    this.#transactions = transactions;
  }

  respond(response: SipResponse): void {
    this.respondText(serialize(response), response.status);
  }

  respondText(text: string, status: number): void {
    if (status >= 200) this.status ??= status;
    this.#transactions.respond(this.key, text, status);
  }
}

interface Entry {
  tx: Transaction;
  flow: PhoneFlow;
  timer?: Timer;
  client?: ClientHandlers;
  incoming?: Incoming;
}

export interface TransactionUser {
  /** A new request, or an ACK for a 2xx. */
  request(incoming: Incoming): void;
  /** No ACK came for a failure that we sent to an INVITE (Timer H). */
  unacknowledged(incoming: Incoming): void;
  /** A response that no transaction waits for. */
  stray(response: SipResponse, flow: PhoneFlow): void;
}

/** Runs the machines of `src/sip` over flows: keeps them by key and arms one timer for each. */
export class PhoneTransactions {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #times: TransactionTimes;
  readonly #user: TransactionUser;

  constructor(clock: Clock, times: TransactionTimes, user: TransactionUser) {
    this.#clock = clock;
    this.#times = times;
    this.#user = user;
  }

  send(request: SipRequest, flow: PhoneFlow, handlers: ClientHandlers): void {
    const options = { reliable: flow.reliable, nowMs: this.#clock.nowMs(), times: this.#times };
    const step = startClient(request, options);
    const entry: Entry = { tx: step.tx, flow, client: handlers };
    this.#entries.set(step.tx.key, entry);
    this.#follow(entry, step);
  }

  respond(key: string, text: string, status: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || !isServer(entry.tx)) return;
    this.#follow(entry, respond(entry.tx, text, status, this.#clock.nowMs(), this.#times));
  }

  /** The INVITE that a CANCEL is for, if it is still here. */
  cancelled(cancel: SipRequest): Incoming | undefined {
    return this.#entries.get(cancelledTransactionKey(cancel))?.incoming;
  }

  receiveResponse(response: SipResponse, flow: PhoneFlow): void {
    const entry = this.#entries.get(clientTransactionKey(response));
    if (entry === undefined || isServer(entry.tx)) {
      this.#user.stray(response, flow);
      return;
    }
    this.#follow(entry, receiveResponse(entry.tx, response, this.#clock.nowMs(), this.#times));
  }

  receiveRequest(request: SipRequest, flow: PhoneFlow): void {
    const key = serverTransactionKey(request);
    const known = this.#entries.get(key);
    if (known !== undefined && isServer(known.tx)) {
      // RFC 3261 §18.2.2: the answer goes where the request came from, now by this way.
      known.flow = flow;
      this.#follow(known, receiveRequest(known.tx, request, this.#clock.nowMs(), this.#times));
      return;
    }
    if (request.method === 'ACK') {
      this.#user.request(new Incoming(request, flow, key, this));
      return;
    }
    const step = startServer(request, { reliable: flow.reliable, times: this.#times });
    const entry: Entry = { tx: step.tx, flow, incoming: new Incoming(request, flow, key, this) };
    this.#entries.set(key, entry);
    this.#follow(entry, step);
  }

  /** A connection ended: requests that wait for an answer over it get none, unless the phone has another flow to say them again over. */
  flowClosed(flow: PhoneFlow): void {
    for (const entry of [...this.#entries.values()]) {
      const { tx, client } = entry;
      if (entry.flow !== flow || client === undefined || isServer(tx)) continue;
      // A registration is of its flow and ends with it.
      if (flow.instead === undefined || tx.request.startsWith('REGISTER ')) {
        this.#follow(entry, transportFailed(tx));
        continue;
      }
      entry.flow = flow.instead;
      if (tx.state === 'Calling' || tx.state === 'Trying') entry.flow.send(tx.request);
    }
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.timer?.cancel();
    this.#entries.clear();
  }

  #follow(entry: Entry, step: TransactionStep): void {
    entry.tx = step.tx;
    this.#arm(entry);
    for (const output of step.outputs) {
      switch (output.type) {
        case 'send':
          // A flow that is closed gives no answer; the machine's own timer tells its user.
          if (!entry.flow.send(output.text) && entry.client !== undefined) {
            queueMicrotask(() => this.#follow(entry, transportFailed(entry.tx)));
          }
          break;
        case 'deliver':
          this.#deliver(entry, output.message);
          break;
        case 'timeout':
          if (entry.incoming !== undefined) this.#user.unacknowledged(entry.incoming);
          else entry.client?.failed('timeout');
          break;
        case 'transport-error':
          entry.client?.failed('transport-error');
          break;
        case 'terminated':
          if (this.#entries.get(entry.tx.key) === entry) this.#entries.delete(entry.tx.key);
          break;
      }
    }
  }

  #deliver(entry: Entry, message: SipRequest | SipResponse): void {
    if (message.kind === 'response') entry.client?.response(message);
    else if (message.method === 'ACK') {
      this.#user.request(new Incoming(message, entry.flow, entry.tx.key, this));
    } else this.#user.request(entry.incoming!);
  }

  #arm(entry: Entry): void {
    entry.timer?.cancel();
    delete entry.timer;
    const dueMs = nextDeadlineMs(entry.tx);
    if (dueMs === undefined) return;
    entry.timer = this.#clock.after(dueMs - this.#clock.nowMs(), () => {
      this.#follow(entry, tick(entry.tx, this.#clock.nowMs(), this.#times));
    });
  }
}

const isServer = (tx: Transaction): tx is ServerTransaction =>
  tx.kind === 'invite-server' || tx.kind === 'non-invite-server';
