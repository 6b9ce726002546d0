# Posthouse in a small image: built with uv from uv.lock, run as a user without rights, its state in one volume.
#   docker build -t posthouse .
#   docker run -p 8025:8025 -v posthouse:/var/lib/posthouse -e POSTHOUSE_API_KEY=… posthouse

FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/posthouse UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-cache --no-dev --all-extras --no-install-project
COPY README.md LICENSE ./
COPY posthouse posthouse
RUN uv sync --frozen --no-cache --no-dev --all-extras --no-editable

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/posthouse --create-home --shell /usr/sbin/nologin posthouse
COPY --from=build /opt/posthouse /opt/posthouse
ENV PATH=/opt/posthouse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    POSTHOUSE_HOST=0.0.0.0 \
    POSTHOUSE_PORT=8025 \
    POSTHOUSE_STATE_DIR=/var/lib/posthouse/state \
    POSTHOUSE_STORE=sqlite:////var/lib/posthouse/posthouse.db
USER 10001
WORKDIR /var/lib/posthouse
VOLUME /var/lib/posthouse
EXPOSE 8025
# A worker serves its health on the same port.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"POSTHOUSE_PORT\"]}/readyz', timeout=5)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["posthouse"]
CMD ["serve"]
