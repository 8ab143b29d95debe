"""From where it may be asked: by names of this machine, and by pages of the same host."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from talka_services.gateway.addresses import is_loopback
from talka_services.gateway.guard import guard_for
from talka_services.gateway.problems import HttpError


def headers(**given: str) -> Headers:
    return Headers(given)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", ""])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8420", "localhost:1", "[::1]:8420", "LocalHost", "other.test:80"]
)
def test_names_of_this_machine_and_allowed_ones_may_ask(host: str) -> None:
    guard_for("127.0.0.1", ["Other.test"]).check(headers(host=host))


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8420", "", "[", "localhost@evil.example"]
)
def test_a_name_that_was_pointed_here_is_refused(host: str) -> None:
    """As DNS rebinding does it: the address is this machine's, the name is not."""
    with pytest.raises(HttpError) as caught:
        guard_for("127.0.0.1").check(headers(host=host))
    assert (caught.value.status, caught.value.code) == (403, "forbidden_host")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", ""])
def test_a_page_of_another_site_is_refused(origin: str) -> None:
    for guard in (guard_for("127.0.0.1"), guard_for("0.0.0.0")):
        with pytest.raises(HttpError, match="page"):
            guard.check(headers(host="127.0.0.1:8420", origin=origin))


def test_a_page_of_the_same_host_may_ask() -> None:
    guard_for("127.0.0.1").check(headers(host="localhost:8420", origin="http://127.0.0.1:8420"))
    guard_for("0.0.0.0").check(headers(host="work.test:80", origin="http://work.test"))


def test_names_are_not_asked_about_where_others_reach_it_unless_some_are_given() -> None:
    guard_for("0.0.0.0").check(headers(host="whatever.test"))
    with pytest.raises(HttpError):
        guard_for("0.0.0.0", ["work.test"]).check(headers(host="whatever.test"))
