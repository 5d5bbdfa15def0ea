FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
# The optional packages only bring Node 24 to hosts without it; this image has its own.
RUN npm run build && npm run -s sbom > sbom.json && npm prune --omit=dev --omit=optional --no-audit --no-fund
# What nothing reads at run time: types, sources, source maps, manuals. Licences stay.
RUN rm -rf node_modules/@types node_modules/.package-lock.json \
 && find node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \
      -o -iname 'readme*.md' -o -iname 'changelog*' -o -iname 'history.md' \) -delete \
 && find dist -type f \( -name '*.d.ts' -o -name '*.map' \) -delete

FROM node:24-slim AS init
RUN apt-get update && apt-get install -y --no-install-recommends tini

FROM node:24-slim
ARG REVISION=""
LABEL org.opencontainers.image.title="mooring" \
      org.opencontainers.image.description="A gateway between Socket.IO frontends and AI agents whose sessions outlive their connections" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/node:24-slim"
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    DATA_DIR=/data
WORKDIR /app
# A named volume takes over the owner of the folder that it covers.
RUN mkdir /data && chown 1000:1000 /data
# Pid 1 inherits whatever a process started by `exec` leaves behind, and node reaps none of it.
COPY --from=init /usr/bin/tini /usr/bin/tini
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/package.json /app/LICENSE /app/sbom.json ./
COPY --from=build /app/dist ./dist
COPY --from=build /app/web/dist ./web/dist
COPY agents ./agents
# By number, so that an orchestrator can tell that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# No shell and no npm in between to swallow SIGTERM; tini hands it on, and node's exit code back.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["node", "dist/main.js"]
