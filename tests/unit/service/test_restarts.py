"""How long what ended by itself is left alone."""

from __future__ import annotations

from talka_services.service.restarts import AGAIN_MOST_S, AGAIN_S, STEADY_S, Restarts


def test_failed_starts_come_ever_later_and_a_steady_life_forgives_them() -> None:
    """The first one is started again soon, and none is waited for for ever."""
    restarts = Restarts()
    assert [restarts.pause_s(0.1) for _ in range(3)] == [AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S]
    assert [restarts.pause_s(0.1) for _ in range(9)][-1] == AGAIN_MOST_S
    assert restarts.pause_s(STEADY_S + 1) == AGAIN_S
    assert restarts.pause_s(0.1) == 2 * AGAIN_S
