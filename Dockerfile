# ticket-router in a small image that does not run as root.
#
#   docker build -t ticket-router .
#   docker run --rm -v "$PWD:/work" ticket-router classify "Where is my parcel?" --labeler vote
#
# Building takes some fifteen minutes, most of it the embedded engine.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN ./scripts/setup \
 && cargo build --release --locked --bin ticket-router \
 && strip target/release/ticket-router

FROM debian:bookworm-slim
# The certificates of the authorities, for HTTPS.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home ticket-router
COPY --from=build /source/target/release/ticket-router /usr/local/bin/ticket-router
COPY --from=build /source/.runtime/lib /usr/local/share/ticket-router/lib
COPY --from=build /source/.runtime/all-MiniLM-L6-v2 /usr/local/share/ticket-router/all-MiniLM-L6-v2
ENV TICKET_ROUTER_MODEL_DIR=/usr/local/share/ticket-router
USER ticket-router
WORKDIR /work
ENTRYPOINT ["ticket-router"]
CMD ["--help"]
