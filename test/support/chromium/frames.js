/* global onrtctransform */
// The arrival of each encoded frame, before the jitter buffer evens it out.
let last;
let frames = 0;
let longestGapMs = 0;

onrtctransform = ({ transformer }) => {
  const watch = new TransformStream({
    transform(frame, controller) {
      const now = performance.now();
      if (last !== undefined) longestGapMs = Math.max(longestGapMs, now - last);
      last = now;
      frames++;
      controller.enqueue(frame);
    },
  });
  transformer.readable.pipeThrough(watch).pipeTo(transformer.writable);
};

self.onmessage = ({ data, ports }) => {
  if (data === 'reset') {
    longestGapMs = 0;
    frames = 0;
    last = undefined;
  }
  ports[0]?.postMessage({ frames, longestGapMs });
};
