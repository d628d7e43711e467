"""Redis behind TLS."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chat.broker import from_settings
from chat.settings import Settings
from tests.broker.conftest import running
from tests.servers import RedisServer, free_port


@pytest.fixture
async def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, signed by itself; its key lies beside it."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=30)
    return tmp_path / "certificate.pem"


@pytest.fixture
async def tls_port(certificate: Path) -> AsyncIterator[int]:
    """Where a Redis listens that speaks TLS."""
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_name("key.pem")))
    async with RedisServer("--tls-port", str(port), "--tls-auth-clients", "no", *files):
        yield port


async def reaches(url: str) -> bool:
    async with running(from_settings(Settings.load(broker_url=url, broker_timeout=2))) as broker:
        return broker.available


async def test_a_certificate_that_is_trusted_is_accepted(certificate: Path, tls_port: int) -> None:
    """Named in the URL, as redis-py reads it."""
    assert await reaches(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate}")


async def test_a_certificate_that_is_not_trusted_is_refused(tls_port: int) -> None:
    """Unless the URL says not to look."""
    assert not await reaches(f"rediss://127.0.0.1:{tls_port}/0")
    assert await reaches(f"rediss://127.0.0.1:{tls_port}/0?ssl_cert_reqs=none")


async def test_a_certificate_for_another_host_is_refused(certificate: Path, tls_port: int) -> None:
    """The name is checked as well, unless the URL says not to."""
    assert not await reaches(f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificate}")
    assert await reaches(f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificate}&ssl_check_hostname=false")
