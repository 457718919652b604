import { isLinux } from './libc.ts';
import type { UdpLoop } from './udp.ts';
import { DgramLoop } from './udp-dgram.ts';
import { KernelLoop } from './udp-kernel.ts';

/** `use` overrides the choice by platform, for tests of the fallback. */
export function openUdpLoop(use: 'kernel' | 'dgram' = isLinux ? 'kernel' : 'dgram'): UdpLoop {
  return use === 'kernel' ? new KernelLoop() : new DgramLoop();
}
