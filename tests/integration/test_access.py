"""Who we say we are, and whom we believe: what is wrong with it is said, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.conftest import NatsServer
from tests.integration.permitted import PermittedServer

from talka_protocols.errors import CredentialsRefusedError, TlsFailedError
from talka_services.cli.outcome import ExitCode, exit_code_of
from talka_services.jetstream.access import Access, AccessError, new_seed
from talka_services.jetstream.connection import connect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PermittedServer]:
    """A server with TLS that knows the users of one namespace."""
    server = PermittedServer(tmp_path_factory.mktemp("access"), ("one",))
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here gets better by being tried again."""
    monkeypatch.setattr("talka_services.jetstream.connection.FIRST_CONNECT_S", 0.7)


async def test_a_key_that_the_server_does_not_know(server: PermittedServer, tmp_path: Path) -> None:
    """It is refused, and so is whoever shows none; both end with the exit code for servers."""
    stranger = tmp_path / "stranger.nk"
    stranger.write_bytes(new_seed())
    for access in (Access(nkey=stranger, ca=server.ca), Access(ca=server.ca)):
        with pytest.raises(CredentialsRefusedError, match="--nats-nkey") as refused:
            await connect(server.url, "test", access=access)
        assert exit_code_of(refused.value) is ExitCode.NO_SERVER


async def test_a_server_that_we_do_not_believe(server: PermittedServer, tmp_path: Path) -> None:
    """One of another authority is not talked to, and neither is one that does not speak TLS."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    key = server.access("one", "client").nkey
    with pytest.raises(TlsFailedError, match="--nats-ca"):
        await connect(server.url, "test", access=Access(nkey=key, ca=other))


async def test_a_server_without_tls_is_not_believed(server: PermittedServer, nats_server: NatsServer) -> None:
    """Who gives an authority does not want to be listened to."""
    with pytest.raises(TlsFailedError, match="does not speak TLS"):
        await connect(nats_server.url, "test", access=Access(ca=server.ca))


def test_files_that_hold_something_else(server: PermittedServer, tmp_path: Path) -> None:
    """Each is named, with what it should be."""
    key, missing = server.access("one", "client").nkey, tmp_path / "missing"
    assert key is not None
    for access, named in (
        (Access(nkey=server.ca), "nats-keys"),
        (Access(nkey=missing), "missing"),
        (Access(credentials=key), "--nats-nkey"),
        (Access(ca=key), "PEM"),
        (Access(certificate=server.ca), "PEM"),
    ):
        with pytest.raises(AccessError, match=named):
            access.options()
    with pytest.raises(AccessError, match="one of them"):
        Access(nkey=key, credentials=key)
    with pytest.raises(AccessError, match="Give both"):
        Access(key=key)


def test_a_certificate_of_our_own(tmp_path: Path) -> None:
    """It is shown with its key, and paths stand for themselves wherever a process runs."""
    certificate = trustme.CA().issue_cert("client")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    access = Access(certificate=tmp_path / "client.pem")
    assert set(access.options()) == {"tls"}
    assert Access(nkey=Path("here.nk")).absolute().nkey == Path.cwd() / "here.nk"
