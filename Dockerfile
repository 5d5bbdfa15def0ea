FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
# The optional packages only bring Node 24 to hosts without it; this image has its own.
RUN npm run build && npm run -s sbom > sbom.json && npm prune --omit=dev --omit=optional --no-audit --no-fund

FROM node:24-slim
LABEL org.opencontainers.image.title="mooring" \
      org.opencontainers.image.description="A gateway between Socket.IO frontends and AI agents whose sessions outlive their connections" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    DATA_DIR=/data
WORKDIR /app
# A named volume takes over the owner of the folder that it covers.
RUN mkdir /data && chown node:node /data
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/package.json /app/LICENSE /app/sbom.json ./
COPY agents ./agents
COPY --from=build /app/web/dist ./web/dist
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/health/live').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is pid 1 and handles SIGTERM itself: no shell and no npm in between to swallow it.
CMD ["node", "dist/main.js"]
