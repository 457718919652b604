import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { openSounds } from '../audio/index.ts';
import type { MediaId } from '../base/index.ts';
import { type MediaProcess, startMedia, startRtpengineMedia } from '../media/index.ts';
import { shippedSounds } from './package-root.ts';
import { assetDir, dtlsCertificateFiles, mediaSocket, mirrorSocket } from './paths.ts';
import { doorOf, placeOf } from './places.ts';
import { type ProcessContext, zoneNamed, zoneOfMedia } from './process-context.ts';
import type { NgAddress } from './topology-rtpengine.ts';

export interface StartedMedia {
  readonly media: MediaProcess;
  stop(): Promise<void>;
}

/** A process that carries its streams itself. */
export async function startOurs(context: ProcessContext, id: string): Promise<StartedMedia> {
  const { plan, clock, random, log } = context;
  const zone = zoneOfMedia(plan, id);
  const index = zone.media.findIndex((media) => media.id === (id as MediaId));
  const { ports, address = plan.mediaAddress } = zone.media[index]!;
  // The twin's media process of the same place stands by for this one.
  const twinZone = zoneNamed(plan, zone.twin);
  const twin = twinZone.media[index];
  const sounds = openSounds({ clock, folders: [assetDir(plan.data), shippedSounds] });
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
  return {
    media,
    stop: async () => {
      await media.stop();
      sounds.close();
    },
  };
}

/** A process that has an rtpengine carry its streams. */
export async function startWithRtpengine(
  { plan, clock, random, log }: ProcessContext,
  id: string,
  ng: NgAddress,
): Promise<StartedMedia> {
  const { ports, rtpengineCommand: words } = zoneOfMedia(plan, id).media.find(
    (one) => one.id === (id as MediaId),
  )!;
  const media = await startRtpengineMedia({
    id: id as MediaId,
    ng,
    ...(words && {
      command: { words, address: plan.mediaAddress, ports: { first: ports.from, last: ports.to } },
    }),
    innerFamily: isIPv6(plan.mediaAddress) ? 6 : 4,
    limits: { dscp: plan.marking.media },
    listenPath: mediaSocket(plan.data, id),
    remoteDoor: doorOf(plan, 'media', id),
    clock,
    random,
    log,
  });
  return { media, stop: () => media.stop() };
}
