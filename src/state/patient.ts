import { type Clock, type Logger, TwinlineError } from '../base/index.ts';
import type { StatePort } from './port.ts';

const AGAIN_MS = 250;
/** The engine will answer again, or somebody will see to it: what an adoption waits for. */
const PASSING = new Set([
  'state_away',
  'state_timeout',
  'state_loading',
  'state_read_only',
  'state_not_replicated',
  'state_overloaded',
  'state_busy',
  'state_full',
]);

/**
 * A port with which an adoption waits for the state: while it cannot be reached nobody adopts, and when it is back nothing has been
 * forgotten. Leases, grants and the reading of a dead owner's calls are asked for until they succeed; everything else fails as it did.
 */
export function patientInAdoption(
  state: StatePort,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): StatePort {
  const untilItSucceeds = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof TwinlineError && PASSING.has(error.code))) throw error;
        if (attempt === 1) log.warn({ what, error: error.message }, 'adoption.waits_for_the_state');
        await new Promise<void>((resolve) => clock.after(AGAIN_MS, resolve));
      }
    }
  };
  return {
    capabilities: state.capabilities,
    get: (key) => state.get(key),
    list: (account, kind, idPrefix) =>
      kind === 'call' || kind === 'call-key'
        ? untilItSucceeds('list', () => state.list(account, kind, idPrefix))
        : state.list(account, kind, idPrefix),
    commit: (writes, options) => state.commit(writes, options),
    grant: (...args) => untilItSucceeds('grant', () => state.grant(...args)),
    lease: (bundle) => untilItSucceeds('lease', () => state.lease(bundle)),
    leases: () => untilItSucceeds('leases', () => state.leases()),
    release: (fence) => state.release(fence),
    append: (account, logName, entry) => state.append(account, logName, entry),
    read: (account, logName, after, limit) => state.read(account, logName, after, limit),
    onRestored: (listener) => state.onRestored?.(listener) ?? (() => {}),
    ...(state.onChanged && {
      onChanged: (account, kind, listener) => state.onChanged!(account, kind, listener),
    }),
    ...(state.zones && { zones: state.zones }),
    close: () => state.close(),
  };
}
