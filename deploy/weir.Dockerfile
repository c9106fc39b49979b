# The image weir: control plane, and first container of every proxied pod. Build it from the top folder of the project:
#
#   docker build -f deploy/weir.Dockerfile -t weir:0.1.0 .
#
# The sidecar itself is the official image envoyproxy/envoy:v1.40.0.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates make npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    make wasm \
    && cargo build --release --locked --package weir \
    && mkdir /modules \
    && cp target/release/weir /weir \
    && cp target/modules/weir-canary.wasm target/modules/weir-locality.wasm /modules/

FROM debian:bookworm-slim
# Registries and servers of modules are known by these.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /weir /usr/local/bin/weir
COPY --from=build /modules /usr/local/modules
USER 65532:65532
ENTRYPOINT ["weir"]
