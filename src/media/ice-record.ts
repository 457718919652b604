import { formatAddress, parseAddress } from '../native/index.ts';
import { forgetPrevious, type IceAgent, newGeneration } from './ice.ts';
import type { IceCredentials } from './protocol.ts';

/** What a twin needs to go on with ICE beside the spec, which has the credentials, and `RemoteState`, which has the nominated address. JSON. */
export interface IceRecord {
  readonly generation: number;
  readonly nominatedBy: number;
  readonly priority: number;
  readonly said: IceAgent['said'];
  /** Of before the last restart, while they are in use. */
  readonly previous?: IceCredentials;
  readonly peers: readonly (readonly [address: string, port: number])[];
}

export const iceRecordOf = (agent: IceAgent): IceRecord => ({
  generation: agent.generation,
  nominatedBy: agent.nominatedBy,
  priority: agent.priority,
  said: agent.said,
  ...(agent.previous && { previous: agent.previous.credentials }),
  peers: agent.peers.map(({ address }) => [formatAddress(address), address.port]),
});

export function applyIceRecord(agent: IceAgent, record: IceRecord, nowMs: number): void {
  agent.generation = record.generation;
  agent.nominatedBy = record.nominatedBy;
  agent.priority = record.priority;
  agent.said = record.said;
  forgetPrevious(agent);
  agent.previous = record.previous && newGeneration(record.previous, nowMs);
  agent.peers.length = 0;
  for (const [text, port] of record.peers) {
    const address = parseAddress(text, port);
    if (address !== undefined) agent.peers.push({ address, seenMs: nowMs });
  }
}
