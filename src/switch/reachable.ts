import type { EdgeId } from '../base/index.ts';
import type { Binding } from '../directory/index.ts';

/**
 * Without the bindings that cannot be reached now. A connection ends with its edge; a UDP flow is there again when the edge is, so it
 * counts where the phone has no other.
 */
export function reachable(bindings: readonly Binding[], gone: ReadonlySet<EdgeId>): readonly Binding[] {
  if (gone.size === 0) return bindings;
  const isHere = ({ flow }: Binding): boolean => !gone.has(flow.edge);
  return bindings.filter(
    (binding) =>
      isHere(binding) ||
      (binding.flow.transport === 'udp' &&
        !bindings.some(
          (other) =>
            isHere(other) &&
            other.deviceId === binding.deviceId &&
            other.instanceId !== undefined &&
            other.instanceId === binding.instanceId,
        )),
  );
}
