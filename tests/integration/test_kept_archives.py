"""Archives that stay open: few, each opened once, closed when nobody needs them, never a stale one."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from talka_services.archives import kept
from talka_services.archives.depots import DepotError, digest_of
from talka_services.archives.kept import KeptArchives
from talka_services.archives.reading import opened
from talka_services.exports import Archive, Manifest
from talka_services.exports.archive import manifest_event, write_archive
from talka_services.sealing.vault import Vault


class Files:
    """Exported files in a directory, and how often each was opened."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.openings: list[str] = []

        def counted(place: str, sha256: str) -> object:
            self.openings.append(place.rpartition("/")[2])
            return opened(place, sha256)

        monkeypatch.setattr(kept, "opened", counted)

    def write(self, name: str, execution_id: str = "") -> tuple[str, str]:
        """Write a file, and return where it lies and its digest."""
        manifest = Manifest(execution_id or name, "default", 1, "default", 0.0, "1")
        file = self.directory / name
        write_archive(file, [manifest_event(manifest, Vault())])
        return file.as_uri(), digest_of(file)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A directory of exported files."""
    return Files(tmp_path, monkeypatch)


def handles(file: Path) -> int:
    """Return how many handles this process has on a file."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(link) == str(file)
        except FileNotFoundError:
            continue
    return found


async def test_those_who_ask_at_once_and_later_share_one(files: Files) -> None:
    """One is opened, and checked, once."""
    one, archives = files.write("one"), KeptArchives()

    async def ask() -> Archive:
        async with archives.opened(*one) as archive:
            assert archive.manifest.execution_id == "one"
            await asyncio.sleep(0)
            return archive

    found = await asyncio.gather(*(ask() for _ in range(5)))
    assert {id(each) for each in (*found, await ask())} == {id(found[0])}
    assert files.openings == ["one"]
    assert handles(files.directory / "one") > 0
    await archives.close()
    assert len(archives) == 0
    assert handles(files.directory / "one") == 0


async def test_the_one_that_was_asked_for_longest_ago_is_closed(files: Files) -> None:
    """No more stay open than there may; one that is in use is not closed for that."""
    archives = KeptArchives(2)
    known = {name: files.write(name) for name in "abcd"}
    for name in "ababc":
        async with archives.opened(*known[name]):
            pass
    assert files.openings == ["a", "b", "c"]
    assert len(archives) == 2
    async with archives.opened(*known["b"]) as held, AsyncExitStack() as stack:
        for name in "cda":
            await stack.enter_async_context(archives.opened(*known[name]))
        assert len(archives) == 4
        await archives.close()
        assert len(archives) == 4
        assert await held.histories.commits(held.histories.name("b")) == []
    assert len(archives) == 2
    await archives.close()
    assert [handles(files.directory / name) for name in "abcd"] == [0] * 4


async def test_what_was_moved_or_changed_is_not_shown(files: Files) -> None:
    """What is open is no reason to show what is not there any more; and a failure is not kept."""
    place, digest = files.write("one")
    archives, file = KeptArchives(), files.directory / "one"
    async with archives.opened(place, digest):
        pass
    away = file.rename(files.directory / "away")
    with pytest.raises(DepotError, match="no archive"):
        async with archives.opened(place, digest):
            pass
    files.write("one", "another")
    with pytest.raises(DepotError, match="digest"):
        async with archives.opened(place, digest):
            pass
    away.replace(file)
    async with archives.opened(place, digest) as archive:
        assert archive.manifest.execution_id == "one"
    await archives.close()
    assert len(archives) == 0
