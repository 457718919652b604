import { createSocket } from 'node:dgram';
import { afterEach, expect, test } from 'vitest';
import { passTime } from '../../../test/support/virtual-time.ts';
import { type Clock, VirtualClock } from '../../base/index.ts';
import { systemClock, systemRandom } from '../../native/index.ts';
import { bdecode, bencode } from './bencode.ts';
import { NgClient } from './ng-client.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** A pretended rtpengine. What `answer` gives is sent back as it is. */
async function engine(
  answer: (cookie: string, command: Record<string, unknown>, times: number) => string[],
  clock: Clock = systemClock,
) {
  const socket = createSocket('udp4');
  open.push(socket);
  const asked: string[] = [];
  socket.on('message', (bytes, { port }) => {
    const space = bytes.indexOf(' ');
    const cookie = bytes.toString('latin1', 0, space);
    asked.push(cookie);
    const command = bdecode(bytes.subarray(space + 1)) as Record<string, unknown>;
    for (const text of answer(cookie, command, asked.length)) socket.send(text, port, '127.0.0.1');
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const client = new NgClient({
    ...{ address: '127.0.0.1', port: socket.address().port },
    ...{ clock, random: systemRandom },
  });
  open.push(client);
  return { client, asked };
}

const ok = (cookie: string, more: Record<string, string> = {}) =>
  `${cookie} ${bencode({ result: 'ok', ...more })}`;

test('each answer goes to its question, whatever else comes', async () => {
  const { client } = await engine((cookie, { command }) => [
    'nonsense',
    `other ${bencode({ result: 'ok', sdp: 'of another' })}`,
    `${cookie} d3:x`,
    `${cookie} ${bencode(['no dictionary'])}`,
    ok(cookie, { sdp: `for ${command}` }),
  ]);
  const [one, two] = await Promise.all([client.ask({ command: 'offer' }), client.ask({ command: 'answer' })]);
  expect([one['sdp'], two['sdp']]).toEqual(['for offer', 'for answer']);
});

test('what got lost is asked again under the same cookie', async () => {
  const { client, asked } = await engine((cookie, _, times) => (times < 3 ? [] : [ok(cookie)]));
  expect((await client.ask({ command: 'ping' })).result).toBe('ok');
  expect(new Set(asked).size).toBe(1);
});

test('a refusal and a silence are told apart', async () => {
  const refusing = await engine((cookie) => [
    `${cookie} ${bencode({ result: 'error', 'error-reason': 'Unknown call-id' })}`,
  ]);
  await expect(refusing.client.ask({ command: 'query' })).rejects.toMatchObject({
    code: 'ng_refused',
    message: 'rtpengine refused query: Unknown call-id',
  });
  const clock = new VirtualClock();
  const silent = await engine(() => [], clock);
  const outcome = expect(silent.client.ask({ command: 'query' })).rejects.toMatchObject({ code: 'ng_away' });
  await passTime(clock, 3_000);
  await outcome;
});
