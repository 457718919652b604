import type {
  Connection,
  MediaDescription,
  SdpAttribute,
  SdpField,
  SessionDescription,
} from './description.ts';

/** RFC 8866 §5 fixes the order of a session's lines. */
const BEFORE_CONNECTION = 'iuep';
const BEFORE_TIMING = 'b';
const FROM_TIMING = 'trzk';

/** Writes a description as RFC 8866 §5 orders it, with CRLF. */
export function serializeSdp(sd: SessionDescription): string {
  const { username, sessionId, version, family, address } = sd.origin;
  let text = `v=0\r\no=${username} ${sessionId} ${version} IN IP${family} ${address}\r\ns=${sd.sessionName}\r\n`;
  text += fieldLines(sd.fields, BEFORE_CONNECTION);
  if (sd.connection) text += connectionLine(sd.connection);
  text += fieldLines(sd.fields, BEFORE_TIMING);
  if (!sd.fields.some((field) => field.type === 't')) text += 't=0 0\r\n';
  text += fieldLines(sd.fields, FROM_TIMING);
  text += attributeLines(sd.attributes);
  for (const media of sd.media) text += mediaLines(media);
  return text;
}

function mediaLines(media: MediaDescription): string {
  // A refused medium must still name a format (RFC 8866 §5.14); some phones drop it in their own.
  const formats = media.formats.length > 0 ? media.formats.join(' ') : '0';
  return (
    `m=${media.kind} ${media.port} ${media.protocol} ${formats}\r\n` +
    fieldLines(media.fields, 'i') +
    (media.connection ? connectionLine(media.connection) : '') +
    fieldLines(media.fields, 'bk') +
    attributeLines(media.attributes)
  );
}

const connectionLine = (connection: Connection): string =>
  `c=IN IP${connection.family} ${connection.address}\r\n`;

function fieldLines(fields: readonly SdpField[], types: string): string {
  let text = '';
  for (const type of types) {
    // t= and r= belong together: the order among repeated fields of one type is kept, which is all we ever write.
    for (const field of fields) if (field.type === type) text += `${type}=${field.value}\r\n`;
  }
  return text;
}

function attributeLines(attributes: readonly SdpAttribute[]): string {
  let text = '';
  for (const { name, value } of attributes)
    text += value === undefined ? `a=${name}\r\n` : `a=${name}:${value}\r\n`;
  return text;
}
