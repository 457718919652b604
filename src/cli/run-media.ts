import { type MediaId, untilBeat } from '../base/index.ts';
import { connectLink, type ZoneToChild, type ZoneToMedia } from '../link/index.ts';
import type { SupervisorToMedia } from '../media/index.ts';
import { zoneSocket } from './paths.ts';
import { type ProcessContext, zoneOfMedia } from './process-context.ts';
import { startOurs, startWithRtpengine } from './start-media.ts';

/** As often as the supervisor would ask otherwise whether we live. */
const STATS_MS = 500;

export async function runMedia(context: ProcessContext, id: string): Promise<() => Promise<void>> {
  const { plan, self, clock, random, log } = context;
  const zone = zoneOfMedia(plan, id);
  const { rtpengine } = zone.media.find((one) => one.id === (id as MediaId))!;
  const { media, stop } = await (rtpengine
    ? startWithRtpengine(context, id, rtpengine)
    : startOurs(context, id));

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
    await stop();
  };
}
