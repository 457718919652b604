import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { addressesByCommand, addressesOn, arpAnnouncement } from './moving-address.ts';

const directory = mkdtempSync(join(tmpdir(), 'twinline-address-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('an announcement is the ARP frame of RFC 5227 §3: ours is both sender and target', () => {
  const frame = arpAnnouncement(Buffer.from('020000000001', 'hex'), '10.0.9.1', 1);
  expect(frame.toString('hex')).toBe(
    'ffffffffffff' +
      '020000000001' +
      '0806' +
      '0001080006040001' +
      '020000000001' +
      '0a000901' +
      '000000000000' +
      '0a000901',
  );
});

describe('a program of the operator’s', () => {
  const log = join(directory, 'said');
  const program = join(directory, 'move');
  const become = (script: string): void => writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o700 });

  test('is told which address is to come and go', async () => {
    become(`echo "$@" >>${log}`);
    const moving = addressesByCommand([program, 'eu-1']);
    await moving.take('10.0.9.1');
    await moving.keep('10.0.9.1');
    await moving.leave('10.0.9.1');
    expect(readFileSync(log, 'utf8')).toBe('eu-1 take 10.0.9.1\neu-1 leave 10.0.9.1\n');
  });

  test('that fails or is missing is named with what it said', async () => {
    const said = (command: string[]) =>
      addressesByCommand(command)
        .take('bad')
        .catch((error: Error) => error.message);
    become('echo no such place >&2; exit 3');
    expect(await said([program])).toBe(`${program} take bad: no such place`);
    expect(await said([join(directory, 'none')])).toMatch(/none take bad: .*ENOENT/);
  });
});

const mayMove = (() => {
  try {
    execFileSync(
      'ip',
      ['link', 'add', `twla${process.pid}`, 'type', 'veth', 'peer', 'name', `twlb${process.pid}`],
      { stdio: 'ignore' },
    );
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!mayMove)('an interface of Linux', () => {
  const device = `twla${process.pid}`;
  afterAll(() => execFileSync('ip', ['link', 'del', device]));
  const here = (): string => execFileSync('ip', ['-o', 'address', 'show', 'dev', device]).toString();

  test('has the address from when it was taken until it was left, however often that is said', async () => {
    execFileSync('ip', ['link', 'set', device, 'up']);
    const moving = addressesOn(device);
    await moving.take('192.0.2.77');
    await moving.take('192.0.2.77');
    await moving.keep('192.0.2.77');
    // Of itself it goes when nobody keeps it.
    expect(here()).toMatch(/192\.0\.2\.77\/32 .*valid_lft [3-6]sec/);
    await moving.leave('192.0.2.77');
    await moving.leave('192.0.2.77');
    expect(here()).not.toContain('192.0.2.77');
  });

  test('that is not there is named', async () => {
    await expect(addressesOn('twlnone').take('192.0.2.77')).rejects.toThrow(/ip -4 address replace.*twlnone/);
  });
});
