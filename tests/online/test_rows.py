"""No row that a living edition shows is ever given away, and none that nobody sees is kept back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.online.rows import Rows


class Edition:
    """What a reader holds, with the rows that it shows."""

    def __init__(self, rows):
        self.rows = frozenset(rows)


@given(st.data())
@settings(deadline=None)
def test_against_sets(data):
    rows, shown, held = Rows(30), set(), []
    held.append(Edition(shown))
    rows.shown(held[-1])
    for _ in range(data.draw(st.integers(1, 25))):
        left = data.draw(st.sets(st.sampled_from(sorted(shown)))) if shown else set()
        for row in left:
            rows.leave(row)
        shown -= left
        rows.reclaim()
        visible = set().union(shown, *(e.rows for e in held))
        assert len(rows) == rows.room - len(visible)
        taken = rows.take(data.draw(st.integers(0, len(rows)))).tolist()
        assert len(set(taken)) == len(taken)
        assert visible.isdisjoint(taken)
        assert taken == sorted(set(range(rows.room)) - visible)[: len(taken)]  # the lowest, so that tables stay short
        shown |= set(taken)
        held.append(Edition(shown))
        rows.shown(held[-1])
        for at in sorted(data.draw(st.sets(st.integers(0, len(held) - 2)), label="given back"), reverse=True):
            del held[at]
