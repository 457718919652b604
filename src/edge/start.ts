import { TwinlineError } from '../base/index.ts';
import type { EdgeOptions, EdgeStatus, ListenerStatus } from './options.ts';

export interface Edge {
  /** What is bound, in the order of the options. */
  readonly addresses: readonly ListenerStatus[];
  status(): EdgeStatus;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** Reads the certificates' files again; connections stay. Rejects with a sentence when they cannot be used: the old ones stay. */
  reloadCertificates(): Promise<void>;
  /** Ends every connection and listener. */
  close(): Promise<void>;
}

/** Starts an edge. Rejects with `port_in_use`, `address_unavailable`, `not_permitted`, `certificate_unusable` and a sentence for people. */
export async function startEdge(_options: EdgeOptions): Promise<Edge> {
  throw new TwinlineError('not_ready', 'startEdge is being written');
}
