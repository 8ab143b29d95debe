"""The gateway answers everything with what its document says, and never with a fault of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.gateway import ENDLESS, TOKENS, Asking, access_file, platform
from tests.fuzz.targets import SUPPRESSED

from talka_services.gateway.roles import Role
from talka_services.gateway.table import OPERATIONS

EXAMPLES = 8
NAMES = sorted(each.name for each in OPERATIONS if each.name not in ENDLESS)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fuzz")]


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with platform(tmp_path_factory.mktemp("fuzz")) as address:
        yield Asking(address)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=SUPPRESSED,
)
@given(data=st.data())
def test_every_answer_is_as_it_is_described(asking: Asking, name: str, data: st.DataObject) -> None:
    """A few requests of each operation, the same in every run."""
    asking.ask(dict(asking.operations())[name], data)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("guarded")
    with platform(folder, "--access", str(access_file(folder))) as address:
        yield Asking(address, TOKENS[Role.ADMIN])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=SUPPRESSED,
)
@given(data=st.data())
def test_only_who_may_comes_further(guarded: Asking, name: str, data: st.DataObject) -> None:
    """Strangers are told that they are, and roles what they lack, as described, whatever else is asked."""
    guarded.ask_as_somebody(dict(guarded.operations())[name], data)
