# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
"""Changes what an input says rather than its bytes, so that it comes further than to "this is no JSON".

Each target has a shape, which takes its input apart into a tree of plain values and puts it together again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

import yaml
from msgspec.structs import replace

from talka_protocols.errors import TalkaError
from talka_services.executors.frames import FrameReader, frame
from talka_services.sealing import Key, Keyring, Vault

RARE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    0.5,
    2**31,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**64,
    1e308,
    5e-324,
    "",
    "a",
    "golden",
    "w1",
    "..",
    "*",
    ">",
    "\x00",
    "\u00e9\U0001f600",
    "${a.b}",
    "tasks['a'].result",
    "P" * 300,
    [],
    {},
    [[]],
    {"": None},
)
"""Values at the edges of what fields may hold."""
_SECRET = Key("k-fuzz", 0.0, "", "07" * 32)
KEY = replace(_SECRET, public=_SECRET.signing().public_key().public_bytes_raw().hex())
VAULT = Vault(Keyring(KEY.id, (KEY,)))
"""The keys with which what is sealed is opened, changed and sealed again."""

DIGITS_MAX = 9

Tree = Any
Place = tuple[Any, Any]
"""A list or a dict, and the index or key of one of its parts."""
Shape = Callable[[bytes, Callable[[Tree], Tree]], bytes]
"""Returns the bytes with their tree changed; raises ValueError if they hold none."""


def mutated(tree: Tree, dice: Random) -> Tree:
    """Return a tree with a few of its parts replaced, left out, repeated, exchanged or renamed."""
    whole = [tree]
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        places = _places(whole)
        _change(*dice.choice(places), places, dice)
        if not whole:
            whole.append(None)
    return whole[0]


def _places(whole: list[Tree]) -> list[Place]:
    found: list[Place] = []
    open_: list[Any] = [whole]
    while open_:
        each = open_.pop()
        keys = range(len(each)) if isinstance(each, list) else list(each)
        for key in keys:
            found.append((each, key))
            if isinstance(each[key], list | dict):
                open_.append(each[key])
    return found


def _change(inside: Any, key: Any, places: list[Place], dice: Random) -> None:
    other, other_key = dice.choice(places)
    match dice.randrange(6):
        case 0:
            inside[key] = _copied(dice.choice(RARE))
        case 1:
            inside[key] = _copied(other[other_key])
        case 2:
            del inside[key]
        case 3 if isinstance(inside, list):
            inside.insert(key, _copied(inside[key]))
        case 4 if isinstance(inside, dict):
            name = other_key if isinstance(other_key, str) else dice.choice(("id", "type", "name", ""))
            inside[name] = inside.pop(key)
        case _:
            inside[key] = _shifted(inside[key], dice)


def _shifted(value: Any, dice: Random) -> Any:
    """Return a value like this one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return dice.choice((value + 1, value - 1, -value, value * 1000, value / 7))
        case str():
            at = dice.randrange(len(value) + 1)
            return value[:at] + dice.choice(("", value, "/1", ".", " ", "é", "'", "9")) + value[at + 1 :]
        case list():
            return dice.sample(value, len(value))
        case _:
            return value


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def plain(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """JSON."""
    return json.dumps(change(_read(body)), ensure_ascii=False).encode()


def headed(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """JSON behind a line that says what it is for."""
    head, _, rest = body.partition(b"\n")
    return head + b"\n" + plain(rest, change)


def published(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """JSON behind headers and an empty line."""
    head, _, rest = body.partition(b"\n\n")
    return head + b"\n\n" + plain(rest, change)


def encoded(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """JSON in the Base64 of addresses, without what it is filled up with."""
    tree = change(_read(base64.b64decode(body + b"=" * (-len(body) % 4), b"-_", validate=True)))
    return base64.urlsafe_b64encode(json.dumps(tree).encode()).rstrip(b"=")


def document(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """YAML or JSON."""
    try:
        return plain(body, change)
    except ValueError:
        pass
    try:
        tree = yaml.load(body, yaml.CSafeLoader)
        return yaml.dump(change(_read(json.dumps(tree).encode())), sort_keys=False).encode()
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise ValueError("no YAML") from error


def sealed(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """A place in a line, and what is sealed for it; a change goes into what is sealed."""
    head, _, rest = body.partition(b"\n")
    try:
        place = head.decode()
        inside = plain(VAULT.open(place, rest), change)
    except TalkaError as error:
        raise ValueError("it does not open") from error
    return head + b"\n" + VAULT.seal(place, inside, is_repeatable=True)


def lines(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """Texts, one a line."""
    tree = change(body.decode().split("\n"))
    found = tree if isinstance(tree, list) else [tree]
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in found).encode("utf-8")


def numbers(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """The words of lines, numbers among them."""
    words = [[_word(each) for each in line.split()] for line in body.decode().splitlines()]
    tree = change(words)
    rows = tree if isinstance(tree, list) else [tree]
    return "\n".join(
        " ".join(str(each) for each in (row if isinstance(row, list) else [row])) for row in rows
    ).encode("utf-8")


def _word(text: str) -> int | str:
    return int(text) if text.isdecimal() and len(text) <= DIGITS_MAX else text


def framed(body: bytes, change: Callable[[Tree], Tree]) -> bytes:
    """Frames, each of its length in four bytes and JSON."""
    tree = change([_read(each) for each in FrameReader().feed(body)])
    return b"".join(
        frame([json.dumps(each).encode()]) for each in (tree if isinstance(tree, list) else [tree])
    )


def _read(body: bytes) -> Tree:
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("too deep") from error


def changed(shape: Shape, body: bytes, dice: Random) -> bytes | None:
    """Return an input of this shape with what it says changed, None if it says nothing that can be."""
    try:
        return shape(body, lambda tree: mutated(tree, dice))
    except (ValueError, RecursionError, OverflowError):
        return None
