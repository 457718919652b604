import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../base/index.ts';
import type { InstallationStatus } from './commands.ts';
import { type HttpDoor, startHttp } from './http.ts';
import { joinEdgeMetrics, renderMetrics } from './metrics.ts';

const status = {
  zones: [
    {
      id: 'a',
      state: 'up',
      loadPercent: 12,
      switches: [{ id: 'a1', pid: 1, state: 'up', calls: 7, cpuPercent: 3, rssKib: 100 }],
      media: [{ id: 'a', pid: 2, state: 'up', streams: 14, cpuPercent: 5, rssKib: 200 }],
      calls: 7,
      registrations: 10,
      twinUp: false,
      pid: 3,
    },
    {
      id: 'b',
      state: 'down',
      loadPercent: 0,
      switches: [],
      media: [],
      calls: 0,
      registrations: 0,
      twinUp: false,
      pid: 0,
    },
  ],
  edges: [
    { id: 'edge1', state: 'up', pid: 4, rssKib: 300, listeners: [], flows: { tls: 2 }, openZones: ['a'] },
  ],
  control: { pid: 5, rssKib: 400 },
  calls: 7,
  registrations: 10,
} as unknown as InstallationStatus;

describe("control's HTTP door", () => {
  let door: HttpDoor | undefined;
  afterEach(() => door?.close());

  const open = async (healthy: boolean): Promise<string> => {
    door = await startHttp({
      address: '127.0.0.1',
      port: 0,
      metrics: async () => renderMetrics(status),
      healthy: async () => healthy,
      log: silentLogger,
    });
    return `http://127.0.0.1:${door.port}`;
  };

  it('shows the figures in the form that Prometheus reads', async () => {
    const text = await (await fetch(`${await open(true)}/metrics`)).text();
    expect(text).toContain('# TYPE twinline_calls gauge\ntwinline_calls{zone="a",switch="a1"} 7\n');
    expect(text).toContain('twinline_zone_up{zone="b"} 0');
    expect(text).toContain('twinline_zone_load_ratio{zone="a"} 0.12');
    expect(text).toContain('twinline_edge_connections{edge="edge1",transport="tls"} 2');
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) twinline_\w+ .+|twinline_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.]+)$/,
      );
    }
  });

  it('tells the edges apart in what they count', () => {
    const text =
      '# TYPE twinline_edge_refused_total counter\ntwinline_edge_refused_total{reason="flood"} 3\ntwinline_edge_up 1\n';
    expect(
      joinEdgeMetrics([
        { id: 'edge1', text },
        { id: 'edge2', text },
      ]),
    ).toBe(
      [
        '# TYPE twinline_edge_refused_total counter',
        'twinline_edge_refused_total{edge="edge1",reason="flood"} 3',
        'twinline_edge_refused_total{edge="edge2",reason="flood"} 3',
        'twinline_edge_up{edge="edge1"} 1',
        'twinline_edge_up{edge="edge2"} 1',
        '',
      ].join('\n'),
    );
  });

  it('says whether calls can be made', async () => {
    const base = await open(false);
    expect((await fetch(`${base}/health`)).status).toBe(503);
  });

  it('refuses what it does not have', async () => {
    const base = await open(true);
    expect((await fetch(`${base}/health`)).status).toBe(200);
    expect((await fetch(`${base}/`)).status).toBe(404);
    expect((await fetch(`${base}/metrics`, { method: 'POST', body: 'x' })).status).toBe(405);
  });

  it('names the port that is taken', async () => {
    await open(true);
    const second = startHttp({
      address: '127.0.0.1',
      port: door!.port,
      metrics: async () => '',
      healthy: async () => true,
      log: silentLogger,
    });
    await expect(second).rejects.toThrow(
      `TCP port ${door!.port} on 127.0.0.1 (HTTP) is in use by another program`,
    );
  });
});
