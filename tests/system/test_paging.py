"""Pages of the cab batch in every shape that the documentation leaves open: no cab is missed, none copied twice."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from urllib.parse import urlsplit

import pytest

from local.simulator.scenario import BatchForm, LastLink, LinkForm
from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import Playground

CABS = (0, 1, 100, 101, 250)


def _never(_cabs: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of the answers, and for how many cabs a page more must be asked for to know that there is none."""

    form: BatchForm
    asks_on: Callable[[int], bool] = _never

    def requests(self, cabs: int) -> int:
        """Return how many requests a pull may need: one a page, and one more where nothing else tells the end."""
        return max(1, ceil(cabs / self.form.largest_page)) + self.asks_on(cabs)


def linked(link: LinkForm = LinkForm.RELATIVE, last: LastLink = LastLink.NULL, key: str = "@nextLink") -> BatchForm:
    """Return a form where nothing but links tells that there are more rows."""
    return BatchForm(link=link, last_link=last, link_key=key, total_count=False)


SHAPES = {
    "as documented": Shape(BatchForm()),
    "relative links": Shape(linked()),
    # A full page without a link is asked on where no page before it had one.
    "absolute links": Shape(linked(LinkForm.ABSOLUTE, LastLink.ABSENT), lambda cabs: cabs == 100),
    "absolute links, TotalCount": Shape(BatchForm(link=LinkForm.ABSOLUTE)),
    "links to a foreign host": Shape(linked(LinkForm.FOREIGN)),
    "links to a foreign host, TotalCount": Shape(BatchForm(link=LinkForm.FOREIGN)),
    "links by another name": Shape(linked(key="nextLink")),
    "links by a third name": Shape(linked(last=LastLink.ABSENT, key="@odata.nextLink"), lambda cabs: cabs == 100),
    "rows by another name": Shape(BatchForm(rows_key="value")),
    "TotalCount only, null for a link": Shape(BatchForm(link=LinkForm.NONE)),
    "TotalCount only": Shape(BatchForm(link=LinkForm.NONE, last_link=LastLink.ABSENT)),
    "neither": Shape(linked(LinkForm.NONE, LastLink.ABSENT), lambda cabs: cabs > 0 and cabs % 100 == 0),
    "dates written anew": Shape(BatchForm(rewrite_dates=True, total_count=False)),
    "short pages, links": Shape(BatchForm(largest_page=40, total_count=False)),
    "short pages, TotalCount only": Shape(BatchForm(largest_page=40, link=LinkForm.NONE)),
    "rows that repeat": Shape(BatchForm(repeat_rows=9)),
    "rows that repeat, links only": Shape(BatchForm(repeat_rows=9, total_count=False)),
    # Rows that come twice push others past TotalCount: counting goes on until a page is empty.
    "rows that repeat, no links": Shape(BatchForm(repeat_rows=9, link=LinkForm.NONE), lambda cabs: cabs > 100),
    "rows that shift": Shape(BatchForm(shift_rows=5)),
    "rows that shift, no links": Shape(BatchForm(shift_rows=5, link=LinkForm.NONE)),
}


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    return shared_playground.start()


@pytest.mark.parametrize("name", SHAPES)
def test_every_cab_of_every_page_comes(shared_playground: Playground, app: App, name: str) -> None:
    """The key of the link is not documented: what is not followed is lost without a trace."""
    shape = SHAPES[name]
    copied = [min(cabs, 12) for cabs in CABS]
    failures = [shared_playground.long_failure(*each) for each in zip(CABS, copied, strict=True)]
    shared_playground.simulator.form = shape.form
    pulls = shared_playground.pull(app, *failures)
    assert {(pull.state, pull.last_error) for pull in pulls} == {("Completed", None)}
    assert [pull.cabs for pull in pulls] == [
        Counts(seen=cabs, copied=had, unavailable=cabs - had) for cabs, had in zip(CABS, copied, strict=True)
    ]
    for failure in failures:
        cabs = {cab.cab_id_hash for cab in shared_playground.simulator.world.cabs(failure.key)}
        assert set(shared_playground.stored.cab_rows(failure.key)) == cabs
    shared_playground.assert_copied_once(*failures, only=False)
    asked = [shared_playground.api_requests(failure) for failure in failures]
    requests = [len(of_one) for of_one in asked]
    assert [most for most, made in zip(map(shape.requests, CABS), requests, strict=True) if made > most] == []
    # The token goes where DEVCENTER_BASE_URL says, whatever a link says.
    hosts = {request.host for of_one in asked for request in of_one}
    assert hosts == {urlsplit(shared_playground.simulator.url).netloc}
