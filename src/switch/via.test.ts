import { describe, expect, it } from 'vitest';
import type { EdgeId, FlowId } from '../base/index.ts';
import type { Flow } from '../link/index.ts';
import { createRequest, header } from '../sip/index.ts';
import { answerRemote, stampVia } from './via.ts';

const flow: Flow = {
  id: 'u:edge1:0:192.0.2.9:40000' as FlowId,
  edge: 'edge1' as EdgeId,
  transport: 'udp',
  local: { address: '127.0.0.1', port: 5060 },
  remote: { address: '192.0.2.9', port: 40_000 },
};

const options = (via: string) =>
  createRequest({ method: 'OPTIONS', uri: 'sip:example.com', headers: [{ name: 'Via', value: via }] });

describe('a request that came through a NAT', () => {
  it('gets received and rport filled in and is answered where it came from', () => {
    const stamped = stampVia(options('SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKa'), flow);
    expect(header(stamped, 'Via')).toBe(
      'SIP/2.0/UDP 10.0.0.1:5060;rport=40000;branch=z9hG4bKa;received=192.0.2.9',
    );
    expect(answerRemote(stamped, flow)).toBeUndefined();
  });

  it('without rport is answered at the port of its Via', () => {
    const stamped = stampVia(options('SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa'), flow);
    expect(header(stamped, 'Via')).toBe('SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;received=192.0.2.9');
    expect(answerRemote(stamped, flow)).toEqual({ address: '192.0.2.9', port: 5070 });
  });

  it('keeps the Vias below the top one as they came, also in one header', () => {
    const stamped = stampVia(
      options('SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKa , SIP/2.0/TCP far;branch=z9hG4bKb'),
      flow,
    );
    expect(header(stamped, 'Via')).toBe(
      'SIP/2.0/UDP 10.0.0.1;rport=40000;branch=z9hG4bKa;received=192.0.2.9, SIP/2.0/TCP far;branch=z9hG4bKb',
    );
  });
});

it('leaves a Via alone that tells the truth', () => {
  const request = options('SIP/2.0/UDP 192.0.2.9:40000;branch=z9hG4bKa');
  expect(stampVia(request, flow)).toBe(request);
  expect(answerRemote(request, flow)).toBeUndefined();
});
