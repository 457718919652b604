import type { Clock, FlowId, Logger, Random } from '../base/index.ts';
import { readTrunkCall, type TrunkCall, trunkDevice } from '../call/index.ts';
import type {
  Device,
  DirectoryIndex,
  DirectorySnapshot,
  DirectoryWatch,
  ServingRefusal,
  User,
} from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import { Registrar } from '../registrar/index.ts';
import {
  createResponse,
  type Refused,
  type SipHeader,
  type SipRequest,
  type SipResponse,
  serialize,
  tagOf,
  toOf,
  VQ_EVENT,
} from '../sip/index.ts';
import type { StatePort } from '../state/index.ts';
import { PhoneReports } from './phone-reports.ts';
import { statelessTag } from './stateless-tag.ts';
import { answerRemote, stampVia } from './via.ts';

const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER, PUBLISH';
const DIALOG_METHODS: ReadonlySet<string> = new Set(['BYE', 'INFO', 'UPDATE', 'PRACK', 'REFER', 'NOTIFY']);

/** An INVITE whose sender is known: a call to begin. */
export interface NewWork {
  readonly caller: User;
  readonly device: Pick<Device, 'id' | 'mediaProfile'>;
  readonly snapshot: DirectorySnapshot;
  /** It came over another data centre's trunk. */
  readonly from?: { readonly dataCentre: string } & TrunkCall;
}

export interface RequestsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly state: StatePort;
  readonly pairSecret: Uint8Array;
  readonly directories: DirectoryWatch;
  readonly serverName: string;
  readonly log: Logger;
  readonly maxExpiresSec?: number;
  /** Why this user is not served here; absent where one data centre is all there is. */
  readonly notServed?: (index: DirectoryIndex, user: User) => ServingRefusal | undefined;
  readonly answer: (flow: Flow, text: string, remote?: { address: string; port: number }) => void;
}

/** Requests that belong to no call: registering, asking, and whatever must be refused. Stateless but for the registrar's counts. */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #registrar: Registrar;
  readonly #reports: PhoneReports;

  constructor(options: RequestsOptions) {
    this.#options = options;
    this.#registrar = new Registrar(options);
    this.#reports = new PhoneReports(options);
  }

  get registrar(): Registrar {
    return this.#registrar;
  }

  /** Answers the request, or gives back the call that it begins. `request` carries its stamped Via. */
  async handle(request: SipRequest, flow: Flow): Promise<NewWork | undefined> {
    if (request.method === 'ACK') return undefined;
    const to = toOf(request);
    if (to !== undefined && tagOf(to) !== undefined && request.method !== 'REGISTER') {
      // A dialog that we do not know, or no longer (RFC 3261 §12.2.2).
      this.refuse(request, flow, 481);
      return undefined;
    }
    switch (request.method) {
      case 'REGISTER':
        if (flow.dataCentre !== undefined) {
          this.refuse(request, flow, 403);
          return undefined;
        }
        await this.#register(request, flow);
        return undefined;
      case 'INVITE':
        return this.#invite(request, flow);
      case 'OPTIONS':
        this.#send(
          createResponse(request, 200, {
            toTag: this.#tag(request),
            headers: {
              Allow: ALLOW,
              Accept: 'application/sdp',
              'Allow-Events': VQ_EVENT,
              Supported: 'path, outbound, 100rel, timer',
            },
          }),
          request,
          flow,
        );
        return undefined;
      case 'PUBLISH':
        if (flow.dataCentre !== undefined) this.refuse(request, flow, 403);
        else await this.#publish(request, flow);
        return undefined;
      case 'CANCEL':
        this.refuse(request, flow, 481);
        return undefined;
      default:
        if (DIALOG_METHODS.has(request.method)) this.refuse(request, flow, 481);
        else this.refuse(request, flow, 405, { allow: true });
        return undefined;
    }
  }

  /** A message that could not be read: an answer where RFC 3261 allows one, silence otherwise. */
  refuseMalformed(refused: Refused, flow: Flow): void {
    const { request, status, reason } = refused;
    this.#options.log.debug({ flow: flow.id, reason }, 'message.malformed');
    if (request === undefined || status === undefined || request.method === 'ACK') return;
    this.refuse(stampVia(request, flow), flow, status, { reason });
  }

  refuse(
    request: SipRequest,
    flow: Flow,
    status: number,
    details: { reason?: string; retryAfterSec?: number; allow?: boolean } = {},
  ): void {
    if (request.method === 'ACK') return;
    const headers: Record<string, string> = {};
    if (details.retryAfterSec !== undefined) headers['Retry-After'] = String(details.retryAfterSec);
    if (details.allow === true) headers['Allow'] = ALLOW;
    const response = createResponse(request, status, {
      toTag: this.#tag(request),
      headers,
      ...(details.reason === undefined ? {} : { reason: details.reason }),
    });
    this.#send(response, request, flow);
  }

  async flowClosed(flow: FlowId): Promise<void> {
    await this.#registrar.dropFlow(flow);
  }

  async #register(request: SipRequest, flow: Flow): Promise<void> {
    const { directories } = this.#options;
    const who = await this.#registrar.authenticate(request, flow, directories.directories, 'registrar');
    if (who.kind !== 'verified') this.#challenge(request, flow, who);
    else if (this.#isServed(request, flow, who))
      this.#send(await this.#registrar.register(request, flow, who), request, flow);
  }

  async #publish(request: SipRequest, flow: Flow): Promise<void> {
    const { directories } = this.#options;
    const who = await this.#registrar.authenticate(request, flow, directories.directories, 'registrar');
    if (who.kind !== 'verified') return this.#challenge(request, flow, who);
    const { account } = who.index.snapshot;
    this.#send(await this.#reports.take(request, account, who.user.id, this.#tag(request)), request, flow);
  }

  /** PH-ZONE-12 and 14: refuses what another data centre is there for. */
  #isServed(
    request: SipRequest,
    flow: Flow,
    { index, user }: { index: DirectoryIndex; user: User },
  ): boolean {
    const refusal = this.#options.notServed?.(index, user);
    if (refusal === undefined) return true;
    this.refuse(request, flow, refusal.status, refusal);
    return false;
  }

  async #invite(request: SipRequest, flow: Flow): Promise<NewWork | undefined> {
    if (flow.dataCentre !== undefined) return this.#ofDataCentre(request, flow, flow.dataCentre);
    const { directories } = this.#options;
    const who = await this.#registrar.authenticate(request, flow, directories.directories, 'proxy');
    if (who.kind !== 'verified') {
      this.#challenge(request, flow, who);
      return undefined;
    }
    if (!this.#isServed(request, flow, who)) return undefined;
    return { caller: who.user, device: who.device, snapshot: who.index.snapshot };
  }

  /** Its certificate vouches for the caller, who is served there and not here. */
  #ofDataCentre(request: SipRequest, flow: Flow, dataCentre: string): NewWork | undefined {
    const call = readTrunkCall(request);
    const index = this.#options.directories.directories.account(call?.account ?? '');
    const caller = index?.userById(call?.caller ?? '');
    if (call === undefined || index === undefined || caller === undefined) {
      // A new account or user may not have come here yet.
      this.refuse(request, flow, call === undefined ? 403 : 503, { retryAfterSec: 5 });
      return undefined;
    }
    return {
      caller,
      device: { id: trunkDevice(dataCentre), mediaProfile: 'trunk' },
      snapshot: index.snapshot,
      from: { dataCentre, ...call },
    };
  }

  #challenge(request: SipRequest, flow: Flow, who: { status: number; headers: readonly SipHeader[] }): void {
    this.#send(
      createResponse(request, who.status, { toTag: this.#tag(request), headers: who.headers }),
      request,
      flow,
    );
  }

  #send(response: SipResponse, request: SipRequest, flow: Flow): void {
    const named: SipResponse = {
      ...response,
      headers: [...response.headers, { name: 'Server', value: this.#options.serverName }],
    };
    this.#options.answer(flow, serialize(named), answerRemote(request, flow));
  }

  #tag(request: SipRequest): string {
    return statelessTag(request, this.#options.pairSecret);
  }
}
