ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Everything the lock names, checked against its hashes, as ready wheels: no compiler is needed, here or later.
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip download --quiet --require-hashes --only-binary :all: --dest /wheels --requirement requirements.lock

# From here on only those wheels exist, so what orchbridge asks for is what the lock says, without the tools.
COPY pyproject.toml README.md LICENSE ./
COPY orchbridge orchbridge
COPY docs/runbooks docs/runbooks
RUN pip install --quiet --no-index --find-links /wheels setuptools \
 && pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/orchbridge \
 && pip --python /opt/orchbridge/bin/python install --quiet --no-index --find-links /wheels --compile orchbridge

FROM ${PYTHON}
LABEL org.opencontainers.image.title="orchbridge" \
      org.opencontainers.image.description="Carries every job, plan and node fact of a Puppet Enterprise orchestrator into Kafka, exactly once" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/orchbridge /opt/orchbridge
COPY deploy/healthcheck.py /opt/orchbridge/healthcheck.py
# Nothing to install with stays, and one user of a fixed number, whom files and volumes can be given to.
RUN python -m pip uninstall --quiet --yes --root-user-action ignore pip \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/orchbridge orchbridge \
 && install --directory --owner=orchbridge --group=orchbridge --mode=0750 /var/lib/orchbridge
ENV PATH=/opt/orchbridge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/orchbridge
EXPOSE 9640

# Finds the port as the bridge does: ORCHBRIDGE_HTTP__LISTEN, or /etc/orchbridge/config.toml.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "/opt/orchbridge/healthcheck.py"]

ENTRYPOINT ["orchbridge"]
CMD ["run", "-c", "/etc/orchbridge/config.toml"]
