import { loadYamlReader } from '../directory/index.ts';
import { stateSchema } from './topology-state.ts';

/** The format of a topology file, as `sip-zones/local.yaml` (one data centre) and `sip-zones/two-dc.yaml` (several) show it. */
export async function topologySchemas() {
  const reader = await loadYamlReader();
  const { list, matching, oneOf, record, text, wholeNumber, yesNo } = reader;
  const name = (max: number) =>
    matching(
      new RegExp(`^[a-z][a-z0-9-]{0,${max - 1}}$`),
      `a name of lower-case letters, digits and hyphens, at most ${max}`,
    );
  const offset = () => wholeNumber(0, 999);
  const machine = () => name(20).optional();
  const address = () => matching(/^[0-9a-fA-F.:]{2,45}$/, 'an IP address');
  /** What runs in one place. */
  const installation = {
    machines: list(
      record({
        id: name(20),
        address: address(),
        'link-ports': wholeNumber(1024, 65_000),
        'media-device': matching(/^[A-Za-z0-9_.@-]{1,15}$/, 'the name of a network interface').optional(),
        'media-command': list(text(1000), 20).min(1, 'must name a program').optional(),
      }),
      64,
    )
      .min(1, 'must name at least one machine')
      .optional(),
    edges: list(
      record({
        id: name(20),
        machine: machine(),
        listeners: list(
          record({
            transport: oneOf(['udp', 'tcp', 'tls', 'ws', 'wss']),
            offset: offset(),
            door: list(matching(/^[0-9a-fA-F.:]{2,45}$/, 'an IP address'), 64)
              .min(1, 'must name at least one proxy')
              .optional(),
          }),
          20,
        ).min(1, 'must name at least one listener'),
      }),
      8,
    ).min(1, 'must name at least one edge'),
    http: record({ plain: offset(), tls: offset() }),
    'keep-lost-phones': wholeNumber(1, 3600).optional(),
    marking: record({
      media: wholeNumber(0, 63).optional(),
      signalling: wholeNumber(0, 63).optional(),
    }).optional(),
    'media-ports': matching(/^[0-9]{1,5}-[0-9]{1,5}$/, 'a range such as 16384-32767'),
    zones: list(
      record({
        // The ids of switches are the zone's with a number.
        id: matching(/^[a-z]{1,8}$/, 'one to eight lower-case letters'),
        twin: matching(/^[a-z]{1,8}$/, 'the id of another zone'),
        machine: machine(),
        'media-addresses': list(address(), 16).min(1, 'must name at least one address').optional(),
        switches: wholeNumber(1, 64),
        media: wholeNumber(1, 16),
        rtpengine: list(text(60), 16).min(1, 'must name at least one address').optional(),
        'rtpengine-command': list(text(1000), 20).min(1, 'must name a program').optional(),
        capacity: record({
          calls: wholeNumber(1, 1_000_000),
          'calls-per-second': wholeNumber(1, 100_000),
          'media-ports': wholeNumber(2, 65_536),
        }),
      }),
      16,
    ).min(1, 'must name at least one zone'),
    state: stateSchema(reader).optional(),
  };
  const several = record({
    regions: list(record({ id: name(20), name: text(), locked: yesNo().optional() }), 100).min(
      1,
      'must name at least one region',
    ),
    failover: record({
      'registration-sec': wholeNumber(10, 300).optional(),
      'lost-after-sec': wholeNumber(3, 60).optional(),
    }).optional(),
    'data-centres': list(
      record({
        id: name(20),
        name: text(),
        region: name(20),
        secondary: name(20),
        services: list(oneOf(['phone', 'contact-centre']), 2)
          .min(1, 'must name phone, contact-centre or both')
          .optional(),
        meet: record({
          host: matching(/^[A-Za-z0-9.:-]{1,253}$/, 'an address or a host name'),
          port: wholeNumber(1, 65_535),
          sip: wholeNumber(1, 65_535).optional(),
        }),
        ...installation,
      }),
      100,
    ).min(2, 'must name at least two data centres'),
  });
  return { one: record(installation), several };
}
