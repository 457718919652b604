import { TwinlineError } from '../base/index.ts';
import type { ConnectOptions, LinkClient, LinkListener, LinkOptions } from './options.ts';

/** Serves a Unix socket at `path`. Rejects with `link_path_too_long`, `link_directory_unsafe` or `link_in_use`. */
export async function listenLink(_options: LinkOptions & { readonly path: string }): Promise<LinkListener> {
  throw new TwinlineError('not_ready', 'listenLink is being written');
}

/** Connects to a Unix socket for ever: each connection that was greeted is handed to `onChannel`. */
export function connectLink(_options: ConnectOptions & { readonly path: string }): LinkClient {
  throw new TwinlineError('not_ready', 'connectLink is being written');
}
