# The forwarder as a container: Python, the locked dependencies, our wheel, and nothing else on top of the base.
# How to run it: docs/container.md. Without an engine it is built by packaging/build-image.
#
# No HEALTHCHECK: only a restart could follow from it, and Docker restarts nothing for it; Kubernetes has probes of its
# own, and the port to ask is in a configuration that the image does not know. No VOLUME: a spool on a nameless volume
# would be lost with the container; without a volume a read-only container refuses to start and says why.

# Name a digest here for builds that must repeat; any Python from 3.11 will do.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/runtime.lock requirements/build.lock requirements/
RUN python -m venv --without-pip /opt/audit-forwarder \
 && python -m pip --python /opt/audit-forwarder/bin/python install --no-compile --no-deps --require-hashes \
      -r requirements/runtime.lock \
 && python -m venv --without-pip /tools \
 && python -m pip --python /tools/bin/python install --no-deps --require-hashes -r requirements/build.lock
# Compiled by hash: builders round the times of files in a layer, and what is compiled by time would then be compiled
# again at every start, for it cannot be written into a read-only container.
COPY pyproject.toml README.md LICENSE ./
COPY forwarder forwarder
COPY sinks sinks
RUN python -m pip --python /tools/bin/python wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m pip --python /opt/audit-forwarder/bin/python install --no-compile --no-deps /wheels/*.whl \
 && /opt/audit-forwarder/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/audit-forwarder/lib \
 && mkdir -p /state/audit-forwarder

FROM ${PYTHON_IMAGE}
ARG REVISION=""
LABEL org.opencontainers.image.title="audit-forwarder" \
      org.opencontainers.image.description="Carries Atlassian audit logs into a SIEM, completely and checkably." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/audit-forwarder /opt/audit-forwarder
COPY --from=build --chown=65532:65532 /state/ /var/lib/
ENV PATH="/opt/audit-forwarder/bin:${PATH}" PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /var/lib/audit-forwarder
EXPOSE 9464
ENTRYPOINT ["/opt/audit-forwarder/bin/audit-forwarder"]
CMD ["run"]
