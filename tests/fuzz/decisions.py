"""What people write that is looked into rather than carried: expressions, times, triggers, options, keys."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from tests.fuzz.mutation import VAULT

from talka_core import conditions
from talka_core.auditing.chains import Verdict
from talka_core.cloudevents import check_event
from talka_core.starter.timing import check_schedule, newest_dues, next_due
from talka_core.trigger.expressions import check_trigger, execution_of, is_met, matches, told, variables_of
from talka_protocols.cloudevents import CloudEvent
from talka_protocols.commit import decode_commit
from talka_protocols.errors import TalkaError
from talka_protocols.schedules import Schedule
from talka_protocols.seals import MalformedSignatureError, digest_of, is_sealed, read_signature
from talka_protocols.subjects import LogName
from talka_protocols.triggers import Trigger
from talka_protocols.workflow import Workflow
from talka_services.cli import pairs
from talka_services.cli.answering import read_data
from talka_services.cli.figures import since_ms
from talka_services.cli.moments import parse_instant, parse_seconds
from talka_services.cli.probing import parse_place
from talka_services.otlp.endpoints import Signal, endpoint
from talka_services.sealing.keyring import load_keyring, save_keyring

RESULT = {"n": 3, "text": "a", "list": [1, 2.5, None, "b"], "map": {"k": True}}
VALUES: dict[str, Any] = {
    "a": RESULT,
    "b": 1,
    "tasks": {"a": {"status": "succeeded", "result": RESULT, "error": ""}},
}
AT = 1_700_000_000_000
DAY_MS = 86_400_000
ZONE = ZoneInfo("Europe/Berlin")


def condition(body: bytes) -> None:
    """A condition in CEL: what it mentions, whether it compiles, and what it comes to."""
    text = body.decode("utf-8", "replace")
    try:
        conditions.parse(text, ("a", "b"))
        conditions.check(text, VALUES, ("c",))
        conditions.holds(text, VALUES)
    except TalkaError:
        pass


def schedule(body: bytes) -> None:
    """A schedule as it is stored: one that is taken has due times that go on, and no others."""
    try:
        found = msgspec.json.decode(body, type=Schedule)
    except (ValueError, RecursionError):
        return
    try:
        check_schedule(found)
    except TalkaError:
        return
    due = next_due(found, AT, AT)
    assert due == 0 or due > AT
    newest = newest_dues(found, AT, AT, AT + DAY_MS, 5)
    assert newest == sorted(newest)
    assert all(AT <= each <= AT + DAY_MS for each in newest)


class Triggered(msgspec.Struct, frozen=True):
    """A trigger, the workflow that it starts, and an event that comes."""

    trigger: Trigger
    event: CloudEvent
    workflow: Workflow | None = None


def trigger(body: bytes) -> None:
    """A trigger and an event: one that is taken starts or signals, or says why not."""
    try:
        body.decode()  # So does whoever takes events in.
        found = msgspec.json.decode(body, type=Triggered)
    except (ValueError, RecursionError):
        return
    try:
        check_trigger(found.trigger, found.workflow)
        check_event(found.event)
        values = variables_of(found.event)
        matches(found.trigger.on, found.event.type)
        if is_met(found.trigger, values) and found.workflow is None:
            execution_of(found.trigger, values)
        told(found.trigger, values)
    except TalkaError:
        pass


def sealed(body: bytes) -> None:
    """A place in a line, and what is stored there: it opens or is refused, and what opens is read."""
    head, _, rest = body.partition(b"\n")
    place = head.decode("utf-8", "replace")
    try:
        plain = VAULT.open(place, rest)
    except TalkaError:
        return
    if not is_sealed(plain):
        assert VAULT.open(place, VAULT.seal(place, plain)) == plain
    with contextlib.suppress(MalformedSignatureError):
        found = read_signature(plain)
        if found is not None:
            VAULT.verify(place, found)
        elif plain.endswith(b"]}"):
            signed = read_signature(VAULT.sign(place, plain, digest_of(plain)))
            assert signed is not None
            assert VAULT.verify(place, signed) is Verdict.TRUE
    with contextlib.suppress(TalkaError):
        decode_commit(LogName("execution", "-", "x"), plain)


def keyring(body: bytes) -> None:
    """A file of keys; one that is taken is written, and is the same again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.json"
        path.write_bytes(body)
        try:
            found = load_keyring(path)
        except TalkaError:
            return
        save_keyring(path, found)
        assert load_keyring(path) == found
        for key in found.keys:
            if key.secret:
                key.signing()


OPTIONS: tuple[Callable[[list[str]], object], ...] = (
    pairs.parse_amounts,
    pairs.parse_breakers,
    pairs.parse_quotas,
    pairs.parse_weights,
    pairs.parse_labels,
    pairs.parse_objects,
    lambda given: [pairs.parse_scaling(each) for each in given],
    lambda given: [parse_seconds(each, "--every") for each in given],
    lambda given: [parse_instant(each, "--at", ZONE) for each in given],
    lambda given: [since_ms(each, AT) for each in given],
    lambda given: [parse_place(each) for each in given],
    lambda given: [endpoint(each, Signal.TRACES) for each in given],
    lambda given: [read_data(each) for each in given if not each.startswith("@")],
)


def options(body: bytes) -> None:
    """Options of the form KEY=VALUE and the like, one a line, given to each that takes some."""
    given = body.decode("utf-8", "replace").splitlines()
    for parse in OPTIONS:
        for each in (given, *([line] for line in given)):
            with contextlib.suppress(TalkaError):
                parse(each)
