/* global onrtctransform */
// Encrypts what is sent and decrypts what comes, frame by frame, once it has a key: AES-GCM, the nonce before the frame.
const NONCE_OCTETS = 12;
const MOST_KEPT = 400;

let key;
let isOn = false;
let decrypts = true;
let last;
let longestGapMs = 0;
let frames = 0;
let failed = 0;
/** Payloads as they leave and as they come, from `keep` on. */
const kept = { sent: [], received: [] };

const keep = (list, data) => {
  if (list.length < MOST_KEPT) list.push(new Uint8Array(data.slice(0)));
};

async function encrypt(data) {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_OCTETS));
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce }, key, data));
  const frame = new Uint8Array(NONCE_OCTETS + sealed.length);
  frame.set(nonce);
  frame.set(sealed, NONCE_OCTETS);
  return frame.buffer;
}

const decrypt = (data) =>
  crypto.subtle.decrypt({ name: 'AES-GCM', iv: data.slice(0, NONCE_OCTETS) }, key, data.slice(NONCE_OCTETS));

async function send(frame, controller) {
  if (isOn) frame.data = await encrypt(frame.data);
  keep(kept.sent, frame.data);
  controller.enqueue(frame);
}

async function receive(frame, controller) {
  const now = performance.now();
  if (last !== undefined) longestGapMs = Math.max(longestGapMs, now - last);
  last = now;
  frames++;
  keep(kept.received, frame.data);
  if (isOn && decrypts) {
    try {
      frame.data = await decrypt(frame.data);
    } catch {
      failed++;
      return;
    }
  }
  controller.enqueue(frame);
}

onrtctransform = ({ transformer }) => {
  const transform = transformer.options.sends ? send : receive;
  transformer.readable.pipeThrough(new TransformStream({ transform })).pipeTo(transformer.writable);
};

self.onmessage = ({ data, ports }) => {
  if (data.type === 'mode') {
    key = data.key;
    isOn = data.isOn;
  }
  if (data.type === 'decrypts') decrypts = data.decrypts;
  if (data === 'reset') {
    longestGapMs = 0;
    frames = 0;
    last = undefined;
  }
  if (data === 'keep') {
    kept.sent = [];
    kept.received = [];
    failed = 0;
  }
  ports[0]?.postMessage(data === 'kept' ? { ...kept, failed } : { frames, longestGapMs });
};
