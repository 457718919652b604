import { createSocket, type Socket } from 'node:dgram';
import type { SrvRecord } from '../../src/sip/index.ts';

/** What a name stands for. Names in lower case without a dot at the end. */
export interface DnsZone {
  readonly srv?: Readonly<Record<string, readonly SrvRecord[]>>;
  readonly a?: Readonly<Record<string, readonly string[]>>;
}

const TYPES = { a: 1, srv: 33 } as const;
const CLASS_IN = 1;
const TTL_SEC = 1;
const HEADER_BYTES = 12;
/** QR, AA, RD, RA; the response code in the low four bits (RFC 1035 §4.1.1). */
const ANSWER_FLAGS = 0x8580;
const NAME_ERROR = 3;

/** A name server for one test: UDP at a port of the kernel's choice, SRV and A (RFC 1035, RFC 2782); whatever else is asked there is none of. */
export class DnsServer {
  readonly port: number;
  /** Names that were asked for, with their type's number: `33 _sip._tcp.example.test`. */
  readonly asked: string[] = [];
  readonly #socket: Socket;

  static async start(zone: DnsZone): Promise<DnsServer> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, '127.0.0.1', () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return new DnsServer(zone, socket);
  }

  private constructor(zone: DnsZone, socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on('error', () => {});
    socket.on('message', (query, { address, port }) => {
      const question = readQuestion(query);
      if (question === undefined) return;
      this.asked.push(`${question.type} ${question.name}`);
      socket.send(answerTo(query, question, zone), port, address);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

interface Question {
  readonly name: string;
  readonly type: number;
  /** Where it ends in the query. */
  readonly end: number;
}

/** Of a standard query with one question; queries compress no names. */
function readQuestion(query: Buffer): Question | undefined {
  if (query.length < HEADER_BYTES + 5 || query.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    const length = query[at];
    if (length === undefined || length > 63) return undefined;
    at++;
    if (length === 0) break;
    labels.push(query.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > query.length) return undefined;
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at), end: at + 4 };
}

function answerTo(query: Buffer, { name, type, end }: Question, { srv = {}, a = {} }: DnsZone): Buffer {
  const known = srv[name] !== undefined || a[name] !== undefined;
  const found =
    type === TYPES.srv ? (srv[name] ?? []).map(srvData) : type === TYPES.a ? (a[name] ?? []).map(aData) : [];
  const header = Buffer.from(query.subarray(0, HEADER_BYTES));
  header.writeUInt16BE(ANSWER_FLAGS | (known ? 0 : NAME_ERROR), 2);
  header.writeUInt16BE(found.length, 6);
  header.writeUInt32BE(0, 8);
  const answers = found.map((data) => {
    const record = Buffer.alloc(12);
    // A pointer to the question's name (RFC 1035 §4.1.4).
    record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(CLASS_IN, 4);
    record.writeUInt32BE(TTL_SEC, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, data]);
  });
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...answers]);
}

const aData = (address: string): Buffer => Buffer.from(address.split('.').map(Number));

function srvData({ priority, weight, port, target }: SrvRecord): Buffer {
  const numbers = Buffer.alloc(6);
  numbers.writeUInt16BE(priority, 0);
  numbers.writeUInt16BE(weight, 2);
  numbers.writeUInt16BE(port, 4);
  return Buffer.concat([numbers, nameData(target)]);
}

const nameData = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
