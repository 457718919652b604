import type { DataCentresStatus, InstallationStatus } from '../control/index.ts';
import { table } from './table.ts';

/** The status for people: one table of processes, one line of sums. */
export function describeStatus(status: InstallationStatus): string {
  const rows: (string | number)[][] = [];
  for (const zone of status.zones) {
    const load = zone.state === 'up' || zone.state === 'draining' ? `${zone.loadPercent} % load` : '';
    rows.push([`zone ${zone.id}`, zone.state, zone.calls, pid(zone.pid), '', '', load]);
    for (const one of zone.switches)
      rows.push([
        `  switch ${one.id}`,
        one.state,
        one.calls,
        pid(one.pid),
        one.cpuPercent,
        mib(one.rssKib),
        '',
      ]);
    for (const one of zone.media) {
      const streams = `${one.streams} streams`;
      rows.push([`  media ${one.id}`, one.state, '', pid(one.pid), one.cpuPercent, mib(one.rssKib), streams]);
    }
  }
  for (const edge of status.edges) {
    const flows = Object.entries(edge.flows)
      .filter(([, count]) => count > 0)
      .map(([transport, count]) => `${count} ${transport}`)
      .join(', ');
    const gives =
      edge.openZones.length > 0 ? `new calls to ${edge.openZones.join(', ')}` : 'no zone takes new calls';
    const note = edge.state === 'up' ? [gives, flows].filter(Boolean).join('; ') : '';
    rows.push([`edge ${edge.id}`, edge.state, '', pid(edge.pid), '', mib(edge.rssKib), note]);
  }
  rows.push(['control', 'up', '', pid(status.control.pid), '', mib(status.control.rssKib), '']);
  const sums = `${status.calls} calls, ${status.registrations < 0 ? 'unknown' : status.registrations} registrations`;
  const several = status.dataCentres === undefined ? '' : `\n${describeDataCentres(status.dataCentres)}`;
  return `${table(['PROCESS', 'STATE', 'CALLS', 'PID', 'CPU %', 'MIB', ''], rows)}\n\n${sums}${several}`;
}

const pid = (value: number): string | number => (value === 0 ? '' : value);
const mib = (kib: number): string | number => (kib === 0 ? '' : Math.round(kib / 1024));

const WHY = {
  first: 'from its first start',
  lost: 'it was lost',
  returned: 'an operator returned it',
  kept: 'it was cut off, but not lost',
  unsure: 'it was away and waits to hear whether it was missed',
} as const;

/** A line per data centre whose users are known here, a line per link. */
export function describeDataCentres({ here, serving, peers }: DataCentresStatus): string {
  const time = (utcMs: number): string => new Date(utcMs).toISOString().slice(0, 19).replace('T', ' ');
  const lines = serving.map(({ home, serving: by, sinceUtcMs, why }) => {
    const since = sinceUtcMs === 0 ? '' : ` since ${time(sinceUtcMs)} UTC (${WHY[why]})`;
    const standsBy =
      home === here && by !== here ? `; ${here} STANDS BY until "twinline return ${here}"` : '';
    return `users of data centre ${home}: served by ${by}${since}${standsBy}`;
  });
  for (const { id, state, silentSec, differing } of peers) {
    lines.push(`data centre ${id}: ${state}${state === 'met' ? '' : `, nothing heard for ${silentSec} s`}`);
    if (differing !== undefined)
      lines.push(
        `  its configuration of ${differing.join(', ')} is another: apply the right one at either, and it counts at both`,
      );
  }
  return lines.join('\n');
}
