/* global onrtctransform */
/** Encoded frames by side: as they arrive, before the jitter buffer evens them out, and as they leave. */
const seen = { arrived: nothing(), sent: nothing() };

function nothing() {
  return { frames: 0, longestGapMs: 0 };
}

onrtctransform = ({ transformer }) => {
  const side = transformer.options.side;
  const watch = new TransformStream({
    transform(frame, controller) {
      const now = performance.now();
      const one = seen[side];
      if (one.last !== undefined) one.longestGapMs = Math.max(one.longestGapMs, now - one.last);
      one.last = now;
      one.frames++;
      controller.enqueue(frame);
    },
  });
  transformer.readable.pipeThrough(watch).pipeTo(transformer.writable);
};

self.onmessage = ({ data, ports }) => {
  if (data === 'reset') for (const side of Object.keys(seen)) seen[side] = nothing();
  ports[0]?.postMessage(seen);
};
