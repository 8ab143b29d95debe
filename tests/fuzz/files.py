"""Files of people and of other programs: backups, scheduling instances, keys, and measured traces."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from talka_protocols.errors import TalkaError
from talka_services.backups.namespace import MANIFEST, ORDER, file_of, read_backup
from talka_services.formats import machines, read_text, workflow_of
from talka_services.formats.instances import instances_in, is_instance, read_instance
from talka_services.formats.wfmeasured import measured
from talka_services.jetstream.access import Access, AccessError, public_key

SETS_MAX = 3
SUFFIXES = (".jsp", ".rcmp", ".rcp", ".sm", ".stg", ".txt", ".wt")


@contextmanager
def _file(name: str, body: bytes) -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(body)
        yield path


def backup(body: bytes) -> None:
    """The manifest of a backup, beside empty files: one that is taken names each stream."""
    with _file(MANIFEST, body) as path:
        for what in ORDER:
            file_of(path.parent, what).touch()
        try:
            found = read_backup(path.parent)
        except TalkaError:
            return
        assert all(isinstance(found.streams[what].config["name"], str) for what in ORDER)
        assert found.bytes is not None


def instance(body: bytes) -> None:
    """The name of a file in a line, and a published scheduling instance: all its sets are read or refused."""
    head, _, rest = body.partition(b"\n")
    suffix = head.decode("ascii", "replace").rpartition(".")[2]
    if f".{suffix}" not in SUFFIXES:
        return
    with (
        _file(f"wt2.{suffix}" if head.startswith(b"wt") else f"a.{suffix}", rest) as path,
        contextlib.suppress(TalkaError),
    ):
        if is_instance(str(path)):
            for each in instances_in(str(path))[:SETS_MAX]:
                found = read_instance(each)
                assert found.workflow.tasks


def secret(body: bytes) -> None:
    """A file with a key or credentials for the NATS server."""
    with _file("key", body) as path:
        with contextlib.suppress(AccessError):
            assert public_key(path).startswith("U")
        with contextlib.suppress(AccessError):
            Access(credentials=path).options()


def trace(body: bytes) -> None:
    """An instance of WfFormat with what was measured of its tasks and machines."""
    try:
        source = read_text(body)
        if not source.is_wfformat:
            return
        workflow_of(source)
        measured(source.value)
        machines(source.value)
    except TalkaError:
        pass
