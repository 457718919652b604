import type { AccountId, BundleId } from '../base/index.ts';
import type { Lease, StateKey, StateKind, StateReader, Stored } from './port.ts';

/** What an engine's view reads. */
export type View = Pick<StateReader, 'get' | 'list' | 'lease' | 'leases' | 'read'>;

/** The reading half of a port, by its engine's view. */
export abstract class ReadingPort implements View {
  readonly #view: View;

  constructor(view: View) {
    this.#view = view;
  }

  get<T>(key: StateKey): Promise<Stored<T> | undefined> {
    return this.#view.get(key);
  }

  list<T>(account: AccountId, kind: StateKind, idPrefix?: string): Promise<Stored<T>[]> {
    return this.#view.list(account, kind, idPrefix);
  }

  lease(bundle: BundleId): Promise<Lease | undefined> {
    return this.#view.lease(bundle);
  }

  leases(): Promise<Lease[]> {
    return this.#view.leases();
  }

  read(
    account: AccountId,
    log: string,
    after: string | undefined,
    limit: number,
  ): Promise<{ position: string; entry: unknown }[]> {
    return this.#view.read(account, log, after, limit);
  }
}
