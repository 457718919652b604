/** How this client says of a Contact that it encrypts end to end. */
const FEATURE = '+g.twinline.e2ee';
const CURVE = { name: 'ECDH', namedCurve: 'P-256' };

const toBase64 = (octets) => btoa(String.fromCharCode(...new Uint8Array(octets)));
const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Its Contacts say so from now on (RFC 3840). */
export function showFeature({ contact }) {
  const plain = contact.toString;
  contact.toString = (options) => `${plain.call(contact, options)};${FEATURE}`;
}

/** One call's encryption: keys agreed by what both say beside the mark, and a worker that does it. */
export class EndToEnd {
  #tell;
  #worker = new Worker('/encryption.js');
  #keys = crypto.subtle.generateKey(CURVE, false, ['deriveBits']);
  /** Our next offer has the mark. */
  #wanted;
  #theirs;
  #said = false;

  constructor(wanted, tell) {
    this.#wanted = wanted;
    this.#tell = tell;
  }

  get worker() {
    return this.#worker;
  }

  want(wanted) {
    this.#wanted = wanted;
  }

  /** Every description of the handler says and hears of it. */
  wrap(handler) {
    const [describe, take] = [handler.getDescription.bind(handler), handler.setDescription.bind(handler)];
    const connection = handler.peerConnection;
    // Chromium heeds a transform only where it is set before the first description.
    const add = connection.addTrack.bind(connection);
    connection.addTrack = (...args) => {
      const added = add(...args);
      for (const { sender, receiver } of connection.getTransceivers()) {
        sender.transform ??= new RTCRtpScriptTransform(this.#worker, { sends: true });
        receiver.transform ??= new RTCRtpScriptTransform(this.#worker, { sends: false });
      }
      return added;
    };
    handler.getDescription = async (...args) => {
      const isAnswer = connection.signalingState === 'have-remote-offer';
      const described = await describe(...args);
      this.#said = isAnswer ? this.#theirs !== undefined : this.#wanted;
      if (this.#said) described.body = await this.#marked(described.body);
      if (isAnswer) await this.#settle();
      return described;
    };
    handler.setDescription = async (sdp, ...args) => {
      const isAnswer = connection.signalingState === 'have-local-offer';
      // Chromium has an SFrame of its own, and would miss the mark in its offer.
      await take(sdp.replace(/^a=sframe.*\r?\n/gm, ''), ...args);
      const key = /^a=sframe\r?$/m.test(sdp) ? /^a=sframe-key:p256 (\S+)\r?$/m.exec(sdp)?.[1] : undefined;
      this.#theirs = key;
      this.#wanted = key !== undefined;
      if (isAnswer) await this.#settle();
    };
  }

  async #marked(body) {
    const key = await this.#publicKey();
    return body.replace(/(a=mid:.*\r\n)/, `$1a=sframe\r\na=sframe-key:p256 ${toBase64(key)}\r\n`);
  }

  async #publicKey() {
    return new Uint8Array(await crypto.subtle.exportKey('raw', (await this.#keys).publicKey));
  }

  async #settle() {
    const isOn = this.#said && this.#theirs !== undefined;
    if (!isOn) {
      this.#worker.postMessage({ type: 'mode', isOn });
      this.#tell('encryption', { state: 'off' });
      return;
    }
    const ours = await this.#publicKey();
    const theirs = fromBase64(this.#theirs);
    const publicKey = await crypto.subtle.importKey('raw', theirs, CURVE, false, []);
    const { privateKey } = await this.#keys;
    const shared = await crypto.subtle.deriveBits({ name: 'ECDH', public: publicKey }, privateKey, 256);
    const key = await crypto.subtle.importKey('raw', shared, 'AES-GCM', false, ['encrypt', 'decrypt']);
    this.#worker.postMessage({ type: 'mode', isOn, key });
    // The short code: whoever put keys of its own in between has another one at either end.
    const both = [toBase64(ours), toBase64(theirs)].sort().join(' ');
    const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(both));
    this.#tell('encryption', {
      state: 'on',
      text: String(new DataView(hash).getUint32(0) % 1e6).padStart(6, '0'),
    });
  }
}
