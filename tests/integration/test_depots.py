"""Places for archives: a file is published whole, never over another one, and read back as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from talka_protocols.errors import CallerError
from talka_services.archives.depots import Depot, DepotError, Directory, TakenError, depot_of, digest_of
from talka_services.archives.objects import Objects


@pytest.fixture(params=["directory", "objects"])
def depot(request: pytest.FixtureRequest, tmp_path: Path) -> Depot:
    """Each kind of place: a directory that is yet to be made, and an object store."""
    if request.param == "directory":
        return Directory(tmp_path / "deep" / "archive")
    return Objects(MemoryStore(), "memory://bucket/prefix/")


async def test_what_is_published_is_read_back(depot: Depot, tmp_path: Path) -> None:
    """The bytes come back, under a URL that ends with the name; nothing else is left beside the file."""
    file = tmp_path / "draft"
    file.write_bytes(b"execution" * 1_000)
    await depot.put("a.1.talka.sqlite", file)
    assert digest_of(await depot.get("a.1.talka.sqlite", tmp_path)) == digest_of(file)
    assert depot.url("a.1.talka.sqlite").endswith("/a.1.talka.sqlite")
    if isinstance(depot, Directory):
        assert [path.name for path in depot.path.iterdir()] == ["a.1.talka.sqlite"]
        again = depot_of(depot.url("x y").rpartition("/")[0])
        assert isinstance(again, Directory)
        assert again.path == depot.path


async def test_nothing_is_written_over(depot: Depot, tmp_path: Path) -> None:
    """A second file of the same name is refused, and the first stays."""
    for body in (b"first", b"second"):
        (tmp_path / body.decode()).write_bytes(body)
    await depot.put("a", tmp_path / "first")
    with pytest.raises(TakenError):
        await depot.put("a", tmp_path / "second")
    assert (await depot.get("a", tmp_path)).read_bytes() == b"first"


async def test_what_is_not_there_is_said(depot: Depot, tmp_path: Path) -> None:
    """A file that was moved away is named in the error."""
    with pytest.raises(DepotError, match="gone"):
        await depot.get("gone", tmp_path)
    with pytest.raises(DepotError, match="gone"):
        await depot.mark("gone")


async def test_a_mark_tells_one_file_from_the_next(depot: Depot, tmp_path: Path) -> None:
    """It stays while the file does, and is another for another file."""
    for name in ("one", "other"):
        (tmp_path / name).write_bytes(name.encode())
        await depot.put(name, tmp_path / name)
    assert await depot.mark("one") == await depot.mark("one") != await depot.mark("other")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
async def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """No permission is the caller's to give."""
    file = tmp_path / "draft"
    file.touch()
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(DepotError):
        await Directory(tmp_path / "closed").put("a", file)


def test_a_place_that_is_none_is_refused() -> None:
    """A URL of no store says what can be given instead."""
    with pytest.raises(CallerError, match="s3://"):
        depot_of("nonsense://somewhere")
