import type { AccountId, Clock, FlowId, Logger, Random, UserId } from '../base/index.ts';
import { randomText } from '../base/index.ts';
import type { Binding, Directories } from '../directory/index.ts';
import type { Flow } from '../link/index.ts';
import {
  createResponse,
  parseUri,
  type SipRequest,
  type SipResponse,
  toOf,
  unescapeText,
} from '../sip/index.ts';
import type { Durability, StatePort, Write } from '../state/index.ts';
import { type Authentication, authenticate, type Credentials } from './authenticate.ts';
import { bindingKey, bindingsOf, type StoredBinding, storedBindingsOf } from './bindings.ts';
import { FlowBindings } from './flow-bindings.ts';
import { Lockouts } from './lockout.ts';
import { Nonces } from './nonces.ts';
import { type RegisterOutcome, register } from './register.ts';
import { sourceOf } from './source.ts';

export interface RegistrarOptions {
  readonly state: Pick<StatePort, 'get' | 'list' | 'commit'>;
  /** Signs nonces; the same in both zones, so that either checks what the other gave out. */
  readonly pairSecret: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** For how long a phone is registered at most; absent: an hour. */
  readonly maxExpiresSec?: number;
}

/** What a switch keeps of registering: nothing that another switch could not go on without. */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #lockouts: Lockouts;
  readonly #nonces: Nonces;
  readonly #flows = new FlowBindings();
  readonly #counts: Record<Authentication['kind'], number> = {
    verified: 0,
    challenge: 0,
    stale: 0,
    wrong: 0,
    locked: 0,
  };

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#lockouts = new Lockouts(options.state);
    this.#nonces = new Nonces(options.pairSecret);
  }

  /**
   * Who sent a request, by its digest credentials. `as` says which headers count: `registrar` answers 401 (WWW-Authenticate), `proxy`
   * 407 (Proxy-Authenticate). Never rejects.
   */
  async authenticate(
    request: SipRequest,
    flow: Flow,
    directories: Directories,
    as: 'registrar' | 'proxy',
  ): Promise<Authentication> {
    const { clock, pairSecret, log } = this.#options;
    const source = sourceOf(request, flow);
    const lockouts = this.#lockouts;
    const nonces = this.#nonces;
    const utcMs = clock.utcMs();
    const who = await authenticate(request, { directories, source, as, pairSecret, utcMs, lockouts, nonces });
    this.#counts[who.kind]++;
    if (who.kind === 'wrong' || who.kind === 'locked')
      log.info({ source, method: request.method, kind: who.kind }, 'authentication.refused');
    return who;
  }

  /** How requests were found, since the start (PH-EDGE-11, PH-DEVICE-08). */
  get counts(): Readonly<Record<Authentication['kind'], number>> {
    return this.#counts;
  }

  /** A verified REGISTER: commits what follows from it and gives the answer that may then leave. Never rejects. */
  async register(request: SipRequest, flow: Flow, who: Credentials): Promise<SipResponse> {
    const { state, clock, random, log } = this.#options;
    const { device, user } = who;
    const account = who.index.snapshot.account;
    const toTag = randomText(random, 10);
    if (!isOwnAddress(request, who)) return createResponse(request, 403, { toTag });
    const utcMs = clock.utcMs();
    try {
      const stored = await storedBindingsOf(state, account, user.id, utcMs);
      const bindings = stored.filter(({ binding }) => binding.deviceId === device.id);
      const { maxExpiresSec } = this.#options;
      const outcome = register({
        request,
        flow,
        account,
        device,
        user,
        bindings,
        utcMs,
        toTag,
        ...(maxExpiresSec === undefined ? {} : { maxExpiresSec }),
      });
      const writes: Write[] = [
        ...outcome.put.map(({ id, binding }) => ({
          op: 'put' as const,
          key: bindingKey(account, user.id, id),
          value: binding,
          updatedUtcMs: binding.registeredUtcMs,
          expiresUtcMs: binding.expiresUtcMs,
        })),
        ...outcome.removed.map((one) => this.#removal(account, user.id, one, utcMs)),
      ];
      if (writes.length > 0) await state.commit(writes, { durability: durabilityOf(outcome, bindings) });
      for (const { id, binding } of outcome.put)
        this.#flows.add(binding.flow, { account, user: user.id, id });
      return outcome.response;
    } catch (error) {
      log.warn({ error: String(error), user: user.id }, 'register.not_kept');
      return createResponse(request, 503, { toTag, headers: { 'Retry-After': '5' } });
    }
  }

  bindingsOf(account: AccountId, user: UserId): Promise<Binding[]> {
    return bindingsOf(this.#options.state, account, user, this.#options.clock.utcMs());
  }

  /**
   * A client's connection ended: what was registered over it through this switch leads nowhere and goes. What another switch
   * registered is found when a request over the flow fails, or expires. Gives how many went.
   */
  async dropFlow(flow: FlowId): Promise<number> {
    const { state, clock, log } = this.#options;
    let dropped = 0;
    for (const { account, user, id } of this.#flows.take(flow)) {
      try {
        const key = bindingKey(account, user, id);
        const stored = await state.get<Binding>(key);
        // The phone may have come back over another connection meanwhile.
        if (stored === undefined || stored.value.flow.id !== flow) continue;
        await state.commit([this.#removal(account, user, { id, binding: stored.value }, clock.utcMs())], {
          durability: 'durable',
        });
        dropped++;
      } catch (error) {
        log.warn({ error: String(error), user }, 'registration.not_dropped');
      }
    }
    return dropped;
  }

  #removal(account: AccountId, user: UserId, { id, binding }: StoredBinding, utcMs: number): Write {
    return {
      op: 'delete',
      key: bindingKey(account, user, id),
      updatedUtcMs: Math.max(utcMs, binding.registeredUtcMs + 1),
    };
  }
}

/**
 * A phone that only renews what is stored needs no flush of its own: a power cut costs it at most the time by which the last
 * renewals went further, and the binding that stays on the disk leads to the same phone.
 */
function durabilityOf(outcome: RegisterOutcome, known: readonly StoredBinding[]): Durability {
  const merelyRenews =
    outcome.removed.length === 0 &&
    outcome.put.every(({ id, binding }) => {
      const before = known.find((one) => one.id === id)?.binding;
      return before !== undefined && leadsToSame(before, binding);
    });
  return merelyRenews ? 'volatile' : 'durable';
}

/** All that a request to the phone, and the choice of whom to ring, is made from. */
const leadsToSame = (before: Binding, after: Binding): boolean =>
  before.contact === after.contact &&
  before.flow.id === after.flow.id &&
  before.flow.edge === after.flow.edge &&
  before.flow.transport === after.flow.transport &&
  before.flow.remote.address === after.flow.remote.address &&
  before.flow.remote.port === after.flow.remote.port &&
  before.flow.local.address === after.flow.local.address &&
  before.flow.local.port === after.flow.local.port &&
  before.instanceId === after.instanceId &&
  before.regId === after.regId &&
  before.endToEnd === after.endToEnd &&
  before.q === after.q &&
  before.deviceId === after.deviceId &&
  before.path.length === after.path.length &&
  before.path.every((path, at) => path === after.path[at]);

/** RFC 3261 §10.3 steps 4 and 5: a device registers its own address-of-record; the host was looked at when it was authenticated. */
function isOwnAddress(request: SipRequest, { device, user }: Credentials): boolean {
  const uri = parseUri(toOf(request)?.uri ?? '');
  if (uri === undefined || uri.scheme === 'tel') return false;
  const name = unescapeText(uri.user ?? '');
  return name === device.sipUser || name === user.extension || name === user.id;
}
