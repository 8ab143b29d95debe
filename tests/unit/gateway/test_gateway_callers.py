"""Who asks: tokens with roles, what each role may do, and how much each caller may ask."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from talka_protocols.errors import CallerError
from talka_services.gateway.access import AccessFile, digest_of, parse_access
from talka_services.gateway.callers import Callers
from talka_services.gateway.problems import HttpError, response_of
from talka_services.gateway.roles import Caller, Role

ADA, BEN = "a-token-of-ada-that-is-long", "a-token-of-ben-that-is-long"
SOLE = "the-only-token-there-is"


def request(token: str | None = None, host: str = "10.0.0.7") -> Request:
    """Return a request as it comes, with or without a bearer token."""
    given = [] if token is None else [(b"authorization", f"Bearer {token}".encode("latin-1", "replace"))]
    return Request({"type": "http", "headers": given, "client": (host, 1234), "method": "GET", "path": "/"})


def access_file(folder: Path, **more: Any) -> AccessFile:
    """Return an access file with an operator and a viewer."""
    entries = [
        {"name": "ada", "role": "operator", "sha256": digest_of(ADA)},
        {"name": "ben", "role": "viewer", "sha256": digest_of(BEN)},
    ]
    path = folder / "access.yaml"
    path.write_text(json.dumps({"tokens": entries, **more}))
    return AccessFile(path)


def entry(name: str, digit: str) -> str:
    """Return an entry of an access file."""
    return f"{{name: {name}, role: admin, sha256: {digit * 64}}}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The monotonic clock of the callers, as the one element of a list."""
    now = [100.0]
    monkeypatch.setattr("talka_services.gateway.callers.time.monotonic", lambda: now[0])
    return iter([now])


async def test_a_token_gives_a_name_and_a_role(tmp_path: Path) -> None:
    callers = Callers(SOLE, access_file(tmp_path))
    assert await callers.identify(request(SOLE)) == Caller("token", Role.ADMIN)
    assert await callers.identify(request(ADA)) == Caller("token:ada", Role.OPERATOR)
    assert await callers.identify(request(BEN)) == Caller("token:ben", Role.VIEWER)


@pytest.mark.parametrize("token", [None, "", "x", SOLE + "x", SOLE[:-1], digest_of(ADA), "\xe9", "a.b.c"])
async def test_a_missing_or_wrong_token_is_refused(tmp_path: Path, token: str | None) -> None:
    """The digest in the file is no token, and neither is what looks like a JSON Web Token."""
    callers = Callers(SOLE, access_file(tmp_path))
    with pytest.raises(HttpError) as caught:
        await callers.identify(request(token))
    assert (caught.value.status, caught.value.headers) == (401, {"WWW-Authenticate": "Bearer"})


async def test_another_scheme_than_bearer_is_refused() -> None:
    given = [(b"authorization", f"Basic {SOLE}".encode())]
    with pytest.raises(HttpError, match="missing"):
        await Callers(SOLE).identify(Request({"type": "http", "headers": given}))


async def test_without_tokens_everybody_is_an_admin_and_limited_only_from_elsewhere() -> None:
    here = await Callers().identify(request(host="127.0.0.1"))
    assert here == Caller("anonymous@127.0.0.1", Role.ADMIN, is_limited=False)
    assert (await Callers().identify(request())).is_limited


@pytest.mark.parametrize(
    ("role", "needs", "may"),
    [
        (Role.VIEWER, Role.VIEWER, True),
        (Role.VIEWER, Role.OPERATOR, False),
        (Role.OPERATOR, Role.VIEWER, True),
        (Role.OPERATOR, Role.ADMIN, False),
        (Role.ADMIN, Role.OPERATOR, True),
    ],
)
def test_a_role_holds_those_before_it(role: Role, needs: Role, may: bool) -> None:
    callers = Callers(SOLE)
    if may:
        with callers.admitted(Caller("x", role), needs):
            return
    with pytest.raises(HttpError) as caught, callers.admitted(Caller("x", role), needs):
        raise AssertionError("it was let in")
    assert (caught.value.status, caught.value.code) == (403, "forbidden_role")
    assert needs.value in caught.value.message


async def test_a_token_that_is_taken_away_counts_no_more_at_once(tmp_path: Path) -> None:
    """The file is read again when it has changed; one that cannot be read lets nobody in."""
    file = access_file(tmp_path)
    callers = Callers("", file)
    assert (await callers.identify(request(ADA))).name == "token:ada"
    path = tmp_path / "access.yaml"
    path.write_text("tokens: []\n")
    os.utime(path, ns=(1, 1))
    with pytest.raises(HttpError, match="wrong"):
        await callers.identify(request(ADA))
    path.write_text("tokens: [")
    os.utime(path, ns=(2, 2))
    with pytest.raises(HttpError) as caught:
        await callers.identify(request(ADA))
    assert (caught.value.status, caught.value.code) == (503, "bad_access_file")


def test_who_asks_too_often_is_told_when_to_ask_again(tmp_path: Path, clock: Iterator[list[float]]) -> None:
    """A burst is let through, and each caller has an allowance of its own."""
    now = next(clock)
    callers = Callers("", access_file(tmp_path, rate=2))
    ada, ben = Caller("token:ada", Role.OPERATOR), Caller("token:ben", Role.VIEWER)
    for _ in range(10):
        with callers.admitted(ada, Role.VIEWER):
            pass
    with pytest.raises(HttpError) as caught, callers.admitted(ada, Role.VIEWER):
        raise AssertionError("it was let in")
    response = response_of(caught.value)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    with callers.admitted(ben, Role.VIEWER):
        pass
    now[0] += 0.5
    with callers.admitted(ada, Role.VIEWER):
        pass
    with pytest.raises(HttpError), callers.admitted(ada, Role.VIEWER):
        raise AssertionError("it was let in")


def test_what_is_open_at_a_time_is_bounded_and_counts_no_more_when_it_ends(tmp_path: Path) -> None:
    callers = Callers("", access_file(tmp_path, rate=0))
    ada = Caller("token:ada", Role.OPERATOR)
    held = [callers.admitted(ada, Role.VIEWER) for _ in range(100)]
    for each in held:
        each.__enter__()
    with pytest.raises(HttpError) as caught, callers.admitted(ada, Role.VIEWER):
        raise AssertionError("it was let in")
    assert caught.value.status == 429
    held.pop().__exit__(None, None, None)
    with callers.admitted(ada, Role.VIEWER):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "tokens: [",
        "tokens: 3",
        "nothing: true",
        "- a",
        "rate: -1",
        "tokens: [{name: a b, role: admin, sha256: " + "0" * 64 + "}]",
        "tokens: [{name: a, role: king, sha256: " + "0" * 64 + "}]",
        "tokens: [{name: a, role: admin, sha256: secret}]",
        f"tokens: [{entry('a', '0')}, {entry('a', '1')}]",
        f"tokens: [{entry('a', '0')}, {entry('b', '0')}]",
        "oidc: {issuer: 'http://login.example', audience: talka, roles: {}}",
        "oidc: {issuer: 'https://', audience: talka, roles: {}}",
        "x: " + "[" * 5_000,
        "&a [*a]",
        "a: !!python/object:os.system x",
        "#" * 1_100_000,
    ],
)
def test_what_is_no_access_file_is_refused(text: str) -> None:
    with pytest.raises(CallerError, match="cannot be used"):
        parse_access(text.encode(), "access.yaml")


def test_an_access_file_may_be_empty_and_is_missing_with_a_clear_word(tmp_path: Path) -> None:
    assert parse_access(b"", "x").tokens == ()
    with pytest.raises(CallerError, match="cannot be read"):
        AccessFile(tmp_path / "nothing")
