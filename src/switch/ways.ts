import type { EdgeId, FlowId, UserId } from '../base/index.ts';
import type { TrunkWay } from '../call/index.ts';
import {
  type DirectoryIndex,
  homeOfUser,
  regionOf,
  type ServingHere,
  type ServingWatch,
} from '../directory/index.ts';

/** The way to another data centre, as the topology has it. */
export interface Trunk {
  readonly dataCentre: string;
  /** An edge of ours; any other does as well. */
  readonly edge: EdgeId;
  /** What stands in our Via and Contact. */
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
}

/**
 * Other data centres where a user may be who has no phone here, in the order to be tried: the one that serves, as far as we know, then the
 * home and its secondary, since of data centres that are not linked with ours we hear nothing. None for users who are served here.
 */
export function waysTo(
  here: ServingHere & { readonly watch: ServingWatch; readonly trunks: readonly Trunk[] },
  index: DirectoryIndex | undefined,
  userId: UserId,
): TrunkWay[] {
  const user = index?.userById(userId);
  if (index === undefined || user === undefined) return [];
  const { places, dataCentre, trunks, watch } = here;
  const home = homeOfUser(places, index, user);
  const serving = watch.serving(home) ?? home;
  if (serving === dataCentre) return [];
  const secondary = places.dataCentres.find(({ id }) => id === home)?.secondary;
  return [...new Set([serving, home, secondary])].flatMap((id) => {
    const trunk = trunks.find((one) => one.dataCentre === id);
    if (trunk === undefined) return [];
    const region = regionOf(places, trunk.dataCentre);
    return [{ dataCentre: trunk.dataCentre, ...(region !== undefined && { region }), flow: flowOf(trunk) }];
  });
}

const flowOf = ({ dataCentre, edge, local, remote }: Trunk): TrunkWay['flow'] => ({
  id: `i:${dataCentre}` as FlowId,
  edge,
  transport: 'tls',
  local,
  remote,
  dataCentre,
});
