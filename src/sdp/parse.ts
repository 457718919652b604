import { failed, ok, type Result } from '../base/index.ts';
import type {
  Connection,
  MediaDescription,
  Origin,
  SdpAttribute,
  SdpField,
  SdpProblem,
  SessionDescription,
} from './description.ts';

/** Browsers with many candidates send up to 10 KiB; anything above this is an attack or a mistake. */
export const SDP_LIMITS = { bodyBytes: 65_536, lines: 2_000, media: 64, formats: 128 } as const;

interface OpenMedia {
  kind: string;
  port: number;
  protocol: string;
  formats: string[];
  connection?: Connection;
  fields: SdpField[];
  attributes: SdpAttribute[];
}

/**
 * Reads a body of type application/sdp (RFC 8866 §5). Strict where a mistake would send audio somewhere wrong (o=, c=,
 * m=), tolerant of what phones do: bare LF or CR, empty lines, spaces at a line's end or between fields, missing s= and t=,
 * lines out of order, unknown lines. Never throws; linear in the body.
 */
export function parseSdp(body: string): Result<SessionDescription, SdpProblem> {
  if (body.length > SDP_LIMITS.bodyBytes) {
    return problem(
      'too_long',
      0,
      `the session description has ${body.length} bytes, at most ${SDP_LIMITS.bodyBytes} are read`,
    );
  }
  const lines = body.split(/\r\n|\n|\r/, SDP_LIMITS.lines + 1);
  if (lines.length > SDP_LIMITS.lines) {
    return problem(
      'too_long',
      SDP_LIMITS.lines,
      `the session description has more than ${SDP_LIMITS.lines} lines`,
    );
  }

  let versionSeen = false;
  let origin: Origin | undefined;
  let sessionName: string | undefined;
  let connection: Connection | undefined;
  const fields: SdpField[] = [];
  const attributes: SdpAttribute[] = [];
  const media: OpenMedia[] = [];

  for (let at = 0; at < lines.length; at++) {
    const text = trimLine(lines[at]!);
    const number = at + 1;
    if (text === '') continue;
    if (text.includes('\0')) return problem('bad_line', number, 'a line holds a NUL byte');
    if (text[1] !== '=')
      return problem(
        'bad_line',
        number,
        `a line must start with a letter and "=", this one is ${quote(text)}`,
      );
    const type = text[0]!;
    const value = trimLine(text.slice(2));
    if (!versionSeen) {
      if (type !== 'v' || value !== '0') {
        return problem(
          'not_sdp',
          number,
          `a session description starts with "v=0", this body with ${quote(text)}`,
        );
      }
      versionSeen = true;
      continue;
    }
    const current = media.at(-1);
    switch (type) {
      case 'm': {
        if (media.length === SDP_LIMITS.media) {
          return problem(
            'too_long',
            number,
            `the session description has more than ${SDP_LIMITS.media} m= lines`,
          );
        }
        const opened = parseMediaLine(value);
        if (opened === undefined) {
          return problem(
            'bad_media',
            number,
            `m= must read "kind port protocol format …" with a port up to 65535, not ${quote(value)}`,
          );
        }
        media.push(opened);
        break;
      }
      case 'c': {
        const read = parseConnection(value);
        if (read === undefined) {
          return problem(
            'bad_connection',
            number,
            `c= must read "IN IP4 address" or "IN IP6 address", not ${quote(value)}`,
          );
        }
        if (current) current.connection ??= read;
        else connection ??= read;
        break;
      }
      case 'o':
        if (current || origin) break;
        origin = parseOrigin(value);
        if (origin === undefined) {
          return problem(
            'bad_origin',
            number,
            `o= must read "user id version IN IP4 address", not ${quote(value)}`,
          );
        }
        break;
      case 's':
        if (!current) sessionName ??= value;
        break;
      case 'a':
        (current ?? { attributes }).attributes.push(parseAttribute(value));
        break;
      case 'v':
        break;
      default:
        (current ?? { fields }).fields.push({ type, value });
    }
  }
  if (!versionSeen) return problem('not_sdp', 0, 'the session description is empty');
  if (origin === undefined) return problem('bad_origin', 0, 'the session description has no o= line');
  return ok({
    origin,
    sessionName: sessionName || '-',
    ...(connection && { connection }),
    fields,
    attributes,
    media: media as MediaDescription[],
  });
}

/** Spaces and tabs off both ends. Not `trim`, which in a byte string would take the last byte of a UTF-8 character (0xa0). */
function trimLine(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function parseOrigin(value: string): Origin | undefined {
  const parts = value.split(/[ \t]+/, 7);
  // Some phones write an empty or many-worded user name: the last five fields are what counts.
  if (parts.length < 5) return undefined;
  const [sessionId, version, net, type, address] = parts.slice(parts.length === 5 ? 0 : 1, 6);
  const family = familyOf(net, type);
  if (family === undefined || !address || !/^\d{1,40}$/.test(sessionId!) || !/^\d{1,40}$/.test(version!)) {
    return undefined;
  }
  return {
    username: parts.length === 5 ? '-' : parts[0]!,
    sessionId: sessionId!,
    version: version!,
    family,
    address,
  };
}

function parseConnection(value: string): Connection | undefined {
  const [net, type, address] = value.split(/[ \t]+/, 4);
  const family = familyOf(net, type);
  const bare = address?.split('/', 1)[0]?.replace(/^\[(.*)\]$/, '$1');
  return family === undefined || !bare || bare.length > 255 ? undefined : { family, address: bare };
}

function familyOf(net: string | undefined, type: string | undefined): 4 | 6 | undefined {
  if (net?.toUpperCase() !== 'IN') return undefined;
  switch (type?.toUpperCase()) {
    case 'IP4':
      return 4;
    case 'IP6':
      return 6;
    default:
      return undefined;
  }
}

function parseMediaLine(value: string): OpenMedia | undefined {
  const parts = value.split(/[ \t]+/, SDP_LIMITS.formats + 3);
  const [kind, port, protocol] = parts;
  const digits = /^(\d{1,5})(?:\/\d{1,5})?$/.exec(port ?? '')?.[1];
  if (!kind || !protocol || digits === undefined || Number(digits) > 65_535) return undefined;
  return {
    kind: kind.toLowerCase(),
    port: Number(digits),
    protocol,
    formats: parts.slice(3),
    fields: [],
    attributes: [],
  };
}

function parseAttribute(value: string): SdpAttribute {
  const colon = value.indexOf(':');
  // Names are case-sensitive by RFC 8866; the few that matter here are written in lower case by everyone.
  return colon < 0
    ? { name: value }
    : { name: value.slice(0, colon), value: trimLine(value.slice(colon + 1)) };
}

/** At most 40 printable characters of what came, for a message that people read; nothing of a line that may hold a key. */
function quote(text: string): string {
  if (/crypto|inline|^a=/i.test(text)) return '"a=…"';
  const shown = text.slice(0, 40).replace(/[^\x20-\x7e]/g, '?');
  return `"${shown}${text.length > 40 ? '…' : ''}"`;
}

const problem = (code: SdpProblem['code'], line: number, message: string): Result<never, SdpProblem> =>
  failed({ code, line, message });
