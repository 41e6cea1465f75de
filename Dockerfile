# syntax=docker/dockerfile:1
ARG NODE_VERSION=24

# The bundle is the same on every platform, so it is made once, on the machine's own. It has to be the one in dist/, which
# workflows run: the image holds exactly that, and what is in dist/ comes from these sources.
FROM --platform=$BUILDPLATFORM node:${NODE_VERSION}-trixie-slim AS bundle
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
COPY dist dist
RUN npm run --silent build -- --check

# The xz addon of the image's platform: a release has those of all, else it is built here. Those of others stay out.
FROM node:${NODE_VERSION}-trixie AS addon
WORKDIR /src
COPY --from=bundle /src ./
RUN <<EOF
set -eu
platform="linux-$(node -p process.arch)"
test -e "dist/prebuilds/$platform/node.napi.node" || node scripts/build-xz-addon.mjs
mkdir /app
cp -R dist /app/dist
find /app/dist/prebuilds -mindepth 1 -maxdepth 1 ! -name "$platform" -exec rm -r {} +
EOF

# Helm, for imports, compared with the SHA-256 that is published with it.
FROM --platform=$BUILDPLATFORM node:${NODE_VERSION}-trixie-slim AS helm
ARG HELM_VERSION=v4.3.1
ARG TARGETARCH
WORKDIR /helm
ADD https://get.helm.sh/helm-${HELM_VERSION}-linux-${TARGETARCH}.tar.gz ./
ADD https://get.helm.sh/helm-${HELM_VERSION}-linux-${TARGETARCH}.tar.gz.sha256sum ./
RUN sha256sum --check --strict "helm-${HELM_VERSION}-linux-${TARGETARCH}.tar.gz.sha256sum" \
  && tar -xzf "helm-${HELM_VERSION}-linux-${TARGETARCH}.tar.gz" --strip-components 1

FROM gcr.io/distroless/nodejs24-debian13:nonroot
ARG VERSION=unreleased
LABEL org.opencontainers.image.title=Transship \
  org.opencontainers.image.description="Moves Helm releases, resources and KubeVirt virtual machines from one Kubernetes cluster to another." \
  org.opencontainers.image.licenses=Apache-2.0 \
  org.opencontainers.image.source=https://github.com/transship/transship \
  org.opencontainers.image.version=${VERSION}
WORKDIR /app
COPY --from=helm /helm/helm /usr/local/bin/helm
COPY LICENSE ./
COPY --from=addon /app/dist dist
# By number: the kubelet can't tell from a name that it is not root.
USER 65532:65532
# Probes and metrics of mode watch, when asked to listen there.
EXPOSE 8080
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/index.js"]
CMD ["--help"]
