import type { Flow } from '../link/index.ts';
import {
  callIdOf,
  createResponse,
  type SipHeader,
  type SipRequest,
  scanVia,
  serialize,
  serializeVia,
  toBytes,
} from '../sip/index.ts';
import type { Address } from './options.ts';

/**
 * An answer made at the edge itself, without state: the same request gets the same answer with the same To tag, so that a
 * retransmission needs no transaction (RFC 3261 §8.2.7, stateless UAS).
 */
export function refuse(
  flow: Flow,
  request: SipRequest,
  status: number,
  options: { reason?: string; retryAfterSec?: number; headers?: readonly SipHeader[] } = {},
): { bytes: Uint8Array; remote: Address | undefined } {
  const { reason, retryAfterSec, headers } = options;
  const { request: marked, remote, branch } = markVia(flow, request);
  const response = createResponse(marked, status, {
    toTag: statelessTag(branch + (callIdOf(request) ?? '')),
    ...(reason !== undefined && { reason }),
    ...(headers !== undefined && { headers }),
    ...(retryAfterSec !== undefined && { headers: { 'Retry-After': String(retryAfterSec) } }),
  });
  return { bytes: toBytes(serialize(response)), remote };
}

/** Writes `received` and `rport` into the top Via (RFC 3261 §18.2.1, RFC 3581 §4) and says where a UDP answer goes. */
function markVia(
  flow: Flow,
  request: SipRequest,
): { request: SipRequest; remote: Address | undefined; branch: string } {
  const top = request.headers.find(({ name }) => name === 'Via');
  const scanned = top && scanVia(top.value);
  if (!scanned) return { request, remote: undefined, branch: '' };
  const { via, end } = scanned;
  const { address, port } = flow.remote;
  const params = { ...via.params };
  const wantsPort = 'rport' in params;
  if (wantsPort) params['rport'] = String(port);
  if (wantsPort || via.host !== address) params['received'] = address;
  const value = serializeVia({ ...via, params }) + top.value.slice(end);
  const branch = typeof params['branch'] === 'string' ? params['branch'] : '';
  // Without rport the answer goes to the port of sent-by (RFC 3261 §18.2.2).
  const remote = flow.transport === 'udp' && !wantsPort ? { address, port: via.port ?? 5060 } : undefined;
  const headers: SipHeader[] = request.headers.map((entry) =>
    entry === top ? { name: 'Via', value } : entry,
  );
  return { request: { ...request, headers }, remote, branch };
}

/** Not a token of ours: what comes back under it is not looked for in any bundle. */
function statelessTag(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return `${STATELESS}${(hash >>> 0).toString(36)}`;
}

const STATELESS = 'edge-';

export const isStatelessTag = (tag: string | undefined): boolean => tag?.startsWith(STATELESS) === true;
