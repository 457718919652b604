import type { SipMessage } from './message.ts';

/**
 * The message as it goes over the wire, a byte string. Content-Length is always written, and rightly: streams need it (RFC 3261
 * §18.3). A line break inside a value would become a header of its own; it is written as a space.
 */
export function serialize(message: SipMessage): string {
  let text =
    message.kind === 'request'
      ? `${message.method} ${oneLine(message.uri)} SIP/2.0\r\n`
      : `SIP/2.0 ${message.status} ${oneLine(message.reason)}\r\n`;
  for (const { name, value } of message.headers) {
    if (name !== 'Content-Length') text += `${name}: ${oneLine(value)}\r\n`;
  }
  return `${text}Content-Length: ${message.body.length}\r\n\r\n${message.body}`;
}

const oneLine = (text: string): string => (/[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, ' ') : text);
