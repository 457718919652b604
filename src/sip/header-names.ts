/** Compact forms of RFC 3261 §7.3.3 and its extensions. */
const COMPACT: Readonly<Record<string, string>> = {
  a: 'Accept-Contact',
  b: 'Referred-By',
  c: 'Content-Type',
  d: 'Request-Disposition',
  e: 'Content-Encoding',
  f: 'From',
  i: 'Call-ID',
  j: 'Reject-Contact',
  k: 'Supported',
  l: 'Content-Length',
  m: 'Contact',
  n: 'Identity-Info',
  o: 'Event',
  r: 'Refer-To',
  s: 'Subject',
  t: 'To',
  u: 'Allow-Events',
  v: 'Via',
  x: 'Session-Expires',
  y: 'Identity',
};

/** Names whose usual spelling is not "a capital at each start of a word", and the commonest ones, for speed. */
const USUAL = [
  'Accept',
  'Allow',
  'Authorization',
  'CSeq',
  'Call-ID',
  'Contact',
  'Content-Length',
  'Content-Type',
  'Expires',
  'From',
  'MIME-Version',
  'Max-Forwards',
  'Min-SE',
  'P-Asserted-Identity',
  'Proxy-Authenticate',
  'Proxy-Authorization',
  'RAck',
  'RSeq',
  'Record-Route',
  'Require',
  'Route',
  'SIP-ETag',
  'SIP-If-Match',
  'Server',
  'Session-Expires',
  'Session-ID',
  'Supported',
  'To',
  'User-Agent',
  'Via',
  'WWW-Authenticate',
];

const known = new Map<string, string>();
for (const name of USUAL) {
  known.set(name, name);
  known.set(name.toLowerCase(), name);
}
for (const [compact, name] of Object.entries(COMPACT)) {
  known.set(compact, name);
  known.set(compact.toUpperCase(), name);
}

/** The canonical long form of a header's name, whatever case or compact form it came in. */
export function canonicalName(name: string): string {
  return known.get(name) ?? known.get(name.toLowerCase()) ?? capitalized(name);
}

function capitalized(name: string): string {
  return name
    .split('-')
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase())
    .join('-');
}
