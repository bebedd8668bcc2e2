# A SyncML server. docs/operations.md tells how to run it.
FROM rust:1.89-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --features cli --bin syncml

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin syncml \
    && install -d -m 700 -o syncml -g syncml /var/lib/syncml
COPY --from=build /src/target/release/syncml /usr/local/bin/syncml
USER 10001
WORKDIR /var/lib/syncml
VOLUME /var/lib/syncml
EXPOSE 8080
STOPSIGNAL SIGTERM
# The monitor answers inside of the container only.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9180 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["/usr/local/bin/syncml"]
CMD ["serve", "--db", "sqlite:/var/lib/syncml/books.db", "--listen", "0.0.0.0:8080", "--monitor", "127.0.0.1:9180", "--log-format", "json"]
