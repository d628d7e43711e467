FROM python:3.13-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/var/cache/pip
# /venv goes into the image and is filled from outside, so it holds neither pip nor the build backend.
RUN python -m venv /build && python -m venv --without-pip /venv
COPY requirements.lock requirements-build.lock ./
RUN --mount=type=cache,target=/var/cache/pip \
    /build/bin/pip install --quiet --require-hashes --requirement requirements-build.lock \
    && /build/bin/pip --python /venv/bin/python install --quiet --require-hashes --requirement requirements.lock
COPY . .
RUN /build/bin/pip --quiet wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /build/bin/pip --python /venv/bin/python install --quiet --no-deps --no-index /wheel/*.whl

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home chat
COPY --from=build /venv /venv
# The file system may be read-only; logs go out line by line.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER chat
EXPOSE 8000
# http.client, unlike urllib, asks no proxy.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["python", "-c", "\
from http.client import HTTPConnection; \
connection = HTTPConnection('127.0.0.1', 8000, timeout=2); \
connection.request('GET', '/healthz'); \
raise SystemExit(connection.getresponse().status != 200)"]
CMD ["chat", "serve", "--host", "0.0.0.0", "--port", "8000"]
