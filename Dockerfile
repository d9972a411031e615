FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# Everything the lock names, checked against its hashes, as ready wheels: no compiler is needed, here or later.
COPY requirements.lock ./
RUN pip download --quiet --require-hashes --only-binary :all: --dest /wheels --requirement requirements.lock

# From here on only those wheels exist, so what orchbridge asks for is what the lock says, without the tools.
COPY pyproject.toml README.md LICENSE ./
COPY orchbridge orchbridge
RUN pip install --quiet --no-index --find-links /wheels setuptools \
 && pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/orchbridge \
 && pip --python /opt/orchbridge/bin/python install --quiet --no-index --find-links /wheels --compile orchbridge

FROM python:3.12-slim
COPY --from=build /opt/orchbridge /opt/orchbridge
RUN useradd --system --uid 10001 --user-group --no-create-home orchbridge \
 && install --directory --owner=orchbridge --group=orchbridge /var/lib/orchbridge
ENV PATH=/opt/orchbridge/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/orchbridge
EXPOSE 9640

# The port follows ORCHBRIDGE_HTTP__LISTEN; another one set only in the file needs its own --health-cmd.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, urllib.request as r; port = os.environ.get('ORCHBRIDGE_HTTP__LISTEN', ':9640').rpartition(':')[2]; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{port}/healthz', timeout=4)"]

ENTRYPOINT ["orchbridge"]
CMD ["run", "-c", "/etc/orchbridge/config.toml"]
