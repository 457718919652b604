import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { openSounds } from '../audio/index.ts';
import { type MediaId, untilBeat } from '../base/index.ts';
import { connectLink, type ZoneToChild, type ZoneToMedia } from '../link/index.ts';
import { type SupervisorToMedia, startMedia } from '../media/index.ts';
import { assetDir, dtlsCertificateFiles, mediaSocket, mirrorSocket, zoneSocket } from './paths.ts';
import { doorOf, placeOf } from './places.ts';
import { type ProcessContext, zoneNamed, zoneOfMedia } from './process-context.ts';

/** As often as the supervisor would ask otherwise whether we live. */
const STATS_MS = 500;

export async function runMedia(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, self, clock, random, log } = context;
  const zone = zoneOfMedia(plan, id);
  const index = zone.media.findIndex((media) => media.id === (id as MediaId));
  const { ports, address = plan.mediaAddress } = zone.media[index]!;
  // The twin's media process of the same place stands by for this one.
  const twinZone = zoneNamed(plan, zone.twin);
  const twin = twinZone.media[index];
  const sounds = openSounds({ clock, folder: assetDir(plan.data) });
  const media = await startMedia({
    id: id as MediaId,
    addresses: isIPv6(address) ? { 6: address } : { 4: address },
    linkAddresses: plan.zones.flatMap(({ media: all }) => all.flatMap((one) => one.address ?? [])),
    movingAddress: plan.machine !== undefined,
    limits: { dscp: plan.marking.media },
    portRange: { first: ports.from, last: ports.to },
    listenPath: mediaSocket(plan.data, id),
    remoteDoor: doorOf(plan, 'media', id),
    mirrorPath: mirrorSocket(plan.data, id),
    mirrorDoor: doorOf(plan, 'mirror', id),
    ...(twin && { twinMirror: placeOf(plan, 'mirror', twin.id) }),
    dtls: dtlsCertificateFiles(plan.data).map(({ certificate, key }) => ({
      certificatePem: readFileSync(certificate, 'utf8'),
      keyPem: readFileSync(key, 'utf8'),
    })),
    sounds,
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
          case 'term':
            media.term((frame.data as ZoneToChild['term']).untilMs);
            return undefined;
          case 'address': {
            const said = frame.data as ZoneToMedia['address'];
            if (said.media === id) media.addressHere(said.here);
            return undefined;
          }
          case 'take-over': {
            const { media: dead, spokeUntilMs } = frame.data as ZoneToMedia['take-over'];
            media.takeOver(dead as readonly MediaId[], spokeUntilMs);
            return undefined;
          }
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
  let timer = clock.after(untilBeat(clock, STATS_MS), tell);
  function tell(): void {
    const { streams, addresses, cpuPercent, rssKib } = media.status();
    link.channel?.send({ kind: 'stats', data: { streams, addresses, cpuPercent, rssKib } });
    timer = clock.after(untilBeat(clock, STATS_MS), tell);
  }
  return async () => {
    timer.cancel();
    link.close('the media process ends');
    await media.stop();
    sounds.close();
  };
}
