// The picture in docs/architecture.md, held by a check. Each room lists the rooms below it that it may use.
const rooms = {
  base: [],
  native: ['base'],
  sip: ['base'],
  sdp: ['base'],
  rtp: ['base', 'native'],
  link: ['base', 'native'],
  state: ['base', 'native'],
  audio: ['base', 'native', 'rtp'],
  media: ['base', 'native', 'rtp', 'audio', 'link'],
  directory: ['base', 'link', 'state'],
  registrar: ['base', 'sip', 'link', 'state', 'directory'],
  call: ['base', 'sip', 'sdp', 'link', 'media', 'directory'],
  edge: ['base', 'native', 'sip', 'link', 'state'],
  switch: ['base', 'native', 'sip', 'link', 'state', 'media', 'directory', 'registrar', 'call'],
  zone: ['base', 'native', 'link', 'state'],
  control: ['base', 'native', 'link', 'state', 'directory'],
  cli: ['base', 'native', 'sip', 'link', 'state', 'audio', 'media', 'directory', 'registrar', 'edge', 'switch', 'zone', 'control'],
};

const forbidden = Object.entries(rooms).map(([room, allowed]) => ({
  name: `${room}-imports-downward-only`,
  severity: 'error',
  comment: `${room} may use: ${allowed.join(', ') || 'no other room'}`,
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: `^src/(${[room, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...forbidden,
    {
      name: 'rooms-have-doors',
      severity: 'error',
      comment: "another room's code is reached through its index.ts alone",
      from: { path: '^src/([^/]+)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/([^/]+)/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'koffi-only-in-native',
      severity: 'error',
      from: { pathNot: '^src/native/' },
      to: { path: 'node_modules/koffi' },
    },
    { name: 'no-cycles-between-files', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'no-tests-in-the-product', severity: 'error', from: { path: '^src/', pathNot: '\\.test\\.ts$' }, to: { path: '^test/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.cjs', '.mjs'] },
  },
};
