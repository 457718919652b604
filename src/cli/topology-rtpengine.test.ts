import { afterAll, describe, expect, test } from 'vitest';
import { asLines, EditedFile } from '../../test/support/edited-file.ts';
import { readTopology } from './topology.ts';
import { parseNgAddress } from './topology-rtpengine.ts';

const file = new EditedFile('sip-zones/rtpengine.yaml');
afterAll(() => file.remove());

async function problemsOf(...edits: [string, string][]): Promise<string[]> {
  const read = await readTopology(file.with(...edits));
  return read.ok ? [] : asLines(read.error);
}
const [A, B] = ["rtpengine: ['127.0.0.1:22222']", "rtpengine: ['127.0.0.1:22223']"] as const;

test('sip-zones/rtpengine.yaml has one for each media process', async () => {
  const read = await readTopology('sip-zones/rtpengine.yaml');
  expect(read.ok && read.value.zones.map(({ rtpengine }) => rtpengine)).toEqual([
    [{ address: '127.0.0.1', port: 22_222 }],
    [{ address: '127.0.0.1', port: 22_223 }],
  ]);
});

describe('mistakes', () => {
  test('no address, a host name, a port that is none', async () => {
    for (const wrong of ['localhost:22222', '127.0.0.1', '127.0.0.1:70000', '[127.0.0.1]:5', '::1:22222'])
      expect(await problemsOf([A, `rtpengine: ['${wrong}']`])).toEqual([
        `${file.lineOf(A)}: "${wrong}" is no address of an rtpengine's ng protocol such as 127.0.0.1:2223 or [::1]:2223`,
      ]);
  });

  test('one for two zones, too few for the media processes', async () => {
    expect(await problemsOf([B, A])).toEqual([
      `${file.lineOf(B)}: rtpengine "127.0.0.1:22222" is given twice, first in line ${file.lineOf(A)}`,
    ]);
    expect(await problemsOf(['media: 1', 'media: 2'])).toEqual([
      `${file.lineOf(A)}: zone "a" needs as many rtpengines as it has media processes (2)`,
    ]);
  });

  test('a program without an address', async () => {
    const command = 'rtpengine-command: [rtpengine]';
    expect(await problemsOf([`    ${A}\n`, ''], [`    ${B}\n`, ''])).toEqual(
      ['a', 'b'].map((zone) => expect.stringContaining(`zone "${zone}" must say by "rtpengine" where`)),
    );
    expect(await problemsOf([command, 'rtpengine-command: []'])).toEqual([
      expect.stringContaining('must name a program'),
    ]);
  });

  test('a pair of which one has it', async () => {
    expect(await problemsOf([`    ${B}\n    rtpengine-command: [rtpengine]\n`, ''])).toEqual([
      `${file.lineOf(A)}: zone "a" has rtpengine and its twin "b" has not: calls go over from one to the other`,
    ]);
  });

  test('several machines', async () => {
    const problems = await problemsOf([
      'edges:',
      'machines:\n  - { id: north, address: 10.0.0.1, link-ports: 7000 }\nedges:',
    ]);
    expect(problems).toContainEqual(expect.stringContaining('"rtpengine" belongs to a file of one machine'));
  });
});

test('IPv6 stands in brackets', () => {
  expect(parseNgAddress('[::1]:2223')).toEqual({ address: '::1', port: 2223 });
});
