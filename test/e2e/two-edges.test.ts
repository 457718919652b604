import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Installation, ROOT } from '../support/installation.ts';
import { callAndTalk, hearEachOther, registeredPhone } from '../support/talk.ts';

let twinline: Installation;
beforeAll(async () => {
  twinline = await Installation.start({ topology: path.join(ROOT, 'sip-zones/two-edges.yaml') });
});
afterAll(() => twinline?.stop());

it('ada is at one edge and charles at the other; they talk on when a zone dies, and end their call', async () => {
  const second = { address: '127.0.0.1', port: twinline.portBase + 70 };
  await using ada = await registeredPhone(twinline, '1001');
  await using charles = await registeredPhone(twinline, '1002', { phone: { servers: [second] } });
  const talk = await callAndTalk(ada, charles);
  const { edges } = await twinline.twinline<{ edges: { id: string; state: string }[] }>('status');
  expect(edges.map(({ id, state }) => `${id} ${state}`)).toEqual(['edge1 up', 'edge2 up']);
  const { calls } = await twinline.twinline<{ calls: { zone: string }[] }>('calls');
  await twinline.twinline('kill', 'zone', calls[0]!.zone);
  await hearEachOther(talk, 50);
  expect((await talk.callee.hold()).status).toBe(200);
  expect((await talk.callee.resume()).status).toBe(200);
  await talk.caller.bye();
  expect((await talk.callee.ended()).how).toBe('bye');
});
