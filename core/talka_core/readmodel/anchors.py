"""What the read model notes of signed commits, so that a log that was cut short is found out."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from talka_core.readmodel.rows import AnchorRow
from talka_protocols.ports import StoredCommit
from talka_protocols.seals import digest_of, find_signature


class _Head(Struct, frozen=True):
    version: int


_head = msgspec.json.Decoder(_Head).decode


def anchor_of(stored: StoredCommit) -> AnchorRow | None:
    """Return what is noted of a commit, nothing if it is not signed or cannot be read."""
    if find_signature(stored.body) is None:
        return None
    try:
        version = _head(stored.body).version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return AnchorRow(str(stored.log), stored.position, version, digest_of(stored.body))
