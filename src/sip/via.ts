import { DIGIT, parseNumber, skip, skipSpace, TOKEN } from './chars.ts';
import type { SipMessage } from './message.ts';
import { type Params, scanParams, serializeParams } from './params.ts';
import { skipHost } from './uri.ts';

/** One Via (RFC 3261 §20.42). */
export interface Via {
  /** Upper case: `UDP`, `TCP`, `TLS`, `WS`, `WSS` or another that we do not know. */
  readonly transport: string;
  readonly host: string;
  readonly port?: number;
  /** `branch`, `received`, `rport` (true when empty) … */
  readonly params: Params;
}

export interface ScannedVia {
  readonly via: Via;
  readonly end: number;
}

/** The Via that begins at `at`; `end` is at the comma before the next one or at the end. Undefined if malformed. */
export function scanVia(text: string, at = 0): ScannedVia | undefined {
  let pos = skipSpace(text, at);
  if (text.startsWith('SIP/2.0/', pos)) pos = skipSpace(text, pos + 8);
  else {
    pos = skipProtocol(text, pos);
    if (pos === -1) return undefined;
  }
  const end = skip(text, pos, TOKEN);
  if (end === pos) return undefined;
  const transport = text.slice(pos, end).toUpperCase();
  pos = skipSpace(text, end);
  if (pos === end) return undefined;
  const hostEnd = skipHost(text, pos);
  if (hostEnd === -1) return undefined;
  const host = text.slice(pos, hostEnd);
  pos = skipSpace(text, hostEnd);
  let port: number | undefined;
  if (text.charCodeAt(pos) === 0x3a) {
    const start = skipSpace(text, pos + 1);
    pos = skip(text, start, DIGIT);
    port = parseNumber(text.slice(start, pos), 65_535);
    if (port === undefined) return undefined;
  }
  const scanned = scanParams(text, pos);
  if (scanned === undefined) return undefined;
  if (scanned.end !== text.length && text.charCodeAt(scanned.end) !== 0x2c) return undefined;
  const { params } = scanned;
  return {
    via: port === undefined ? { transport, host, params } : { transport, host, port, params },
    end: scanned.end,
  };
}

/** `SIP / 2.0 /` with white space wherever the grammar allows it. The position behind it, or -1. */
function skipProtocol(text: string, at: number): number {
  let pos = at;
  for (const part of ['sip', '/', '2.0', '/']) {
    if (text.slice(pos, pos + part.length).toLowerCase() !== part) return -1;
    pos = skipSpace(text, pos + part.length);
  }
  return pos;
}

/** One Via that fills the whole text. */
export function parseVia(text: string): Via | undefined {
  const scanned = scanVia(text);
  return scanned !== undefined && scanned.end === text.length ? scanned.via : undefined;
}

/** All Vias of a message from the top down; undefined if one is malformed. */
export function viasOf(message: SipMessage): Via[] | undefined {
  const vias: Via[] = [];
  for (const { name, value } of message.headers) {
    if (name !== 'Via') continue;
    for (let at = 0; at <= value.length; ) {
      const scanned = scanVia(value, at);
      if (scanned === undefined) return undefined;
      vias.push(scanned.via);
      at = scanned.end + 1;
    }
  }
  return vias;
}

export function topVia(message: SipMessage): Via | undefined {
  for (const { name, value } of message.headers) if (name === 'Via') return scanVia(value)?.via;
  return undefined;
}

export function serializeVia(via: Via): string {
  const sentBy = via.port === undefined ? via.host : `${via.host}:${via.port}`;
  return `SIP/2.0/${via.transport} ${sentBy}${serializeParams(via.params)}`;
}
