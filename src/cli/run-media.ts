import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import type { MediaId } from '../base/index.ts';
import { connectLink } from '../link/index.ts';
import { type SupervisorToMedia, startMedia } from '../media/index.ts';
import { dtlsCertificateFiles, mediaSocket, mirrorSocket, zoneSocket } from './paths.ts';
import { doorOf, isHere } from './places.ts';
import { type ProcessContext, zoneNamed, zoneOfMedia } from './process-context.ts';

const STATS_MS = 1000;

export async function runMedia(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, self, clock, random, log } = context;
  const zone = zoneOfMedia(plan, id);
  const index = zone.media.findIndex((media) => media.id === (id as MediaId));
  const { ports } = zone.media[index]!;
  // The twin's media process of the same place stands by for this one.
  const twinZone = zoneNamed(plan, zone.twin);
  const twin = isHere(plan, twinZone) ? twinZone.media[index] : undefined;
  const media = await startMedia({
    id: id as MediaId,
    addresses: isIPv6(plan.mediaAddress) ? { 6: plan.mediaAddress } : { 4: plan.mediaAddress },
    portRange: { first: ports.from, last: ports.to },
    listenPath: mediaSocket(plan.data, id),
    remoteDoor: doorOf(plan, 'media', id),
    mirrorPath: mirrorSocket(plan.data, id),
    ...(twin && { twinMirrorPath: mirrorSocket(plan.data, twin.id) }),
    dtls: dtlsCertificateFiles(plan.data).map(({ certificate, key }) => ({
      certificatePem: readFileSync(certificate, 'utf8'),
      keyPem: readFileSync(key, 'utf8'),
    })),
    clock,
    random,
    log,
  });

  // The supervisor hears from us that we live; it ends a process that is silent.
  const link = connectLink({
    path: zoneSocket(plan.data, zone.id),
    self,
    clock,
    random,
    log,
    onChannel: (channel) =>
      channel.onFrame(async (frame) => {
        switch (frame.kind) {
          case 'ping':
            return { kind: 'ping', data: {} };
          case 'drain':
            return {
              kind: 'drain',
              data: await media.drain((frame.data as SupervisorToMedia['drain']).on),
            };
          default:
            return undefined;
        }
      }),
  });
  let timer = clock.after(STATS_MS, tell);
  function tell(): void {
    const { streams, cpuPercent, rssKib } = media.status();
    link.channel?.send({ kind: 'stats', data: { streams, cpuPercent, rssKib } });
    timer = clock.after(STATS_MS, tell);
  }
  return async () => {
    timer.cancel();
    link.close('the media process ends');
    await media.stop();
  };
}
