import { Inviter, Registerer, RegistererState, SessionState, UserAgent, Web } from '/sip.js';
import { EndToEnd, showFeature } from './end-to-end.js';

/** Tells the test, in order: what the session, the transport and the peer connection do, and what is heard. */
const tell = (type, detail = {}) => window.tell({ type, ...detail });

const audio = new AudioContext();
let options;
let userAgent;
let registerer;
let session;
let frames;
/** Of the call, where `options.encrypts` says that there is any: `on` from the first offer, or `later`. */
let encryption;

/** What it says instead of a microphone's sound. */
function voice() {
  const oscillator = audio.createOscillator();
  oscillator.frequency.value = options.toneHz;
  const gain = audio.createGain();
  gain.gain.value = 0.25;
  const destination = audio.createMediaStreamDestination();
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  return destination.stream;
}

function listen(track) {
  const stream = new MediaStream([track]);
  // Chromium decodes a remote track only while an element plays it.
  const element = new Audio();
  element.srcObject = stream;
  element.muted = true;
  element.play();
  const listener = new AudioWorkletNode(audio, 'listener');
  listener.port.onmessage = ({ data }) => tell('heard', data);
  audio.createMediaStreamSource(stream).connect(listener);
}

/** Everything of the peer connection that a take-over must leave alone. */
function watch(connection) {
  watchEvents(connection, 'iceconnectionstatechange', () => connection.iceConnectionState);
  watchEvents(connection, 'connectionstatechange', () => connection.connectionState);
  const addTrack = connection.addTrack.bind(connection);
  connection.addTrack = (...given) => {
    const sender = addTrack(...given);
    watchFrames(connection);
    return sender;
  };
  connection.addEventListener('track', ({ track }) => {
    watchFrames(connection);
    watchTransport(connection);
    listen(track);
  });
}

const watchEvents = (target, name, say) => target.addEventListener(name, () => tell(name, { state: say() }));

/** To be called as soon as there is a receiver: one that has been left alone for a turn shows no frame to anybody later. */
function watchFrames(connection) {
  frames ??= new Worker('/frames.js');
  for (const receiver of connection.getReceivers())
    receiver.transform ??= new RTCRtpScriptTransform(frames, { side: 'arrived' });
  for (const sender of connection.getSenders())
    sender.transform ??= new RTCRtpScriptTransform(frames, { side: 'sent' });
}

const watched = new WeakSet();

/** A callee has no transport before its answer. */
function watchTransport(connection) {
  for (const { transport } of connection.getReceivers()) {
    if (!transport || watched.has(transport)) continue;
    watched.add(transport);
    const { iceTransport } = transport;
    watchEvents(transport, 'statechange', () => `dtls ${transport.state}`);
    watchEvents(iceTransport, 'selectedcandidatepairchange', () => {
      const pair = iceTransport.getSelectedCandidatePair();
      return `${pair?.local.candidate} -> ${pair?.remote.candidate}`;
    });
  }
}

function makeDescriptionHandler(of, handlerOptions) {
  const factory = Web.defaultSessionDescriptionHandlerFactory(async () => voice());
  const handler = factory(of, handlerOptions);
  encryption = options.encrypts && new EndToEnd(options.encrypts === 'on', tell);
  encryption?.wrap(handler);
  if (encryption) frames = encryption.worker;
  watch(handler.peerConnection);
  return handler;
}

function follow(one) {
  session = one;
  one.delegate = {
    onInvite: (request) => tell('reinvite', { body: request.body }),
    onInfo: (info) => {
      tell('info', { body: info.request.body });
      info.accept();
    },
    onBye: (bye) => {
      tell('bye', { reason: bye.incomingByeRequest?.message?.getHeader('Reason') });
    },
  };
  one.stateChange.addListener((state) => {
    if (state === SessionState.Established) watchTransport(one.sessionDescriptionHandler.peerConnection);
    tell('session', { state });
  });
}

const mayReject = (what) => (error) => {
  tell('problem', { what, text: String(error) });
  throw error;
};

/** Resolves with the status of the answer to a re-INVITE. */
const reinvite = (handlerOptions) =>
  new Promise((resolve, reject) => {
    session.sessionDescriptionHandlerOptionsReInvite = handlerOptions;
    session
      .invite({
        sessionDescriptionHandlerOptions: handlerOptions,
        requestDelegate: {
          onAccept: ({ message }) => resolve({ status: message.statusCode, body: message.body }),
          onReject: ({ message }) =>
            resolve({
              status: message.statusCode,
              body: message.body,
              warning: message.getHeader('Warning'),
            }),
        },
      })
      .catch(reject);
  });

const askFrames = (what) =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data);
    frames.postMessage(what, [port2]);
  });

window.phone = {
  /** Resolves when it is registered. */
  async start(given) {
    options = given;
    await audio.audioWorklet.addModule('/listener.js');
    await audio.resume();
    userAgent = new UserAgent({
      uri: UserAgent.makeURI(`sip:${options.user}@${options.domain}`),
      authorizationUsername: options.user,
      authorizationPassword: options.password,
      transportOptions: { server: options.server, keepAliveInterval: 20 },
      sessionDescriptionHandlerFactory: makeDescriptionHandler,
      // The server is reached directly, so there is nobody to ask for candidates.
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] } },
      logBuiltinEnabled: false,
      logConnector: (level, category, _label, content) => {
        if (level === 'warn' || level === 'error') tell('log', { text: `${category}: ${content}` });
      },
      delegate: {
        onInvite: (invitation) => {
          follow(invitation);
          tell('invited', { from: invitation.remoteIdentity.uri.user, body: invitation.body });
          if (options.answer === 'auto') invitation.accept().catch(mayReject('accept'));
        },
        onDisconnect: (error) => tell('disconnected', { text: String(error) }),
      },
    });
    if (options.encrypts) showFeature(userAgent);
    await userAgent.start();
    registerer = new Registerer(userAgent, { expires: 600 });
    await new Promise((resolve, reject) => {
      registerer.stateChange.addListener((state) => {
        if (state === RegistererState.Registered) resolve();
      });
      registerer
        .register({
          requestDelegate: {
            onReject: ({ message }) => reject(new Error(`REGISTER got ${message.statusCode}`)),
          },
        })
        .catch(reject);
    });
  },

  /** Resolves when the INVITE has left. */
  async call(user) {
    const inviter = new Inviter(userAgent, UserAgent.makeURI(`sip:${user}@${options.domain}`));
    follow(inviter);
    await inviter.invite({
      requestDelegate: {
        onReject: ({ message }) =>
          tell('rejected', { status: message.statusCode, text: message.getHeader('Warning') }),
        onAccept: ({ message }) => tell('accepted', { body: message.body }),
      },
    });
  },

  accept: () => session.accept(),

  async hangUp() {
    switch (session.state) {
      case SessionState.Established:
        await session.bye();
        return;
      case SessionState.Initial:
      case SessionState.Establishing:
        await (session instanceof Inviter ? session.cancel() : session.reject());
    }
  },

  hold: () => reinvite({ hold: true }),
  resume: () => reinvite({ hold: false }),
  /** Resolves with what each NOTIFY says, once the last one has come. */
  refer: (target) =>
    new Promise((resolve, reject) => {
      const said = [];
      session
        .refer(UserAgent.makeURI(target), {
          onNotify: (notification) => {
            notification.accept();
            said.push(notification.request.body.trim());
            if (/terminated/.test(notification.request.getHeader('Subscription-State') ?? '')) resolve(said);
          },
          requestDelegate: { onReject: ({ message }) => resolve([`${message.statusCode}`]) },
        })
        .catch(reject);
    }),
  restartIce: () => reinvite({ offerOptions: { iceRestart: true } }),

  /** Asks for end-to-end encryption, or for its end. */
  encrypt(on) {
    encryption.want(on);
    return reinvite({});
  },

  /** Whether what comes is decrypted. */
  decrypts: (decrypts) => encryption.worker.postMessage({ type: 'decrypts', decrypts }),

  /** RFC 4733, by the browser's own means. */
  press: (digits) => session.sessionDescriptionHandler.sendDtmf(digits, { duration: 120, interToneGap: 80 }),

  /** Frames that arrived and that were sent, and the longest time without one, since the last reset. */
  frames: (reset) => askFrames(reset ? 'reset' : 'read'),

  /** Payloads of frames as they left and as they came, since the last reset. */
  async payloads(reset) {
    const { sent, received, failed } = await askFrames(reset ? 'keep' : 'kept');
    const asText = (all = []) => all.map((one) => btoa(String.fromCharCode(...one)));
    return { sent: asText(sent), received: asText(received), failed };
  },

  /** Its own half of what was agreed: SDP. */
  description: () => session.sessionDescriptionHandler.peerConnection.localDescription.sdp,

  async stats() {
    const connection = session.sessionDescriptionHandler.peerConnection;
    const all = [...(await connection.getStats()).values()];
    const of = (type, more = () => true) => all.find((one) => one.type === type && more(one)) ?? {};
    const transport = of('transport');
    const inbound = of('inbound-rtp');
    const codec = of('codec', ({ id }) => id === inbound.codecId);
    const local = of('local-candidate', ({ id }) => {
      const pair = of('candidate-pair', (one) => one.id === transport.selectedCandidatePairId);
      return id === pair.localCandidateId;
    });
    return {
      ice: transport.iceState,
      dtls: transport.dtlsState,
      role: transport.dtlsRole,
      cipher: transport.dtlsCipher,
      srtp: transport.srtpCipher,
      pairChanges: transport.selectedCandidatePairChanges,
      localUfrag: transport.iceLocalUsernameFragment,
      localAddress: local.address,
      codec: codec.mimeType,
      packetsReceived: inbound.packetsReceived,
      packetsLost: inbound.packetsLost,
      concealedSamples: inbound.concealedSamples,
      silentConcealedSamples: inbound.silentConcealedSamples,
    };
  },

  async stop() {
    // A registration that was left behind would be rung in the next test's call.
    if (registerer?.state === RegistererState.Registered)
      await new Promise((resolve) => {
        registerer.stateChange.addListener(resolve);
        registerer.unregister({ requestDelegate: { onReject: resolve } }).catch(resolve);
      });
    await userAgent?.stop();
  },
};
