import { mediaAddresses } from './media-addresses.ts';
import { isHere } from './places.ts';
import type { PlannedZone } from './plan.ts';
import { type ProcessContext, zoneNamed } from './process-context.ts';
import { openState } from './state-engine.ts';

/**
 * Tells the twin on another machine that a zone of this machine is dead for certain, so that it need not wait for the term (PH-ZONE-17).
 * Called when none of the zone's processes runs any more. First its media addresses go: nothing may lead here when the twin takes them.
 * `stillDead`: no other life of it was begun meanwhile. Rejects when it cannot be said; then the term decides, as when the machine dies.
 */
export async function announceDeath(
  context: ProcessContext,
  id: string,
  stillDead: () => boolean,
): Promise<void> {
  const zone = zoneNamed(context.plan, id);
  const twin: PlannedZone = zoneNamed(context.plan, zone.twin);
  if (isHere(context.plan, twin)) return;
  const { own, twins, moving } = mediaAddresses(context.plan, zone, twin);
  for (const address of [...own.values(), ...twins.values()]) {
    if (!stillDead()) return;
    await moving.leave(address);
  }
  const state = await openState(context, zone);
  try {
    const life = await state.zones?.own();
    // A life that has begun since is not the one that died.
    if (life === undefined || life.takenBy !== undefined || !stillDead()) return;
    await state.zones?.ended(life.holder);
    context.log.info({ zone: id, holder: life.holder }, 'launcher.said_dead');
  } finally {
    await state.close();
  }
}
