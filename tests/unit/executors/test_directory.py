"""Goal: the files that a program changed are found, and a directory that is too large says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from talka_services.executors import directory
from talka_services.executors.directory import Directory


def test_changes_are_found(tmp_path: Path) -> None:
    """New files and changed ones are named from the root; what is as it was, removed or a link is not."""
    for name in ("same", "gone", "sub/changed"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = Directory(str(tmp_path / "sub"), str(tmp_path))
    whole = Directory(str(tmp_path), str(tmp_path))
    (tmp_path / "gone").unlink()
    (tmp_path / "sub" / "changed").write_text("other content")
    (tmp_path / "sub" / "new").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    assert before.changed() == ["sub/changed", "sub/new"]
    assert whole.changed() == ["sub/changed", "sub/new"]


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing is reported, rather than a part of it."""
    monkeypatch.setattr(directory, "FILES_MAX", 2)
    before = Directory(str(tmp_path), str(tmp_path))
    for number in range(3):
        (tmp_path / str(number)).write_text("")
    assert before.changed() == []
