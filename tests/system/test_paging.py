"""Pages of the cab batch in every shape that the documentation leaves open: no cab is missed, none copied twice."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from local.simulator.scenario import BatchForm, LastLink, LinkForm
from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import Playground


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of the answers, how many cabs there are, and how many requests the app may need for them."""

    form: BatchForm
    cabs: int
    requests: int


def linked(link: LinkForm = LinkForm.RELATIVE, last: LastLink = LastLink.NULL, key: str = "@nextLink") -> BatchForm:
    """Return a form where nothing but links tells that there are more rows."""
    return BatchForm(link=link, last_link=last, link_key=key, total_count=False)


SHAPES = {
    "relative links": Shape(linked(), 250, 3),
    "relative links, a full last page": Shape(linked(), 200, 2),
    "absolute links": Shape(linked(LinkForm.ABSOLUTE, LastLink.ABSENT), 201, 3),
    "links to a foreign host": Shape(linked(LinkForm.FOREIGN), 201, 3),
    "links to a foreign host, TotalCount": Shape(BatchForm(link=LinkForm.FOREIGN), 101, 2),
    "links by another name": Shape(linked(key="nextLink"), 101, 2),
    "links by a third name": Shape(linked(last=LastLink.ABSENT, key="@odata.nextLink"), 101, 2),
    "rows by another name": Shape(BatchForm(rows_key="value"), 101, 2),
    "TotalCount only, null for a link": Shape(BatchForm(link=LinkForm.NONE), 250, 3),
    "TotalCount only, a full last page": Shape(BatchForm(link=LinkForm.NONE, last_link=LastLink.ABSENT), 200, 2),
    # Nothing tells that there is more, so a full page is asked on: once too often where the last one is full.
    "neither": Shape(linked(LinkForm.NONE, LastLink.ABSENT), 150, 2),
    "neither, a full last page": Shape(linked(LinkForm.NONE, LastLink.ABSENT), 200, 3),
    "dates written anew": Shape(BatchForm(rewrite_dates=True, total_count=False), 150, 2),
    "short pages, links": Shape(BatchForm(largest_page=40, total_count=False), 130, 4),
    "short pages, TotalCount only": Shape(BatchForm(largest_page=40, link=LinkForm.NONE), 130, 4),
    "rows that repeat": Shape(BatchForm(repeat_rows=9), 250, 3),
    "rows that repeat, links only": Shape(BatchForm(repeat_rows=9, total_count=False), 250, 3),
    # Rows that come twice push others past TotalCount: counting goes on until a page is empty.
    "rows that repeat, no links": Shape(BatchForm(repeat_rows=9, link=LinkForm.NONE), 250, 4),
    "rows that shift": Shape(BatchForm(shift_rows=5), 250, 3),
    "rows that shift, no links": Shape(BatchForm(shift_rows=5, link=LinkForm.NONE), 250, 3),
}


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    return shared_playground.start()


@pytest.mark.parametrize("name", SHAPES)
def test_every_cab_of_every_page_comes(shared_playground: Playground, app: App, name: str) -> None:
    """The key of the link is not documented: what is not followed is lost without a trace."""
    shape = SHAPES[name]
    failure = shared_playground.long_failure(shape.cabs, copied=12)
    shared_playground.simulator.form = shape.form
    (pull,) = shared_playground.pull(app, failure)
    assert (pull.state, pull.last_error) == ("Completed", None)
    assert pull.cabs == Counts(seen=shape.cabs, copied=12, unavailable=shape.cabs - 12)
    cabs = {cab.cab_id_hash for cab in shared_playground.simulator.world.cabs(failure.key)}
    assert set(shared_playground.stored.cab_rows(failure.key)) == cabs
    shared_playground.assert_copied_once(failure, only=False)
    asked = shared_playground.api_requests(failure)
    assert len(asked) <= shape.requests
    # The token goes where DEVCENTER_BASE_URL says, whatever a link says.
    assert {request.host for request in asked} == {urlsplit(shared_playground.simulator.url).netloc}
