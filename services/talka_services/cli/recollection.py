"""Recorded executions for the commands that ask what would have been, or what will be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from talka_protocols.subjects import is_token
from talka_services.cli.command import Target

if TYPE_CHECKING:
    from talka_core.simulation import Recorded
    from talka_services.cli.records import Records


def names_execution(word: str) -> bool:
    """Tell whether a word names an execution, here or in an exported file, and no workflow's file."""
    from talka_services.exports.archive import is_archive

    file = Path(word.partition("#")[0])
    return is_archive(file) if file.is_file() else is_token(word)


async def read_recorded(target: Target, wanted: str) -> Recorded:
    """Return what an execution was; where it still runs, until now.

    Raises:
        UnknownExecutionError: there is none.
        NothingRecordedError: it never started.
    """
    from talka_services.cli.records import open_execution

    async with open_execution(target, wanted) as (records, execution_id):
        return await recall(records, execution_id)


async def recall(records: Records, execution_id: str) -> Recorded:
    """Return what an execution was, from opened records.

    Raises:
        UnknownExecutionError: there is none.
        NothingRecordedError: it never started.
    """
    from talka_services.client.what_if import recalled

    return await recalled(records.histories, execution_id)
