import { createHash } from 'node:crypto';
import { type AccountId, encodeBase32, type UserId } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';
import type { StateKey, StatePort } from '../state/index.ts';

/** A binding with the last part of its key in the state: `<user>/<id>`. */
export interface StoredBinding {
  readonly id: string;
  readonly binding: Binding;
}

export const bindingKey = (account: AccountId, user: UserId, id: string): StateKey => ({
  account,
  kind: 'registration',
  id: `${user}/${id}`,
});

/** A name for a binding: short, because the engine's keys are, and made of what tells two bindings apart. */
export function bindingId(...parts: readonly string[]): string {
  return encodeBase32(createHash('sha1').update(parts.join('\n')).digest()).slice(0, 20);
}

/** The user's bindings that have not expired, of all devices, the ones to ring first in front (`q`, then the newest). */
export async function bindingsOf(
  state: Pick<StatePort, 'list'>,
  account: AccountId,
  user: UserId,
  /** Hides what has expired; the engine hides it too, by its own clock. */
  utcMs = 0,
): Promise<Binding[]> {
  const stored = await storedBindingsOf(state, account, user, utcMs);
  return stored
    .map(({ binding }) => binding)
    .sort((a, b) => b.q - a.q || b.registeredUtcMs - a.registeredUtcMs);
}

export async function storedBindingsOf(
  state: Pick<StatePort, 'list'>,
  account: AccountId,
  user: UserId,
  utcMs: number,
): Promise<StoredBinding[]> {
  const prefix = `${user}/`;
  const stored = await state.list<Binding>(account, 'registration', prefix);
  return stored
    .filter(({ value }) => value.expiresUtcMs > utcMs)
    .map(({ key, value }) => ({ id: key.id.slice(prefix.length), binding: value }));
}

/** How many bindings of an account have not expired. Reads them all: for status pages. */
export async function countRegistrations(
  state: Pick<StatePort, 'list'>,
  account: AccountId,
  utcMs: number,
): Promise<number> {
  const stored = await state.list<Binding>(account, 'registration');
  return stored.filter(({ value }) => value.expiresUtcMs > utcMs).length;
}
