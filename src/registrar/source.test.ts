import { expect, it } from 'vitest';
import type { EdgeId, FlowId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import { parseMessage, type SipRequest } from '../sip/index.ts';
import { sourceOf } from './source.ts';

const flow: Flow = {
  id: 'u:edge1:0:192.0.2.7:5060' as FlowId,
  edge: 'edge1' as EdgeId,
  transport: 'udp',
  local: { address: '192.0.2.1', port: 5060 },
  remote: { address: '192.0.2.7', port: 5060 },
};

function register(...vias: string[]): SipRequest {
  const lines = vias.map((via) => `Via: ${via}\r\n`).join('');
  const text = `REGISTER sip:example.com SIP/2.0\r\n${lines}From: <sip:a@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n`;
  const parsed = parseMessage(Buffer.from(text));
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error('unreadable');
  return parsed.message;
}

const PROXY = 'SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKp';

it('is the client’s own address, whatever its Via says', () => {
  expect(sourceOf(register('SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1;received=203.0.113.5'), flow)).toBe(
    '192.0.2.7',
  );
});

it('behind a door is what the proxy saw', () => {
  const request = register(
    PROXY,
    'SIP/2.0/TLS 10.0.0.9:5061;branch=z9hG4bK1;received=203.0.113.5;rport=4711',
  );
  expect(sourceOf(request, { ...flow, door: true })).toBe('203.0.113.5');
});

it('behind a door is the Via’s host where the proxy saw the same', () => {
  expect(sourceOf(register(PROXY, 'SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK1'), { ...flow, door: true })).toBe(
    '203.0.113.5',
  );
});

it('behind a door is the proxy where it speaks for itself', () => {
  expect(sourceOf(register(PROXY), { ...flow, door: true })).toBe('192.0.2.7');
});
