import type { Flow } from '../link/index.ts';
import { type SipHeader, type SipRequest, scanVia, serializeVia, topVia } from '../sip/index.ts';

const DEFAULT_PORT: Readonly<Record<string, number>> = { UDP: 5060, TCP: 5060, TLS: 5061, WS: 80, WSS: 443 };

/** Notes where a request really came from in its top Via: `received` (RFC 3261 §18.2.1) and `rport` (RFC 3581 §4). */
export function stampVia(request: SipRequest, flow: Flow): SipRequest {
  const at = request.headers.findIndex((entry) => entry.name === 'Via');
  const top = request.headers[at];
  const scanned = top === undefined ? undefined : scanVia(top.value);
  if (top === undefined || scanned === undefined) return request;
  const { via, end } = scanned;
  const wantsPort = via.params['rport'] !== undefined;
  const { address, port } = flow.remote;
  if (!wantsPort && via.host.replace(/^\[|\]$/g, '') === address) return request;
  const stamped = serializeVia({
    ...via,
    params: { ...via.params, received: address, ...(wantsPort ? { rport: String(port) } : {}) },
  });
  const entry: SipHeader = { name: 'Via', value: stamped + top.value.slice(end) };
  return { ...request, headers: request.headers.with(at, entry) };
}

/**
 * Where the response to a request over UDP goes when that is not simply the flow's remote: without `rport` the port is the one that
 * the Via names (RFC 3261 §18.2.2). Undefined: answer over the flow.
 */
export function answerRemote(request: SipRequest, flow: Flow): { address: string; port: number } | undefined {
  if (flow.transport !== 'udp') return undefined;
  const via = topVia(request);
  if (via === undefined || via.params['rport'] !== undefined) return undefined;
  const port = via.port ?? DEFAULT_PORT[via.transport] ?? 5060;
  return port === flow.remote.port ? undefined : { address: flow.remote.address, port };
}
