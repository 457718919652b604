import { isLinux } from './libc.ts';
import type { UdpLoop, UdpLoopOptions } from './udp.ts';
import { DgramLoop } from './udp-dgram.ts';
import { KernelLoop } from './udp-kernel.ts';

/** `use` overrides the choice by platform, for tests of the fallback. */
export function openUdpLoop(
  use: 'kernel' | 'dgram' = isLinux ? 'kernel' : 'dgram',
  options: UdpLoopOptions = {},
): UdpLoop {
  return use === 'kernel' ? new KernelLoop(options) : new DgramLoop(options);
}
