"""Goal: what waits on file or is on its way while the platform is upgraded is understood by what comes after.

``messages.jsonl`` holds envelopes as they were written once; lines are added, and none is changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import msgspec
import pytest

from talka_protocols.messages import decode_envelope

ENVELOPES = Path(__file__).with_name("messages.jsonl").read_text().splitlines()


def lacks(said: object, understood: object) -> bool:
    """Tell whether something of what was said is not in what was understood; that may have more."""
    if isinstance(said, dict):
        fields, others = cast("dict[str, object]", said), cast("dict[str, object]", understood or {})
        return any(lacks(value, others.get(key)) for key, value in fields.items())
    if isinstance(said, list):
        items, found = cast("list[object]", said), cast("list[object]", understood or [])
        return len(items) > len(found) or any(map(lacks, items, found))
    return said is not None and said != understood


@pytest.mark.parametrize("body", ENVELOPES)
def test_a_message_of_an_earlier_version_is_understood(body: str) -> None:
    """Under its name, with everything that it said."""
    understood = json.loads(msgspec.json.encode(decode_envelope(body.encode())))
    assert not lacks(json.loads(body), understood)
    assert lacks(json.loads(body.replace('"type":"', '"type":"Other')), understood)
