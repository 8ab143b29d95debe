"""Goal: a pool's log may lose its beginning anywhere, and whoever reads the rest finds what there is to find.

Method: the pool's log of generated histories is cut behind each of its commits; the state there is stored as
a base is, and the rest is folded, audited and looked back at from it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.readmodel import history

from talka_core.auditing import Auditor
from talka_core.history import FOLDS, apply, packed, unpacked
from talka_core.resource import beginning
from talka_protocols.commit import Commit, decode_commit
from talka_protocols.events import PoolEvent
from talka_protocols.messages import Recipient
from talka_protocols.subjects import POOL, LogName

FOLD = FOLDS[POOL]
LOG = LogName(POOL, "-", "default")


def _commits(seed: int, size: int, disturbances: int) -> list[Commit[Any]]:
    player = history(seed, size, disturbances).players.get((Recipient.RESOURCE, "default"))
    return [decode_commit(LOG, body) for body in player.commits] if player is not None else []


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 1_000_000), st.integers(1, 12), st.integers(0, 120))
def test_the_rest_of_a_pool_says_what_all_of_it_says(seed: int, size: int, disturbances: int) -> None:
    """Behind every commit: the rest folds to the same state, is audited clean, and shows the same workers."""
    commits = _commits(seed, size, disturbances)
    whole = apply(FOLD, FOLD.initial("default"), commits)
    assert not _audited(commits, Auditor())
    state = FOLD.initial("default")
    for gone, commit in enumerate(commits, 1):
        apply(FOLD, state, [commit])
        base = unpacked(FOLD, packed(FOLD, state))
        auditor = Auditor()
        auditor.begin(LOG, gone, unpacked(FOLD, packed(FOLD, state)))
        found = _audited(commits, auditor)
        assert not found, (gone, found)
        shown = FOLD.initial("default")
        for event in beginning(base):
            FOLD.evolve(shown, event, commit.at)
        assert shown.workers == base.workers
        assert {name: grant.fence for name, grant in shown.grants.items()} == {
            name: grant.fence for name, grant in base.grants.items() if not grant.is_revoked
        }
        assert shown.waiting.keys() == base.waiting.keys()
        apply(FOLD, base, commits[gone:])
        assert packed(FOLD, base) == packed(FOLD, whole)


def _audited(commits: list[Commit[PoolEvent]], auditor: Auditor) -> list[Any]:
    return [
        found for position, commit in enumerate(commits, 1) for found in auditor.take(LOG, position, commit)
    ]
