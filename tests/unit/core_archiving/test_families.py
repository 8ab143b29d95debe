"""Which executions may go: families as a whole, and nothing that a live execution needs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from talka_core.archiving import Family, Standing, plan

NOW_MS = 1_000
NAMES = [f"e{number}" for number in range(8)]


@st.composite
def _standings(draw: st.DrawFn) -> dict[str, Standing]:
    """Draw executions, each perhaps the sub-workflow of an earlier one, also of one that is not here."""
    found: dict[str, Standing] = {}
    for number, name in enumerate(NAMES[: draw(st.integers(1, len(NAMES)))]):
        parent = draw(st.sampled_from(["", "elsewhere", *NAMES[:number]]))
        found[name] = Standing(
            draw(st.booleans()), draw(st.integers(0, 2 * NOW_MS)), parent, draw(st.booleans())
        )
    return found


@settings(max_examples=200, derandomize=True)
@given(_standings(), st.none() | st.sets(st.sampled_from(NAMES)))
def test_nothing_goes_that_a_live_execution_needs(
    standings: dict[str, Standing], wanted: set[str] | None
) -> None:
    """What goes is over for long enough, and no parent or sub-workflow of it stays behind."""
    planned = plan(standings, NOW_MS, wanted)
    going = [name for family in planned.families for name in family.members]
    assert len(going) == len(set(going))
    for name in going:
        standing = standings[name]
        assert standing.is_over
        assert standing.ended_at <= NOW_MS
        assert not standing.is_archived
        parent = standings.get(standing.parent)
        assert parent is None or parent.is_archived or standing.parent in going
    for name, standing in standings.items():
        if standing.parent in going and not standing.is_archived:
            assert name in going
    for family in planned.families:
        assert family.members[0] == family.root
        places = {name: place for place, name in enumerate(family.members)}
        for name in family.members[1:]:
            assert places[standings[name].parent] < places[name]
    assert not planned.kept.keys() & {family.root for family in planned.families}
    assert wanted is None or wanted <= planned.kept.keys() | {family.root for family in planned.families}


@settings(max_examples=100, derandomize=True)
@given(_standings())
def test_whatever_may_go_goes(standings: dict[str, Standing]) -> None:
    """An execution of its own that is over for long enough, like all below it, is not left behind."""
    planned = plan(standings, NOW_MS)
    for name, standing in standings.items():
        if standing.parent or standing.is_archived or any(s.parent == name for s in standings.values()):
            continue
        if standing.is_over and standing.ended_at <= NOW_MS:
            assert Family(name, (name,)) in planned.families
        else:
            assert name in planned.kept


def test_reasons_say_what_holds_an_execution_up() -> None:
    """Whoever asks for an execution that may not go is told why, by name."""
    standings = {
        "root": Standing(is_over=True),
        "child": Standing(is_over=False, parent="root"),
        "young": Standing(is_over=True, ended_at=NOW_MS + 1),
        "gone": Standing(is_over=True, is_archived=True),
    }
    planned = plan(standings, NOW_MS, ["root", "child", "young", "gone", "nobody"])
    assert not planned.families
    assert "child is not over" in planned.kept["root"]
    assert "root" in planned.kept["child"]
    assert "long enough" in planned.kept["young"]
    assert "archived already" in planned.kept["gone"]
    assert "not here" in planned.kept["nobody"]
