import type { ClientTransaction, ServerTransaction } from '../sip/index.ts';
import type {
  Call,
  CallState,
  ClientRequest,
  Leg,
  LegMedia,
  LegState,
  Lookup,
  Purpose,
  ServerRequest,
} from './model.ts';

/**
 * How a call is adopted in each thing that it can be in the middle of: the one place to say so. The types ask for an entry for every state,
 * every reason to ask or to wait, and every field of a call; tests let the owner die in each entry, and fail for one they never reach.
 */
export interface Adoption {
  /** What the adopter finds, and what it does so that the call goes on. */
  readonly how: string;
  /** The call is in the middle of it. */
  readonly holds: (call: Call) => boolean;
}

/** A field of which nothing is awaited: it lies in the record, and the adopter reads it there. */
const plain = 'plain';
type Entry = string | typeof plain;
type Table<Key extends PropertyKey> = Readonly<Record<Key, Entry>>;

const states: Table<CallState> = {
  routing: 'the registrations are asked for again',
  calling: 'streams are put again, which opens no second one; INVITEs are sent again by their transactions',
  ringing: 'the deadlines lie in the call; an answer or CANCEL finds it by its Call-ID',
  answered: "the caller's 200 is said again until its ACK comes",
  talking: 'nothing is said to the phones; streams are put again under the new epoch',
  held: 'as when they talk; the directions lie in the legs',
  ending:
    'BYE or CANCEL is sent again by its transaction, streams are closed again, the record written at its time',
  ended: 'the transactions answer what is sent again, until the last of them is over or the call is deleted',
};

const legStates: Table<LegState> = {
  new: 'its stream is put again; the INVITE goes out when the port is known',
  calling: 'the INVITE is sent again by its transaction',
  ringing: 'as the call',
  answered: "the callee's ACK is still owed, or the caller's still awaited: see `ackOwed` and `answer`",
  confirmed: 'as the call',
  ending: 'as the call',
  ended: 'as the call',
};

const lookups: Table<Lookup['why']> = {
  ring: 'asked again',
  'judge-flow': 'asked again; the request waits in the call',
  'find-flow': 'asked again',
};

const purposes: Table<Purpose['kind']> = {
  invite: 'the response finds the leg by its Call-ID, whoever sent the INVITE',
  relay: 'the request that it was sent for lies beside it, and is answered when the response comes',
  refresh: 'the response renews the timer',
  'take-up': 'the response brings the audio of who was held both ways',
  bye: 'the response ends the leg; without one the transaction does',
  done: 'the transaction repeats it; nothing follows from the response',
};

const clientStates: Table<ClientTransaction['state']> = {
  Calling: 'sent again: over UDP by Timer A, over a stream by the adopter',
  Trying: 'sent again: over UDP by Timer E, over a stream by the adopter',
  Proceeding: 'the final response is awaited; an INVITE that was cancelled is given up in its time',
  Accepted: 'a repeated 2xx gets the same ACK (RFC 6026)',
  Completed: 'a repeated response is absorbed, or acknowledged',
  Terminated: plain,
};

const serverStates: Table<ServerTransaction['state']> = {
  Trying: 'the request comes again, or its answer from the other leg',
  Proceeding: 'a repeated INVITE hears the last provisional response again',
  Accepted: 'a repeated INVITE is absorbed; the 2xx is repeated by `answer`',
  Completed: 'the final response is sent again',
  Confirmed: 'a repeated ACK is absorbed',
  Terminated: plain,
};

const fields: Table<keyof Call> = {
  v: plain,
  id: plain,
  account: plain,
  snapshotNumber: plain,
  createdUtcMs: plain,
  state: plain,
  caller: plain,
  dialled: plain,
  target: plain,
  presented: plain,
  transfers: plain,
  sessionId: plain,
  legs: plain,
  legsMade: plain,
  carried: plain,
  maxForwards: plain,
  origin: plain,
  emergency: plain,
  ways: 'the next data centre is asked when the present one has refused or cannot be reached',
  queue: 'the next device rings when the present one is out',
  ringUntilMs: 'the deadline is a time of the machine, the same for the adopter',
  lookups: plain,
  answeredUtcMs: plain,
  told: 'what the caller heard is not said to it twice',
  answerHeld: 'the 2xx goes out when the PRACK comes',
  end: 'what ended the call first stays written',
  closing: 'the streams are closed again; the record waits for their figures as long as it would have',
  reports: 'figures that came before are kept',
  adoptions: 'counted for the record',
  appliedCommandIds: 'a command that comes again is not applied twice',
};

const legFields: Table<keyof Leg> = {
  id: plain,
  role: plain,
  user: plain,
  device: plain,
  mediaPolicy: plain,
  flow: plain,
  formerFlow: plain,
  leftFlows: 'a flow found dead is not tried again until the phone registers over it anew',
  lost: 'another flow of the phone is looked for, or its next request shows it; given up when the dead owner would have',
  trunk: 'what was said over it is sent again, as over UDP',
  newContactAtMs: 'the phone hears at that time which edge our Contact is at',
  instanceId: plain,
  state: plain,
  sipCallId: plain,
  localTag: plain,
  remoteTag: plain,
  inviteCseq: plain,
  target: plain,
  dialog: 'the next request counts on from the CSeq that was written before it left',
  sessionId: plain,
  clients: plain,
  servers: plain,
  reliableSender: 'the 1xx is repeated until its PRACK (RFC 3262)',
  reliableReceiver: 'a repeated 1xx is known by its RSeq',
  answer: 'repeated until its ACK; over a stream said again at once',
  ack: 'a repeated 2xx gets the same ACK',
  ackOwed: "sent when the other side's answer comes",
  sessionTimer:
    'the deadlines are times of the machine: who refreshes does so at the same time as the dead owner would have',
  refreshAgainAtMs: 'sent again at that time',
  transfer: 'the new party rings on; who asked is told by NOTIFY what comes of it',
  takeUp: 'offered at that time',
  peer: plain,
  ringUntilMs: 'the deadline is a time of the machine',
  cancelWanted: 'the CANCEL goes out with the first provisional response',
  failure: 'counts when the last device is out',
  media: plain,
  silentForMs: plain,
  unheardForMs: plain,
  lostAudioForMs: plain,
  muteForMs: plain,
};

const mediaFields: Table<keyof LegMedia> = {
  stream: 'put again under the new epoch, which changes nothing that runs',
  closed: 'it is not put again; its figures are in the call, or were lost with the dead owner',
  family: plain,
  opened: plain,
  sdpId: plain,
  sdpVersion: plain,
  local: 'the next description counts on from it',
  answeredEarly: 'the 2xx says the same answer',
  offered: "the peer's answer is matched with it",
  firstOffer: 'each fork answers it anew',
  unanswered: "answered when the other side's answer comes",
  agreed: plain,
  direction: plain,
  holds: 'the music is put again with the stream of the held end, and goes on where it is',
  codecs: plain,
  ptimeMs: plain,
  maxptimeMs: plain,
  wants: plain,
  packetTimes: plain,
  voipMetrics: plain,
  sendKey: 'held by the twin media process already; put again with the stream',
  receiveKey: 'as the other key',
  dtls: 'the keys are at the twin media process, or the handshake goes on there; put again with the stream',
  ice: 'the same credentials are put again: checks of the peer find them, and a new generation is answered with new ones',
  association: 'the handshake is asked for under the same number',
  suite: plain,
  receiveKeyKept: plain,
  remoteAddress: plain,
  rtcpMux: plain,
  secureProfile: plain,
  fax: 'the streams pass datagrams on, at the twin media process too; a re-INVITE brings the audio back',
  endToEnd: 'the streams are put as opaque again; a refresh says the mark again, and what belongs to it',
  source: plain,
  renewal:
    'its port is asked for again, the offer with new keys sent again or made when nothing keeps it back',
  updatedEarly: 'the answer that comes is not asked for what the UPDATE has settled',
};

const clientFields: Table<keyof ClientRequest> = {
  tx: plain,
  method: plain,
  cseq: plain,
  purpose: plain,
  invite: 'its CANCEL is made from it',
  ack: 'said again with each repetition of the 2xx',
  doubtAtMs: 'sent over another flow of the phone at that time, if it has one',
  giveUpAtMs: 'counts as 408 at that time',
};

const serverFields: Table<keyof ServerRequest> = {
  tx: plain,
  method: plain,
  cseq: plain,
  request: 'answered when what it waits for has happened',
  status: plain,
  remote: plain,
};

/** What has a name of its own among phone people, made of several of the above. */
const situations: Readonly<Record<string, Adoption>> = {
  'early media': {
    how: 'both streams are connected before the answer, and stay so',
    holds: ({ legs, state }) => state === 'ringing' && legs[0]?.media.source !== undefined,
  },
  'a late offer, its answer awaited in the ACK': {
    how: "the caller's ACK brings it, and then the callee's goes out",
    holds: ({ legs, state }) => state === 'answered' && legs.some(({ ackOwed }) => ackOwed !== undefined),
  },
  'a re-INVITE under way': {
    how: 'it is repeated to the other end; its answer goes to the phone that asked',
    holds: (call) =>
      clients(call).some(({ method, purpose }) => method === 'INVITE' && purpose.kind === 'relay'),
  },
  'a lost stream, its new port awaited': {
    how: 'the port is asked for again; which indices the lost one used nobody knows, so its keys are never put again',
    holds: ({ legs }) => legs.some(({ media }) => media.renewal?.ready === false),
  },
  'an offer with new keys under way': {
    how: 'it is repeated; its answer finds the leg by its Call-ID',
    holds: ({ legs }) => legs.some(({ media }) => media.offered?.renews !== undefined),
  },
  'a re-INVITE answered, its ACK awaited': {
    how: 'the 200 is repeated until the ACK comes',
    holds: ({ legs, state }) =>
      (state === 'talking' || state === 'held') && legs.some(({ answer }) => answer !== undefined),
  },
  'a re-INVITE refused': {
    how: 'the refusal is repeated until its ACK; the session stays as it was',
    holds: ({ legs, state }) =>
      (state === 'talking' || state === 'held') &&
      legs.some(({ servers }) =>
        servers.some(
          ({ method, status = 0, tx }) => method === 'INVITE' && status >= 300 && tx.state === 'Completed',
        ),
      ),
  },
  'INFO under way': {
    how: 'repeated to the other end; its answer goes to the phone that asked',
    holds: (call) => clients(call).some(({ method, tx }) => method === 'INFO' && tx.state !== 'Completed'),
  },
  'a BYE answered, the other one awaited': {
    how: 'the BYE to the other end is repeated until it is answered',
    holds: ({ legs, state }) =>
      (state === 'ending' || state === 'ended') &&
      legs.some((leg) => leg.state === 'ended') &&
      legs.some((leg) => leg.clients.some(({ method, tx }) => method === 'BYE' && tx.state !== 'Completed')),
  },
  'both have hung up': {
    how: 'both BYEs are answered, and ours are absorbed',
    holds: ({ legs }) =>
      legs.filter(({ servers }) => servers.some(({ method }) => method === 'BYE')).length > 1,
  },
  'a CANCEL under way': {
    how: 'repeated; 487 or an answer that crossed it comes to the adopter',
    holds: (call) => clients(call).some(({ method, tx }) => method === 'CANCEL' && tx.state !== 'Completed'),
  },
};

const clients = ({ legs }: Call): ClientRequest[] => legs.flatMap((leg) => leg.clients);
const servers = ({ legs }: Call): ServerRequest[] => legs.flatMap((leg) => leg.servers);

/** Every entry by its name: `call ringing`, `leg.ackOwed`, `client Trying`, `a re-INVITE under way` … */
export const adoptions: ReadonlyMap<string, Adoption> = new Map([
  ...entries(states, (state) => [`call ${state}`, (call) => call.state === state]),
  ...entries(legStates, (state) => [`leg ${state}`, ({ legs }) => legs.some((leg) => leg.state === state)]),
  ...entries(lookups, (why) => [
    `asks to ${why}`,
    (call) => call.lookups.some((lookup) => lookup.why === why),
  ]),
  ...entries(purposes, (kind) => [
    `sent for ${kind}`,
    (call) => clients(call).some(({ purpose }) => purpose.kind === kind),
  ]),
  ...entries(clientStates, (state) => [
    `client ${state}`,
    (call) => clients(call).some(({ tx }) => tx.state === state),
  ]),
  ...entries(serverStates, (state) => [
    `server ${state}`,
    (call) => servers(call).some(({ tx }) => tx.state === state),
  ]),
  ...entries(fields, (field) => [`call.${field}`, (call) => isThere(call[field])]),
  ...entries(legFields, (field) => [`leg.${field}`, ({ legs }) => legs.some((leg) => isThere(leg[field]))]),
  ...entries(mediaFields, (field) => [
    `media.${field}`,
    ({ legs }) => legs.some(({ media }) => isThere(media[field])),
  ]),
  ...entries(clientFields, (field) => [
    `client.${field}`,
    (call) => clients(call).some((client) => isThere(client[field])),
  ]),
  ...entries(serverFields, (field) => [
    `server.${field}`,
    (call) => servers(call).some((server) => isThere(server[field])),
  ]),
  ...Object.entries(situations),
]);

/** The names of what the call is in the middle of. */
export const situationsOf = (call: Call): string[] =>
  [...adoptions].flatMap(([name, { holds }]) => (holds(call) ? [name] : []));

function entries<Key extends string>(
  table: Table<Key>,
  of: (key: Key) => readonly [name: string, holds: (call: Call) => boolean],
): [string, Adoption][] {
  return (Object.keys(table) as Key[]).flatMap((key): [string, Adoption][] => {
    const how = table[key];
    if (how === plain) return [];
    const [name, holds] = of(key);
    return [[name, { how, holds }]];
  });
}

/** Set, and not an empty list, `false` or 0. */
const isThere = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false && value !== 0;
