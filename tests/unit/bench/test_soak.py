"""The soak's verdict: what grows must not be called flat."""

from bench.soak import quarters


def test_values_are_told_apart_by_quarters_of_the_time() -> None:
    points = [(float(at), float(at)) for at in range(41)]
    assert [(min(part), max(part)) for part in quarters(points)] == [(0, 9), (10, 19), (20, 29), (30, 40)]


def test_quarters_are_of_the_time_and_not_of_the_number() -> None:
    """A host that gets slow is asked less often."""
    points = [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (11.0, 9.0), (16.0, 9.0)]
    assert [len(part) for part in quarters(points)] == [4, 1, 1, 1]
