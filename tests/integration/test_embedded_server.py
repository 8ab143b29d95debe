"""The embedded server: shared by its users, gone with the last, up again when killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from talka_protocols.errors import DataDirectoryError
from talka_services.embedded import EmbeddedServer
from talka_services.embedded.directory import DataDirectory
from talka_services.jetstream.connection import connect
from talka_services.jetstream.topology import ensure_stream

USER = """\
import asyncio, sys
from talka_services.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(sys.argv[1])
    print(await server.start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def gone(directory: DataDirectory) -> None:
    """Return when the directory has no guard any more."""
    async with asyncio.timeout(20):
        while directory.is_guarded():  # noqa: ASYNC110  (another process ends; nothing here can signal it)
            await asyncio.sleep(0.01)


async def usable(url: str) -> None:
    """Return when the server answers and its JetStream too."""
    connection = await connect(url, "test")
    await connection.js.account_info()
    await connection.close()


async def test_users_share_one_server(tmp_path: Path) -> None:
    """A second user joins the first one's server, which stays until the last has left."""
    first, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    url = await first.start()
    assert await second.start() == url
    await first.close()
    await usable(url)
    assert second.directory.is_guarded()
    await second.close()
    await gone(second.directory)
    assert second.directory.server() is None


async def test_users_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    """Of many users that start at the same time one starts the server and the others join it."""
    servers = [EmbeddedServer(tmp_path) for _ in range(5)]
    urls = await asyncio.gather(*(server.start() for server in servers))
    assert len(set(urls)) == 1
    await asyncio.gather(*(server.close() for server in servers))
    await gone(servers[0].directory)


async def test_killed_user_does_not_keep_the_server(tmp_path: Path) -> None:
    """A user that is killed without a chance to clean up counts as gone."""
    command = [sys.executable, "-c", USER, str(tmp_path)]
    user = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220  (starting it is quick)
    assert user.stdout is not None
    url = (await asyncio.to_thread(user.stdout.readline)).decode().strip()
    await usable(url)
    directory = DataDirectory(tmp_path)
    assert directory.is_guarded()
    user.kill()
    await asyncio.to_thread(user.wait)
    user.stdout.close()
    await gone(directory)


async def test_store_outlives_the_server(tmp_path: Path) -> None:
    """What one session stored, the next one finds."""
    async with EmbeddedServer(tmp_path) as server:
        connection = await connect(server.url, "test")
        await ensure_stream(connection, {"name": "kept", "subjects": ["kept"], "storage": "file"})
        await connection.js.publish("kept", b"value")
        await connection.close()
    async with EmbeddedServer(tmp_path) as server:
        connection = await connect(server.url, "test")
        assert (await connection.js.get_msg("kept", seq=1)).data == b"value"
        await connection.close()


@pytest.mark.parametrize("victim", ["server", "guard"])
async def test_killed_process_is_started_again(tmp_path: Path, victim: str) -> None:
    """Whichever of the two is killed, the server comes back at the same address."""
    async with EmbeddedServer(tmp_path) as server:
        facts = server.facts
        connection = await connect(server.url, "test")
        os.kill(facts.pid if victim == "server" else facts.guard, signal.SIGKILL)
        async with asyncio.timeout(30):
            while (now := server.directory.server()) is None or now.pid == facts.pid:  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.01)
            await server.ensure()
            await connection.is_up.wait()
        assert server.url == facts.url
        await usable(server.url)
        await connection.close()
    await gone(server.directory)


@pytest.mark.parametrize(("durability", "interval"), [("power", "always"), ("process", "2m")])
async def test_durability_is_configured(tmp_path: Path, durability: str, interval: str) -> None:
    """By default every acknowledged write is synced first; `process` trades that for speed."""
    server = (
        EmbeddedServer(tmp_path, durability="process")
        if durability == "process"
        else EmbeddedServer(tmp_path)
    )
    async with server:
        assert f"sync_interval: {interval}" in (tmp_path / "nats.conf").read_text()
        assert server.facts.durability == durability


async def test_newer_format_is_refused(tmp_path: Path) -> None:
    """A directory that a newer version wrote is left alone."""
    (tmp_path / "format").write_text("99\n")
    with pytest.raises(DataDirectoryError, match="99"):
        await EmbeddedServer(tmp_path).start()
    assert os.listdir(tmp_path) == ["format"]


async def test_file_is_no_data_directory(tmp_path: Path) -> None:
    """A file in the place of the directory is refused."""
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(DataDirectoryError, match="not a directory"):
        await EmbeddedServer(place).start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_read_only_directory_is_refused(tmp_path: Path) -> None:
    """A directory that cannot be written is refused."""
    os.chmod(tmp_path, 0o500)
    with pytest.raises(DataDirectoryError, match="cannot be written"):
        await EmbeddedServer(tmp_path).start()
    os.chmod(tmp_path, 0o700)


async def test_silent_holder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory held by a process that does not answer is an error that says so."""
    monkeypatch.setattr("talka_services.embedded.server.READY_S", 0.5)
    monkeypatch.setattr("talka_services.embedded.server.ANSWER_S", 0.2)
    async with EmbeddedServer(tmp_path) as server:
        os.kill(server.facts.pid, signal.SIGSTOP)
        try:
            # A program of many threads stops some time after the signal has been sent.
            while psutil.Process(server.facts.pid).status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            with pytest.raises(DataDirectoryError, match="does not answer"):
                await EmbeddedServer(tmp_path).start()
        finally:
            os.kill(server.facts.pid, signal.SIGCONT)
