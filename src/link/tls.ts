import { TwinlineError } from '../base/index.ts';
import type { ConnectOptions, LinkClient, LinkListener, LinkOptions } from './options.ts';

/** PEM texts. The certificate's name (CN, or a SAN `URI:twinline:role:id`) is `role:id`, signed by `ca`. */
export interface LinkCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export async function listenTlsLink(
  _options: LinkOptions & {
    readonly host: string;
    readonly port: number;
    readonly credentials: LinkCredentials;
  },
): Promise<LinkListener & { readonly port: number; reload(credentials: LinkCredentials): void }> {
  throw new TwinlineError('not_ready', 'listenTlsLink is being written');
}

export function connectTlsLink(
  _options: ConnectOptions & {
    readonly host: string;
    readonly port: number;
    readonly credentials: LinkCredentials;
    /** Whom we mean to reach: the certificate must bear this name. */
    readonly expect: { readonly role: string; readonly id: string };
  },
): LinkClient {
  throw new TwinlineError('not_ready', 'connectTlsLink is being written');
}
