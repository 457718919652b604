# A whole installation in one container. The media ports must be published as they are:
#   docker run --network host -v twinline:/var/lib/twinline twinline
FROM node:20-bookworm-slim AS build
WORKDIR /opt/twinline
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npx --no-install tsc -p tsconfig.build.json && npm prune --omit=dev

FROM node:20-bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/twinline
COPY --from=build /opt/twinline/package.json ./
COPY --from=build /opt/twinline/node_modules ./node_modules
COPY --from=build /opt/twinline/dist ./dist
COPY config ./config
COPY sip-zones ./sip-zones
COPY sounds ./sounds
VOLUME /var/lib/twinline
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["up", "--data", "/var/lib/twinline"]
