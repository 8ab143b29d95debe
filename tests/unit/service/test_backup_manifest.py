"""The manifest of a backup is believed only as far as it says what a backup of this namespace says."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from talka_protocols.subjects import Names
from talka_services.backups.namespace import MANIFEST, ORDER, Backup, file_of, read_backup, restore
from talka_services.backups.streams import BackupError, SavedStream

NOWHERE: Any = SimpleNamespace(names=Names("default"))
"""A connection over which nothing can be asked."""


def written(directory: Path, name: Callable[[str], object] = lambda what: what) -> Path:
    """Write a backup of empty files, in which streams have these names."""
    nothing = sha256(b"").hexdigest()
    streams = {what: SavedStream({"name": name(what)}, {}, 0, nothing) for what in ORDER}
    for what in ORDER:
        file_of(directory, what).touch()
    (directory / MANIFEST).write_bytes(msgspec.json.encode(Backup("default", 0.0, "", streams)))
    return directory


def test_streams_without_a_name_are_none(tmp_path: Path) -> None:
    """What is called nothing, or no text, cannot be made anew."""
    assert read_backup(written(tmp_path)).namespace == "default"
    with pytest.raises(BackupError, match="names no stream 'log'"):
        read_backup(written(tmp_path, lambda what: 7 if what == "log" else what))


def test_a_manifest_that_is_nested_too_deep_is_none(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b'{"namespace": "a", "streams": ' + b"[" * 5_000)
    with pytest.raises(BackupError, match="is not the manifest"):
        read_backup(tmp_path)


async def test_a_stream_of_another_namespace_is_not_made(tmp_path: Path) -> None:
    """A manifest that was changed cannot have streams made that are not this namespace's."""
    directory = written(tmp_path, lambda what: f"TALKA_other_{what}")
    with pytest.raises(BackupError, match="TALKA_other_request"):
        await restore(NOWHERE, directory)
