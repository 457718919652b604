import type { BundleId } from '../../src/base/index.ts';
import type { BundleEpoch, Channel, Frame, Peer, SwitchToEdge } from '../../src/link/index.ts';

/**
 * Stands between the edge and its switches and keeps its own account of who owns what: of a bundle, only the owner under the highest
 * epoch that the edge has heard of may reach a phone, and two processes never under one epoch.
 */
export class FenceWatch {
  readonly broken: string[] = [];
  readonly #owners = new Map<BundleId, { epoch: number; pid: number }>();
  #speaking: { by: Peer; frame: Frame } | undefined;

  /** The channel as the edge shall use it. */
  watch(channel: Channel): Channel {
    return {
      ...asPlain(channel),
      get open() {
        return channel.open;
      },
      onFrame: (handler) =>
        channel.onFrame((frame) => {
          this.#speaking = { by: channel.peer, frame };
          try {
            this.#learn(channel.peer, frame);
            return handler(frame);
          } finally {
            this.#speaking = undefined;
          }
        }),
    };
  }

  /** The edge lets something through to a phone. */
  passes(): void {
    if (this.#speaking?.frame.kind !== 'sip') return;
    const { bundle, epoch } = this.#speaking.frame.data as SwitchToEdge['sip'];
    if (bundle === undefined || epoch === undefined) return;
    const { by } = this.#speaking;
    const owner = this.#owners.get(bundle);
    if (owner !== undefined && (epoch < owner.epoch || (epoch === owner.epoch && by.pid !== owner.pid))) {
      this.broken.push(
        `switch ${by.id}#${by.pid} spoke for bundle ${bundle} under epoch ${epoch}, which #${owner.pid} holds under ${owner.epoch}`,
      );
      return;
    }
    this.#owners.set(bundle, { epoch, pid: by.pid });
  }

  #learn(by: Peer, { kind, data }: Frame): void {
    const owned: readonly BundleEpoch[] =
      kind === 'own'
        ? (data as SwitchToEdge['own']).bundles
        : kind === 'greet'
          ? (data as SwitchToEdge['greet']).owns
          : [];
    for (const { bundle, epoch } of owned) {
      if (epoch > (this.#owners.get(bundle)?.epoch ?? -1)) this.#owners.set(bundle, { epoch, pid: by.pid });
    }
  }
}

/** A channel whose methods can be replaced one by one. */
export function asPlain(channel: Channel): Channel {
  return {
    peer: channel.peer,
    get open() {
      return channel.open;
    },
    unacknowledged: () => channel.unacknowledged(),
    send: (frame) => channel.send(frame),
    request: (frame, timeoutMs) => channel.request(frame, timeoutMs),
    onFrame: (handler) => channel.onFrame(handler),
    onClose: (handler) => channel.onClose(handler),
    close: (reason) => channel.close(reason),
  };
}
