"""A pod's access folder: certificates that are renewed in place are taken by contexts in use, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from oneseek_core.roles import Role
from oneseek_operator.certificates import Issued
from oneseek_runtime.access import Access, AccessError, NamedConnection
from oneseek_runtime.http_server import Server, server_config
from support.access import AUTHORITY, NAME, access_folder, trust
from support.asgi import free_port


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(access_folder(tmp_path, Role.SIDECAR))


@asynccontextmanager
async def serving(access: Access) -> AsyncIterator[int]:
    async def ok(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    port = free_port()
    app = Starlette(routes=[Route("/", ok)])
    server = Server(server_config(app, "127.0.0.1", port, tls=access.server()))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, no event
            await asyncio.sleep(0.002)
    try:
        yield port
    finally:
        server.should_exit = True
        await task


async def shown(port: int, context: ssl.SSLContext | None = None) -> int:
    """The serial number of the certificate that a new connection is shown."""
    told = context or trust()
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=told, server_hostname=NAME)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(found).serial_number


async def test_renewed_files_are_shown_from_the_next_connection_on_and_older_connections_live(access: Access) -> None:
    async with serving(access) as port, aiohttp.ClientSession(f"https://127.0.0.1:{port}") as client:
        told = {"ssl": trust(), "server_hostname": NAME}
        async with client.get("/", **told) as answer:  # type: ignore[arg-type]
            assert answer.status == 200
        first = await shown(port)
        access.refresh()
        assert await shown(port) == first
        access_folder(access.folder, Role.SIDECAR)
        access.refresh()
        assert await shown(port) != first
        async with client.get("/", **told) as answer:  # type: ignore[arg-type]
            assert answer.status == 200


async def test_half_written_files_are_passed_over_until_they_are_whole(
    access: Access, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(access) as port:
        first = await shown(port)
        (access.folder / "tls.crt").write_text("-----BEGIN CERT")
        access.refresh()
        assert await shown(port) == first
        assert "it is no certificate" in capsys.readouterr().out
        (access.folder / "tls.key").unlink()
        access.refresh()
        assert await shown(port) == first
        access_folder(access.folder, Role.SIDECAR)
        access.refresh()
        assert await shown(port) != first


async def test_an_authority_that_is_new_in_the_bundle_is_trusted_by_a_client_in_use(
    access: Access, tmp_path: Path
) -> None:
    client, second = access.client(), Issued.authority(datetime.now(UTC))
    assert access.client() is client
    theirs = Access(access_folder(tmp_path / "theirs", Role.SIDECAR))
    leaf = second.leaf(NAME, datetime.now(UTC))
    (theirs.folder / "tls.crt").write_text(leaf.certificate)
    (theirs.folder / "tls.key").write_text(leaf.key)
    async with serving(theirs) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await shown(port, client)
        (access.folder / "ca.crt").write_text(AUTHORITY.certificate + second.certificate)
        access.refresh()
        assert await shown(port, client)


async def test_another_name_than_the_address_is_proved(access: Access) -> None:
    async with serving(access) as port:

        def asked(name: str) -> int:
            connection = NamedConnection("127.0.0.1", port, context=access.client(), name=name, timeout=10)
            try:
                connection.request("GET", "/")
                return connection.getresponse().status
            finally:
                connection.close()

        assert await asyncio.to_thread(asked, NAME) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(asked, NAME.replace("demo", "other"))


@pytest.mark.parametrize("text", ["", "two words", "two\nlines", "ä"])
def test_a_token_that_is_no_word_is_never_sent_and_never_quoted(access: Access, text: str) -> None:
    (access.folder / "token").write_text(text, encoding="utf-8")
    with pytest.raises(AccessError, match=r"this pod's role (is not one word|cannot be read)") as told:
        _ = access.token
    assert not text or text not in str(told.value)


def test_a_server_without_a_certificate_says_which_file_is_missing(access: Access) -> None:
    (access.folder / "tls.key").unlink()
    with pytest.raises(AccessError, match=r"tls\.crt and tls\.key of this pod's access folder cannot be used: no such"):
        access.server()
