# The image weir-sample:latest of the demos. Build it from the top folder of the project:
#
#   docker build -f deploy/sample.Dockerfile -t weir-sample:latest .

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package weir-sample \
    && cp target/release/weir-sample /weir-sample

FROM debian:bookworm-slim
COPY --from=build /weir-sample /usr/local/bin/weir-sample
USER 65532:65532
EXPOSE 8080 9080
ENTRYPOINT ["weir-sample"]
CMD ["stand-in"]
