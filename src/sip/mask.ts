import { parseAuthParams, parseAuthValue } from './auth-params.ts';
import { quote } from './chars.ts';
import { isFolded, lineEndFrom, readHeader, unfold } from './head-lines.ts';

const HIDDEN = '***';

const CREDENTIALS: ReadonlySet<string> = new Set([
  'Authorization',
  'Proxy-Authorization',
  'WWW-Authenticate',
  'Proxy-Authenticate',
  'Authentication-Info',
  'Proxy-Authentication-Info',
]);
/** What helps to find out why a phone was refused, and gives nothing away. All other parameters are hidden. */
const HARMLESS: ReadonlySet<string> = new Set([
  'username',
  'realm',
  'uri',
  'algorithm',
  'qop',
  'nc',
  'stale',
]);

// The lengths are bounded so that a line of nothing but "sip:" costs linear time.
const URI_PASSWORD = /(sips?:[^@\s:;<>"]{1,256}):[^@\s<>"]{0,256}@/gi;
/**
 * Whatever any rule below would hide has one of these in its line, and most messages have none: asking once for all is twenty times
 * cheaper than trying every rule on every line.
 */
const SUSPICIOUS = new RegExp(
  `auth|inline:|signal|ice-pwd|key-mgmt|^k=|;postd=|digits|dtmf|${URI_PASSWORD.source}`,
  'im',
);
const FOLDED = /\r\n[ \t]/;
const CONTENT_TYPE = /^c(?:ontent-type)?[ \t]*:/i;

/**
 * A message as it may be kept in traces and logs (TR-MEDIA-11): SRTP keys, ICE passwords, digests and other credentials, passwords in URIs
 * and keypad digits are replaced by `***`. Takes and gives a byte string; what is not a SIP message is masked line by line all the same.
 */
export function maskMessage(text: string): string {
  if (!SUSPICIOUS.test(text) && !FOLDED.test(text)) return text;
  const blank = text.indexOf('\r\n\r\n');
  const head = blank === -1 ? text : text.slice(0, blank);
  const body = blank === -1 ? '' : text.slice(blank + 4);
  const lines: string[] = [];
  let mediaType = '';
  for (let pos = 0; pos < head.length; ) {
    let end = lineEndFrom(head, pos);
    let line = head.slice(pos, end);
    if (isFolded(head, end)) ({ line, end } = unfold(head, pos, end));
    if (!SUSPICIOUS.test(line) && !CONTENT_TYPE.test(line)) {
      lines.push(line);
      pos = end + 2;
      continue;
    }
    const entry = lines.length === 0 ? undefined : readHeader(line, 0, line.length);
    if (entry?.name === 'Content-Type') mediaType = entry.value.toLowerCase();
    lines.push(
      entry !== undefined && CREDENTIALS.has(entry.name)
        ? `${entry.name}: ${maskCredentials(entry.value)}`
        : maskLine(line),
    );
    pos = end + 2;
  }
  const masked = lines.join('\r\n');
  return blank === -1 ? masked : `${masked}\r\n\r\n${maskBody(body, mediaType)}`;
}

function maskCredentials(value: string): string {
  const auth = parseAuthValue(value);
  const params = auth?.params ?? parseAuthParams(value);
  if (params === undefined || (auth !== undefined && auth.scheme.toLowerCase() !== 'digest')) {
    const scheme = /^[A-Za-z0-9-]{1,40}(?= )/.exec(value)?.[0];
    return scheme === undefined ? HIDDEN : `${scheme} ${HIDDEN}`;
  }
  const shown = Object.entries(params).map(([name, one]) =>
    HARMLESS.has(name) ? `${name}=${quote(maskUris(one))}` : `${name}=${HIDDEN}`,
  );
  return auth === undefined ? shown.join(', ') : `${auth.scheme} ${shown.join(', ')}`;
}

/** Digits to be dialled after the answer (RFC 3966 §5.1.2, RFC 2806): calling cards and PINs. */
const POST_DIAL = /;postd=[^;\s<>"]{0,256}/gi;

/** RFC 4568 §6.1: key and salt, before lifetime and MKI. */
const SRTP_KEY = /(?<![\w.-])inline:[^|;\s]*/gi;
/** RFC 4730: `<kpml-response digits="123"/>`. */
const KPML_DIGITS = /\bdigits\s{0,16}=\s{0,16}(?:"[^"]*"?|'[^']*'?)/gi;

const maskUris = (line: string): string =>
  line.replace(URI_PASSWORD, `$1:${HIDDEN}@`).replace(POST_DIAL, `;postd=${HIDDEN}`);

function maskBody(body: string, mediaType: string): string {
  // The whole body is the digit.
  if (/^application\s*\/\s*dtmf\s*(?:;|$)/.test(mediaType)) return body === '' ? '' : HIDDEN;
  return SUSPICIOUS.test(body) ? body.split('\n').map(maskLine).join('\n') : body;
}

/** The same for headers and bodies: where the empty line is missing or misplaced, a body's lines stand among the headers. */
function maskLine(line: string): string {
  if (!SUSPICIOUS.test(line)) return line;
  const ending = line.endsWith('\r') ? '\r' : '';
  // application/dtmf-relay, also inside multipart bodies: "Signal=5".
  if (/^[ \t]{0,64}signal[ \t]{0,64}[=:]/i.test(line)) return `Signal=${HIDDEN}${ending}`;
  if (/^a=(?:ice-pwd|key-mgmt):/i.test(line))
    return `${line.slice(0, line.indexOf(':') + 1)}${HIDDEN}${ending}`;
  if (/^k=/.test(line)) return `k=${HIDDEN}${ending}`;
  return maskUris(line).replace(SRTP_KEY, `inline:${HIDDEN}`).replace(KPML_DIGITS, `digits="${HIDDEN}"`);
}
