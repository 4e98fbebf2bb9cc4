# The forwarder as a container: the base's libraries, Python, the locked dependencies and our wheel; Python is the only
# program in it. Beside them lie a bill of materials (CycloneDX) and the licences of what others wrote.
# How to run it: docs/install/container.md. Without an engine it is built by packaging/build-image.
#
# No HEALTHCHECK: only a restart could follow from it, and Docker restarts nothing for it; Kubernetes has probes of its
# own, and the port to ask is in a configuration that the image does not know. No VOLUME: a spool on a nameless volume
# would be lost with the container; without a volume a read-only container refuses to start and says why.

# A tag moves. For builds that must repeat, name the base by its digest (docs/install/container.md); any Python from 3.11 will do.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/runtime.lock requirements/build.lock requirements/image.lock requirements/
RUN python -m venv --without-pip /opt/audit-forwarder \
 && python -m pip --python /opt/audit-forwarder/bin/python install --no-compile --no-deps --require-hashes \
      -r requirements/runtime.lock \
 && python -m venv --without-pip /tools \
 && python -m pip --python /tools/bin/python install --no-deps --require-hashes -r requirements/build.lock \
 && python -m venv --without-pip /describe \
 && python -m pip --python /describe/bin/python install --no-deps --require-hashes -r requirements/image.lock
# Compiled by hash: builders round the times of files in a layer, and what is compiled by time would then be compiled
# again at every start, for it cannot be written into a read-only container.
COPY pyproject.toml README.md LICENSE CHANGELOG.md compose.yaml ./
COPY packaging/enclose.py packaging/
COPY packaging/systemd packaging/systemd
COPY content content
COPY docs docs
COPY examples examples
COPY schema schema
COPY forwarder forwarder
COPY simulator simulator
COPY sinks sinks
RUN python -m pip --python /tools/bin/python wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m pip --python /opt/audit-forwarder/bin/python install --no-compile --no-deps /wheels/*.whl \
 && /opt/audit-forwarder/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/audit-forwarder/lib \
 && mkdir -p /state/audit-forwarder
RUN /describe/bin/cyclonedx-py environment --pyproject pyproject.toml --short-PURLs --output-reproducible --validate \
      --output-file /opt/audit-forwarder/sbom.cdx.json /opt/audit-forwarder/bin/python \
 && /describe/bin/pip-licenses --python /opt/audit-forwarder/bin/python --from=mixed --format=plain-vertical --with-urls \
      --with-license-file --no-license-path --with-notice-file --output-file /opt/audit-forwarder/THIRD-PARTY-NOTICES

# The base without pip, package manager, shell and every other program: who breaks in finds nothing to go on with.
FROM ${PYTHON_IMAGE} AS base
COPY packaging/image-root.py /tmp/
RUN python3 /tmp/image-root.py /image-root

FROM scratch
COPY --from=base /image-root /
ARG PYTHON_IMAGE
ARG REVISION=""
ARG CREATED=""
ARG BASE_DIGEST=""
LABEL org.opencontainers.image.title="audit-forwarder" \
      org.opencontainers.image.description="Carries Atlassian audit logs into a SIEM, completely and checkably." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/audit-forwarder /opt/audit-forwarder
COPY --from=build --chown=65532:65532 /state/ /var/lib/
ENV PATH="/opt/audit-forwarder/bin:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /var/lib/audit-forwarder
EXPOSE 9464
ENTRYPOINT ["/opt/audit-forwarder/bin/audit-forwarder"]
CMD ["run"]
