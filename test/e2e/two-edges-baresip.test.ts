import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Baresip, type BaresipOptions } from '../support/baresip.ts';
import { keepEdgeDead } from '../support/dead-edge.ts';
import { DnsServer } from '../support/dns-server.ts';
import { Installation, ROOT } from '../support/installation.ts';
import { statusWhen } from '../support/many-calls.ts';
import type { Phone } from '../support/phone.ts';
import { audioOf, registeredPhone } from '../support/talk.ts';

const DOMAIN = 'demo.twinline.test';
const BARESIP_HZ = 500;
const OURS_HZ = 1_100;

/** A phone of somebody else's at two edges: with a flow to each (RFC 5626), and with the servers' names in DNS (RFC 3263). */
describe.skipIf(Baresip.program === undefined)('baresip at two edges', () => {
  let twinline: Installation;
  beforeAll(async () => {
    twinline = await Installation.start({ topology: path.join(ROOT, 'sip-zones/two-edges.yaml') });
  });
  afterAll(() => twinline?.stop());

  const edge = (number: 1 | 2) => ({ address: '127.0.0.1', port: twinline.portBase + 50 + 10 * number });
  const bothEdgesUp = () =>
    statusWhen(twinline, 'both edges are up', ({ edges }) =>
      edges.every(({ state, openZones }) => state === 'up' && openZones.length > 0),
    );

  const leaving: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const leave of leaving.splice(0).reverse()) await leave();
    await bothEdgesUp();
  });

  async function baresip(options: Partial<BaresipOptions>): Promise<Baresip> {
    const phone = await Baresip.start({ user: '1002', toneHz: BARESIP_HZ, ...options });
    leaving.push(() => phone.stop());
    return phone;
  }

  /** At the edge that no test kills. */
  async function ada(): Promise<Phone> {
    const phone = await registeredPhone(twinline, '1001', {
      transport: 'tcp',
      media: { toneHz: OURS_HZ },
      phone: { servers: [edge(2)] },
    });
    leaving.push(() => phone.close());
    return phone;
  }

  function killEdge1(): void {
    leaving.push(keepEdgeDead(twinline, 'edge1'));
  }

  /** The ports of the edges that its INVITEs came from. */
  const edgesOfInvites = (phone: Baresip, from: number): number[] => {
    const traced = phone.log.slice(from).matchAll(/^(?:TCP|UDP) 127\.0\.0\.1:(\d+) -> .*\nINVITE /gm);
    return [...new Set([...traced].map(([, port]) => Number(port)))];
  };

  async function talk(from: Phone, phone: Baresip) {
    const at = phone.events.next;
    const call = await from.call('1002');
    await call.answered();
    await phone.event('CALL_ESTABLISHED', { from: at });
    await Promise.all([phone.hears(OURS_HZ), audioOf(call).heard({ packets: 50, withinMs: 10_000 })]);
    return call;
  }

  it.each(['tcp', 'udp'] as const)(
    'over %s with two flows: one edge dies; its call goes on, and it is called over the other flow',
    async (transport) => {
      const phone = await baresip({ server: edge(1), secondServer: edge(2), transport });
      for (const flow of [1, 2]) await phone.said(new RegExp(`\\{${flow}/[^\\n]* 200 OK`));
      const us = await ada();
      const call = await talk(us, phone);

      killEdge1();
      const mark = phone.log.length;
      expect((await call.hold()).status).toBe(200);
      expect((await call.resume()).status).toBe(200);
      await phone.receives(25);
      await audioOf(call).heard({ packets: 50, withinMs: 10_000 });
      expect(edgesOfInvites(phone, mark)).toEqual([edge(2).port]);
      const closed = phone.events.next;
      await call.bye();
      await phone.event('CALL_CLOSED', { from: closed });

      const next = phone.log.length;
      const again = await talk(us, phone);
      expect(edgesOfInvites(phone, next)).toEqual([edge(2).port]);
      await phone.hangUp();
      expect((await again.ended()).how).toBe('bye');
    },
  );

  it('finds the edges by DNS SRV, the second when the first is gone, and its call goes on', async () => {
    await using dns = await DnsServer.start({
      srv: {
        [`_sip._tcp.${DOMAIN}`]: [
          { priority: 20, weight: 0, port: edge(2).port, target: `edge2.${DOMAIN}` },
          { priority: 10, weight: 0, port: edge(1).port, target: `edge1.${DOMAIN}` },
        ],
      },
      a: { [`edge1.${DOMAIN}`]: ['127.0.0.1'], [`edge2.${DOMAIN}`]: ['127.0.0.1'] },
    });
    const phone = await baresip({ dnsServer: dns.port, transport: 'tcp', registerSec: 60 });
    expect(dns.asked).toContain(`33 _sip._tcp.${DOMAIN}`);
    const us = await ada();
    const mark = phone.log.length;
    const call = await talk(us, phone);
    expect(edgesOfInvites(phone, mark)).toEqual([edge(1).port]);

    killEdge1();
    const registered = phone.events.next;
    await phone.event('REGISTER_OK', { from: registered, withinMs: 60_000 });
    const moved = phone.log.length;
    expect((await call.hold()).status).toBe(200);
    expect((await call.resume()).status).toBe(200);
    await phone.receives(25);
    await audioOf(call).heard({ packets: 50, withinMs: 10_000 });
    expect(edgesOfInvites(phone, moved)).toEqual([edge(2).port]);
    // Its BYE goes to our Contact, which names the second edge by now.
    await phone.hangUp();
    expect((await call.ended()).how).toBe('bye');
  });
});
