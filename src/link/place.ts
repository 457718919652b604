import type { Timer } from '../base/index.ts';
import type { LinkCredentials } from './certificates.ts';
import type { Peer } from './channel.ts';
import type { ConnectOptions, LinkClient, LinkListener, LinkOptions } from './options.ts';
import { connectTlsLink, listenTlsLink } from './tls.ts';
import { connectLink, listenLink } from './unix.ts';

/** Where a process is reached: the path of its socket on this machine, or its port on another. */
export type LinkPlace = string | RemotePlace;

export interface RemotePlace {
  readonly host: string;
  readonly port: number;
  /** Read anew for each attempt. */
  readonly credentials: () => LinkCredentials;
  /** Who answers there. */
  readonly expect: { readonly role: string; readonly id: string };
  /** The name in its certificate: of the machine on which it runs. */
  readonly certificate: string;
}

/** Where a process is reached from other machines, beside its socket. */
export interface RemoteDoor {
  readonly host: string;
  readonly port: number;
  readonly credentials: () => LinkCredentials;
  /** The name that the certificate of this peer must bear; undefined: it has no business here. */
  readonly certificateOf: (peer: Peer) => string | undefined;
}

/** A machine that is gone says nothing, not even that: so its links are asked. Below the time after which a zone may be adopted. */
const PING = { everyMs: 300, timeoutMs: 1_500 };
const RETRY = { firstMs: 20, maxMs: 250 };
const RELOAD_EVERY_MS = 10_000;

/** `connectLink` or `connectTlsLink`, by where the peer is. */
export function connectTo(options: ConnectOptions & { readonly place: LinkPlace }): LinkClient {
  const { place, log } = options;
  if (typeof place === 'string') return connectLink({ ...options, path: place });
  let told = '';
  return connectTlsLink({
    ping: PING,
    retry: RETRY,
    ...options,
    ...place,
    onState: (state, reason) => {
      // Tried for ever; each reason is said once.
      if (state === 'down' && reason !== told) log.warn({ to: place.expect, reason }, 'link.not_reached');
      if (state !== 'connecting') told = reason;
      options.onState?.(state, reason);
    },
  });
}

/** Serves the socket, and other machines where there is a door for them. Rejects as `listenLink` and `listenTlsLink`. */
export async function listenAt(
  options: LinkOptions & { readonly path: string; readonly remote?: RemoteDoor | undefined },
): Promise<LinkListener> {
  const { remote } = options;
  const here = await listenLink(options);
  if (remote === undefined) return here;
  try {
    const elsewhere = await listenRemotely({ ...options, remote });
    return { close: async () => void (await Promise.all([here.close(), elsewhere.close()])) };
  } catch (error) {
    await here.close();
    throw error;
  }
}

/** The door for other machines alone. */
export async function listenRemotely(
  options: LinkOptions & { readonly remote: RemoteDoor },
): Promise<LinkListener> {
  const { remote, clock, log } = options;
  let credentials = remote.credentials();
  const listener = await listenTlsLink({ ping: PING, ...options, ...remote, credentials });
  const reload = (): void => {
    timer = clock.after(RELOAD_EVERY_MS, reload);
    try {
      const now = remote.credentials();
      if (now.cert === credentials.cert && now.key === credentials.key && now.ca === credentials.ca) return;
      listener.reload(now);
      credentials = now;
      log.info({}, 'link.certificates_reloaded');
    } catch (error) {
      log.error({ error: String(error) }, 'link.certificates_not_reloaded');
    }
  };
  let timer: Timer = clock.after(RELOAD_EVERY_MS, reload);
  return {
    close() {
      timer.cancel();
      return listener.close();
    },
  };
}
