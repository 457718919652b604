import { type IceCandidate, parseCandidate } from './ice.ts';

/** What an INFO of RFC 8840 adds to an offer or answer. */
export interface TrickledCandidates {
  /** Of the generation that it belongs to; undefined where none is said. */
  readonly ufrag?: string;
  readonly candidates: readonly IceCandidate[];
  readonly complete: boolean;
}

const MAX_FRAGMENT = 16_384;
const MAX_LINES = 256;

/**
 * Reads a body of type application/trickle-ice-sdpfrag (RFC 8840 §9). Lines of no interest are passed over; undefined for what is no
 * fragment at all: too long, or with a line that is no SDP line.
 */
export function parseTrickle(body: string): TrickledCandidates | undefined {
  if (body.length > MAX_FRAGMENT) return undefined;
  const lines = body.split(/\r\n|\n|\r/, MAX_LINES + 1).filter((line) => line.trim() !== '');
  if (lines.length > MAX_LINES || !lines.every((line) => /^[a-z]=/.test(line))) return undefined;
  const candidates: IceCandidate[] = [];
  let ufrag: string | undefined;
  let complete = false;
  for (const line of lines) {
    const [, name, value = ''] = /^a=([^:\s]+)(?::(.*))?$/.exec(line.trimEnd()) ?? [];
    if (name === 'ice-ufrag') ufrag ??= value;
    else if (name === 'end-of-candidates') complete = true;
    else if (name === 'candidate') {
      const candidate = parseCandidate(value);
      if (candidate !== undefined) candidates.push(candidate);
    }
  }
  return { ...(ufrag !== undefined && { ufrag }), candidates, complete };
}
