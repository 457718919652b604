import { isIP, isIPv6 } from 'node:net';
import { type CheckContext, type LooseInstallation, Names, type Path, reportTo } from './topology-checks.ts';

/** Where an rtpengine takes commands of its ng protocol. */
export interface NgAddress {
  readonly address: string;
  readonly port: number;
}

/** `127.0.0.1:2223`, `[::1]:2223`. */
export function parseNgAddress(text: string): NgAddress | undefined {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const isAddress = bracketed === undefined ? isIP(bare ?? '') === 4 : isIPv6(bracketed);
  return isAddress && port >= 1 && port <= 65_535 ? { address: (bracketed ?? bare)!, port } : undefined;
}

/** What is wrong of zones whose streams an rtpengine carries. */
export function checkRtpengines(
  { machines, zones = [] }: LooseInstallation,
  at: Path,
  context: CheckContext,
): void {
  const report = reportTo(context);
  const names = new Names('rtpengine', context);
  zones.forEach((zone, index) => {
    const path = [...at, 'zones', index, 'rtpengine'];
    const { rtpengine, id } = zone ?? {};
    if (rtpengine === undefined) {
      if (zone?.['rtpengine-command'] !== undefined)
        report(
          [...at, 'zones', index, 'rtpengine-command'],
          `zone "${id}" must say by "rtpengine" where each rtpengine that is started takes commands`,
        );
      return;
    }
    rtpengine.forEach((text, which) => {
      if (text === undefined) return;
      if (parseNgAddress(text) === undefined)
        report(
          [...path, which],
          `"${text}" is no address of an rtpengine's ng protocol such as 127.0.0.1:2223 or [::1]:2223`,
        );
      // Its end would take both.
      else names.claim(text, [...path, which]);
    });
    if (rtpengine.length !== Number(zone?.media))
      report(path, `zone "${id}" needs as many rtpengines as it has media processes (${zone?.media})`);
    if (machines !== undefined)
      report(
        path,
        `"rtpengine" belongs to a file of one machine: its streams do not go over to another machine's address`,
      );
    const twin = zones.find((one) => one?.id === zone?.twin && one !== zone);
    if (twin !== undefined && twin.rtpengine === undefined)
      report(
        path,
        `zone "${id}" has rtpengine and its twin "${twin.id}" has not: calls go over from one to the other`,
      );
  });
}
