import { ciphers, parseAddress, UdpAddress } from '../../src/native/index.ts';
import {
  beginStun,
  finishStun,
  isIntact,
  parseStun,
  readXorMappedAddress,
  STUN_BINDING_SUCCESS,
  StunMessage,
  writeXorMappedAddress,
} from '../../src/rtp/index.ts';
import { iceCheck } from '../support/ice-peer.ts';
import { PacketPath, rtpPacket } from '../support/packet-path.ts';
import { spec } from '../support/stream-spec.ts';
import { type FuzzTarget, mustHold } from './target.ts';

const ICE = {
  localUfrag: 'ours',
  localPassword: 'the+password+of+our+side',
  remoteUfrag: 'theirs',
  remotePassword: 'the+password+of+the+peer',
};
const message = new StunMessage();
const key = ciphers().hmacSha1(Buffer.from(ICE.localPassword));
const mapped = new UdpAddress();

function seeds(): Uint8Array[] {
  const answer = Buffer.alloc(200);
  const at = writeXorMappedAddress(
    answer,
    beginStun(answer, STUN_BINDING_SUCCESS, Buffer.alloc(12, 7)),
    parseAddress('2001:db8::7', 4000)!,
  );
  return [
    iceCheck(ICE),
    iceCheck(ICE, { useCandidate: true, role: 'controlled' }),
    iceCheck(ICE, { username: 'ours:', more: (into, from) => into.writeUInt32BE(0x7f010000, from) }),
    answer.subarray(0, finishStun(answer, at, key)),
  ];
}

/** The message itself, in memory that must stay as it is. */
function checkMessage(input: Uint8Array): void {
  const packet = Buffer.from(input);
  if (!parseStun(packet, packet.length, message)) return;
  mustHold(message.usernameAt + message.usernameLength <= packet.length, 'a username lies in its packet');
  mustHold(message.integrityAt + 24 <= packet.length, 'an integrity lies in its packet');
  isIntact(packet, message, key);
  readXorMappedAddress(packet, message, mapped);
  mustHold(packet.equals(input), 'reading changes nothing');
}

const NOMINATED = '192.0.2.1:5000';
const STRANGER = '203.0.113.66:666';
/** The peer too, as it can sign. */
const ELSEWHERE = '198.51.100.20:6000';
/** Whatever was nominated since, the peer moves back. */
const back = iceCheck(ICE, { useCandidate: true, priority: 2 ** 32 - 1 });
let path = newPath();
let count = 0;

function newPath(): PacketPath {
  const made = new PacketPath();
  made.put(spec('browser', { source: 'phone', rtcpMux: true, ice: ICE }));
  made.put(spec('phone', { port: 7000, source: 'browser' }));
  made.turn('browser', iceCheck(ICE, { useCandidate: true }), NOMINATED);
  return made;
}

/** A stream whose peer has nominated an address: whatever comes from elsewhere unsigned, media still goes there. Signed, it is answered at most. */
function checkStream(input: Uint8Array): void {
  if (++count % 1000 === 0) path = newPath();
  path.nowMs += 10;
  const packet = Buffer.from(input.subarray(0, 1800));
  if (!authentic(packet)) {
    mustAnswerShortly(packet, STRANGER);
    const [sent] = path.turn('phone', rtpPacket({ sequence: count & 0xffff }), '127.0.0.1:7000');
    mustHold(sent?.to === NOMINATED || sent?.to === ELSEWHERE, 'only the peer moves its media');
  }
  mustAnswerShortly(signed(packet), ELSEWHERE);
  path.turn('browser', back, NOMINATED);
}

function mustAnswerShortly(packet: Buffer, from: string): void {
  const answers = path.turn('browser', packet, from);
  mustHold(answers.length <= 1, 'one answer at most');
  if (answers[0] !== undefined)
    mustHold(
      answers[0].packet.length <= 200 && answers[0].to === from && answers[0].by === 'browser',
      'an answer is short and goes back, and nothing is passed on',
    );
}

/** The same attributes under right sums, as a peer with bad intentions could send them. */
function signed(packet: Buffer): Buffer {
  const end = Math.max(20, (packet.length - 32) & ~3);
  const into = Buffer.alloc(end + 64);
  packet.copy(into, 0, 0, end);
  back.copy(into, 0, 0, 20);
  return into.subarray(0, finishStun(into, end, key));
}

function authentic(packet: Buffer): boolean {
  return parseStun(packet, packet.length, message) && isIntact(packet, message, key);
}

export const stunTargets: readonly FuzzTarget[] = [
  { name: 'stun-message', seeds, run: checkMessage },
  { name: 'stun-stream', seeds, run: checkStream },
];
