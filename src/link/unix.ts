import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { TwinlineError } from '../base/index.ts';
import { Acceptor } from './acceptor.ts';
import { keepConnected } from './client.ts';
import type { ConnectOptions, LinkClient, LinkListener, LinkOptions } from './options.ts';

/** sun_path of Linux is 108 bytes with the closing zero. */
const MAX_PATH_BYTES = 107;

/**
 * Serves a Unix socket at `path`. Its directory is ours alone (mode 0700, made if missing), which keeps other users of the
 * machine out. A socket file left by a dead process is replaced. Rejects with `link_path_too_long`,
 * `link_directory_unsafe` or `link_in_use`.
 */
export async function listenLink(options: LinkOptions & { readonly path: string }): Promise<LinkListener> {
  const { path } = options;
  checkLength(path);
  await ownDirectory(dirname(path));
  const acceptor = new Acceptor(options, false);
  const server = createServer((socket) => acceptor.accept(socket));
  try {
    await listen(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (await answers(path)) {
      throw new TwinlineError(
        'link_in_use',
        `another process serves ${path}: stop it, or choose another directory`,
      );
    }
    await unlink(path).catch(() => {});
    await listen(server, path);
  }
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        acceptor.closeAll('the listener was closed');
      }),
  };
}

/** Connects to a Unix socket for ever: each connection that was greeted is handed to `onChannel`. */
export function connectLink(options: ConnectOptions & { readonly path: string }): LinkClient {
  const { path } = options;
  checkLength(path);
  return keepConnected(
    { open: () => connect({ path }), ready: 'connect', remainingDeadlines: false, target: path },
    options,
  );
}

function checkLength(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= MAX_PATH_BYTES) return;
  throw new TwinlineError(
    'link_path_too_long',
    `the socket path ${path} has ${bytes} bytes, Linux allows ${MAX_PATH_BYTES}: choose a shorter data directory`,
  );
}

/** Made where it is missing, and else left as it is: it may be somebody's, or /tmp. */
async function ownDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const found = await lstat(directory);
  const us = process.getuid?.();
  if (!found.isDirectory() || (us !== undefined && found.uid !== us)) {
    throw new TwinlineError(
      'link_directory_unsafe',
      `${directory} is not a directory of this user (uid ${us}): sockets there could be replaced by others`,
    );
  }
  if ((found.mode & OTHERS_WRITE) !== 0) {
    throw new TwinlineError(
      'link_directory_unsafe',
      `${directory} may be written by others (mode ${(found.mode & 0o777).toString(8)}), who could replace sockets there: chmod 700 it, or choose another`,
    );
  }
}

const OTHERS_WRITE = 0o022;

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Whether a living process accepts there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
