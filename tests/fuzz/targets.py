"""Everything that reads bytes from outside, as functions of bytes that raise only what is a defect.

What a reader refuses, it refuses with an error of the tree, or with what its caller is known to catch.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from tests.fuzz import actors, decisions, files, mutation, tokens, wire
from tests.fuzz.mutation import Shape

from talka_core.cloudevents import check_event, decode_batch, decode_event, write_event
from talka_core.history import FOLDS, apply, unpacked
from talka_protocols.commit import decode_commit, encode_commit
from talka_protocols.errors import TalkaError
from talka_protocols.messages import decode_envelope, encode_envelope
from talka_protocols.subjects import LogName
from talka_services.exports import Archive
from talka_services.formats import parse_inputs, read_text, workflow_of
from talka_services.gateway.access import parse_access
from talka_services.gateway.paging import Paging, Place, cursor_at, paged, place_in

SUPPRESSED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
"""What is drawn for fuzzing may be large, slow or of little use."""
CORPUS = Path(__file__).parent / "corpus"
Target = Callable[[bytes], None]


def commit(body: bytes) -> None:
    """A stored commit: the kind of log, a line's end, and the commit; what is read is folded, too."""
    kind, _, rest = body.partition(b"\n")
    name = LogName(kind.decode("ascii", "replace"), "-", "x")
    try:
        found = decode_commit(name, rest)
        assert decode_commit(name, encode_commit(found)) == found
        if name.kind in FOLDS:
            fold = FOLDS[name.kind]
            apply(fold, fold.initial("x"), [found])
    except TalkaError:
        pass


def envelope(body: bytes) -> None:
    """What an actor is sent; what it cannot read it sets aside."""
    try:
        found = decode_envelope(body)
    except (ValueError, RecursionError):
        return
    assert decode_envelope(encode_envelope(found)) == found


def snapshot(body: bytes) -> None:
    """The state of an execution in a snapshot; one that cannot be read is as if it were not there."""
    try:
        fold = FOLDS["execution"]
        fold.restore(unpacked(fold, body))
    except (TalkaError, ValueError, TypeError, LookupError, RecursionError):
        pass


def workflow(body: bytes) -> None:
    """A workflow file, in YAML or JSON, or an instance of WfFormat."""
    with contextlib.suppress(TalkaError):
        workflow_of(read_text(body))


def inputs(body: bytes) -> None:
    """Inputs of a workflow as the command line and a query have them, one a line."""
    with contextlib.suppress(TalkaError):
        parse_inputs(body.decode("utf-8", "replace").splitlines())


def cloudevent(body: bytes) -> None:
    """An event as it is published: headers, an empty line, and the body; one that is taken can be written."""
    head, _, rest = body.partition(b"\n\n")
    lines = (line.partition(": ") for line in head.decode("latin-1").splitlines())
    headers = {name.lower(): value for name, _, value in lines}
    try:
        event = decode_event(rest, headers)
        check_event(event)
        decode_event(write_event(event), {"content-type": "application/cloudevents+json"})
        decode_batch(rest)
    except TalkaError:
        pass


def archive(body: bytes) -> None:
    """The file of an exported execution."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "execution.talka.sqlite"
        path.write_bytes(body)
        try:
            with Archive(path) as found:
                assert found.manifest.execution_id is not None
        except TalkaError:
            pass


def access(body: bytes) -> None:
    """The file that says who may ask a gateway."""
    with contextlib.suppress(TalkaError):
        parse_access(body, "access.yaml")


LISTS: tuple[tuple[object, list[Any]], ...] = (
    (int, [-3, 0, 7]),
    (str, ["", "a", "golden"]),
    (tuple[float, str], [(-1.5, "a"), (0.0, ""), (1e9, "b")]),
    (tuple[str, str], [("", "a"), ("a", "a")]),
    (tuple[float, str, int], [(1.5, "a", 3), (2.0, "", 0)]),
    (Place, [(1.5, "a")]),
)
"""Lists of places in order, with the types that their cursors have."""


def cursor(body: bytes) -> None:
    """Where a page of a list begins: it holds what is behind the cursor, which can be written again."""
    text = body.decode("utf-8", "replace")
    for kind, places in LISTS:
        try:
            found = place_in(text, kind)
            assert place_in(cursor_at(found), kind) == found
            if kind is not Place:
                page, _ = paged(places, lambda place: place, Paging(cursor=text), kind)
                assert not text or page == [place for place in places if place > found]
        except TalkaError:
            pass


TARGETS: dict[str, Target] = {
    "letters": actors.tell,
    **{
        each.__name__: each
        for each in (access, archive, cloudevent, commit, cursor, envelope, inputs, snapshot, workflow)
    },
    **{
        each.__name__: each
        for each in (
            decisions.condition,
            decisions.keyring,
            decisions.options,
            decisions.schedule,
            decisions.sealed,
            decisions.trigger,
            files.backup,
            files.instance,
            files.secret,
            files.trace,
            tokens.bearer,
            tokens.issuer,
            wire.description,
            wire.frame,
            wire.heartbeat,
            wire.printed,
        )
    },
}
SHAPES: dict[str, Shape] = {
    "access": mutation.document,
    "backup": mutation.plain,
    "bearer": mutation.plain,
    "cloudevent": mutation.published,
    "commit": mutation.headed,
    "cursor": mutation.encoded,
    "description": mutation.plain,
    "envelope": mutation.plain,
    "frame": mutation.framed,
    "heartbeat": mutation.plain,
    "inputs": mutation.lines,
    "instance": mutation.numbers,
    "issuer": mutation.headed,
    "keyring": mutation.plain,
    "letters": mutation.headed,
    "options": mutation.lines,
    "printed": mutation.plain,
    "schedule": mutation.plain,
    "sealed": mutation.sealed,
    "snapshot": mutation.plain,
    "trace": mutation.plain,
    "trigger": mutation.plain,
    "workflow": mutation.document,
}
"""How the input of a target is taken apart; that of the others is only bytes."""


def corpus(name: str) -> Iterator[bytes]:
    """Yield what is kept for a target: where to begin, and what once broke it."""
    for path in sorted((CORPUS / name).iterdir()):
        yield path.read_bytes()
