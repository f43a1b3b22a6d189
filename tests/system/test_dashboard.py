"""The dashboard as three people use it, in a browser: what it shows is what there is, and what it offers happens."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure, Family
from local.simulator.faults import Call, Fault, FaultKind
from tests.support.browser import chromium
from tests.support.waiting import wait_until
from tests.system.answers import problem
from tests.system.app import HTTP_SECONDS, ROOT, App
from tests.system.playground import Playground

SCREENSHOTS = ROOT / ".local" / "screenshots"
WIDE, NARROW = ViewportSize(width=1600, height=900), ViewportSize(width=375, height=800)
KEY = "a-function-key-of-this-test"
# The page asks at once when somebody comes back to it.
COME_BACK = "document.dispatchEvent(new Event('visibilitychange'))"
# Larger than one answer of the app may be.
LARGE = 9 << 20


@pytest.fixture(scope="module")
def failures(shared_playground: Playground) -> list[Failure]:
    """Failures of drivers: two whose cabs can be had, and one that the Dev Center refuses."""
    builder = shared_playground.simulator.builder
    made = [builder.failure(5), builder.failure(1, CabForm((LARGE, LARGE))), builder.failure(3)]
    builder.report(made)
    shared_playground.simulator.publish()
    shared_playground.fail(made[2], FaultKind.BAD_REQUEST, None)
    return made


@pytest.fixture(scope="module")
def app(shared_playground: Playground, failures: list[Failure]) -> App:
    """An app that has checked its reports and pulled what they name."""
    shared_playground.simulator.builder.application_failure(Family.DESKTOP, 2)
    shared_playground.simulator.publish()
    (application,) = shared_playground.simulator.world.applications(Family.DESKTOP)
    app = shared_playground.start({"DESKTOP_APPLICATION_IDS": application}, may_raise=True)
    shared_playground.check(app)
    assert [pull.state for pull in shared_playground.ends(app, *failures)] == ["Completed", "Completed", "Failed"]
    return app


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all of these tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A wide tab of somebody's own; a script that fails in it, or breaks the page's policy, fails the test."""
    page = browser.new_page(viewport=WIDE, accept_downloads=True, permissions=["clipboard-read", "clipboard-write"])
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    yield page
    page.close()
    assert errors == []


def show(page: Page, app: App, view: str = "/failures") -> None:
    """Open the dashboard at one of its views, and wait until the strip tells something."""
    page.goto(f"{app.url}/api/dashboard#{view}")
    expect(page.locator("#strip .state")).to_be_visible()


def path(failure: Failure) -> str:
    """Return what names a failure in an address."""
    return f"{failure.key.application_id}/{failure.key.failure_hash}"


def barriers(page: Page) -> list[Any]:
    """Return what axe finds that keeps somebody out."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
    told = [(each["id"], each["impact"], [node["html"] for node in each["nodes"]][:3]) for each in found]
    return [each for each in told if each[1] in {"serious", "critical"}]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_view_fits_its_window_and_can_be_read_by_everyone(
    page: Page, app: App, failures: list[Failure], size: ViewportSize, scheme: Any
) -> None:
    """Nothing is cut off or runs over the edge, and axe finds nothing that keeps anybody out."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    views = {"failures": ".row", "pulls": ".row", "checks": "table", "preflight": "button"}
    for view, shown in {**views, f"failures/{path(failures[0])}": "table"}.items():
        show(page, app, f"/{view}")
        expect(page.locator(f"main {shown}").first).to_be_visible()
        name = "failure" if "/" in view else view
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{size['width']}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{view} is too wide"
        assert barriers(page) == [], view


def test_a_failure_is_found_by_its_name_with_the_keyboard_alone(page: Page, app: App, failures: list[Failure]) -> None:
    show(page, app, "/nosuch")
    expect(page).to_have_title("Failures · Cabferry")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type(failures[0].name.lower())
    expect(page.locator("main .row")).to_have_count(sum(each.name == failures[0].name for each in failures))
    link = page.get_by_role("link", name=failures[0].name).first
    expect(link).to_be_visible()
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=failures[0].name)).to_be_visible()
    expect(page.locator("main table tbody tr")).to_have_count(5)
    expect(page.get_by_role("img", name="Cabs a day: 5 in 30 days")).to_be_visible()
    expect(page.get_by_text("Crashes by version")).to_be_visible()


def test_the_charts_follow_what_is_looked_for(page: Page, app: App, failures: list[Failure]) -> None:
    show(page, app)
    expect(page.get_by_role("img", name="Cabs a day:")).to_be_visible()
    expect(page.get_by_text("Versions with the most crashes")).to_be_visible()
    page.get_by_label("Search failures").fill("nothing has such a name")
    expect(page.get_by_text("No cab has told its day or version yet.")).to_be_visible()
    page.get_by_label("Search failures").fill(failures[0].key.failure_hash)
    expect(page.get_by_role("img", name="Cabs a day: 5 in 30 days")).to_be_visible()


def test_sorting_puts_what_is_lost_next_on_top(page: Page, app: App, failures: list[Failure]) -> None:
    show(page, app)
    page.get_by_label("Sort").select_option("missing")
    expect(page.locator("main .row").first).to_contain_text("3 missing")
    page.get_by_label("State").select_option("Failed")
    expect(page.locator("main .row")).to_have_count(1)
    page.get_by_label("Search failures").fill("nobody has this")
    expect(page.get_by_text("No failure is like that.")).to_be_visible()


def test_a_cab_comes_whole_through_the_app_and_is_told_in_the_log(
    page: Page, app: App, shared_playground: Playground, failures: list[Failure]
) -> None:
    """It has more bytes than one answer may: the page fetches its parts, and they are the blob's."""
    failure = failures[1]
    show(page, app, f"/failures/{path(failure)}")
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download").click()
    name, held = next(iter(shared_playground.held(failure).items()))
    got = Path(coming.value.path()).read_bytes()
    assert coming.value.suggested_filename == name.rpartition("/")[2]
    assert (len(got), hashlib.md5(got).hexdigest()) == (held.length, held.md5)  # noqa: S324 - what the blob tells
    assert f"cab-fetched: blob={name} by=a function key how=content" in app.log


def test_nothing_but_cabs_that_are_held_is_sent(
    app: App, shared_playground: Playground, failures: list[Failure]
) -> None:
    """Neither what else stands in the container, though a row should name it, nor more than one answer may hold."""
    whole = f"/api/failures/{path(failures[1])}/cabs"
    (cab,) = shared_playground.stored.cab_rows(failures[1].key)
    shared_playground.stored.replace("beside/a/secret.txt", b"secret")
    partition = f"{failures[1].key.application_id}_{failures[1].key.failure_hash}"
    row = {"PartitionKey": partition, "RowKey": "0" * 31 + "1", "state": "copied", "blobName": "beside/a/secret.txt"}
    shared_playground.stored.put("cabs", row)
    for odd in (f"{whole}/{'0' * 31}1", f"{whole}/{'0' * 31}2", f"/api/failures/{path(failures[2])}/cabs/{cab}"):
        assert "is not in the container" in problem(app.get(f"{odd}/content"), 404)
    assert "cabIdHash" in problem(app.get(f"{whole}/..%5csecret.txt/content"), 400)
    assert "may sign a link" in problem(app.post(f"{whole}/{cab}/link"), 409)
    for header, status, length in (
        ({"Range": f"bytes=0-{1 << 40}"}, 206, 8 << 20),
        ({"Range": "bytes=10-19"}, 206, 10),
        ({"Range": f"bytes={1 << 40}-"}, 416, 0),
    ):
        answer = requests.get(f"{app.url}{whole}/{cab}/content", headers=header, timeout=HTTP_SECONDS)
        assert (answer.status_code, len(answer.content) if status == 206 else 0) == (status, length), header
    shared_playground.stored.forget("cabs", row)
    stale = {"If-Match": '"0x1"', "Range": "bytes=0-"}
    assert requests.get(f"{app.url}{whole}/{cab}/content", headers=stale, timeout=HTTP_SECONDS).status_code == 412


def test_the_lines_to_copy_name_this_failure(page: Page, app: App, failures: list[Failure]) -> None:
    show(page, app, f"/failures/{path(failures[0])}")
    for button, wanted in {
        "Copy azcopy line": f"failure-cabs/{path(failures[0])}/*",
        "Copy prefix": f"{path(failures[0])}/",
        "Copy cabferry line": f"cabferry get {failures[0].key.failure_hash}",
    }.items():
        page.get_by_role("button", name=button).click()
        expect(page.locator("#toast")).to_contain_text(wanted)
        assert wanted in page.evaluate("navigator.clipboard.readText()")


def test_pulls_are_asked_for_by_a_form_that_says_what_is_wrong(
    page: Page, app: App, shared_playground: Playground, failures: list[Failure]
) -> None:
    show(page, app, "/pulls")
    page.get_by_text("Pull cabs now").click()
    page.get_by_label("Application id").fill(failures[0].key.application_id)
    page.get_by_label("Failure hashes").fill("not/a/hash")
    page.get_by_role("button", name="Pull", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="failureHash is 'not/a/hash'")).to_be_visible()
    page.get_by_label("Failure hashes").fill(f"{failures[0].key.failure_hash}\n0a{failures[0].key.failure_hash[2:]}")
    page.get_by_role("button", name="Pull", exact=True).click()
    expect(page.get_by_text("2 pulls queued.")).to_be_visible()
    (pull,) = shared_playground.ends(app, failures[0])
    assert pull.cabs.already_held == 5
    # Of the other hash Microsoft knows nothing: whoever asked is led to where that is said.
    page.locator("form").get_by_role("link", name=f"Failure 0a{failures[0].key.failure_hash[2:8]}").click()
    expect(page.get_by_text("Microsoft names no cab for these ids")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("No cab is known of this failure yet.")).to_have_count(0)


def test_a_pull_at_work_is_shown_as_it_goes(page: Page, app: App, shared_playground: Playground) -> None:
    failure = shared_playground.long_failure(120)
    shared_playground.fail(failure, FaultKind.SLOW, 1, 7, skip="100")
    show(page, app, "/pulls")
    shared_playground.ask(app, failure)
    row = page.locator("[aria-label='Running pulls'] .row")
    expect(row.get_by_role("progressbar")).to_be_visible(timeout=30_000)
    expect(row).to_contain_text("copied")
    expect(page.get_by_text("No pull runs.")).to_be_visible(timeout=30_000)
    ended = page.locator("[aria-label='Ended pulls'] .row").first
    expect(ended).to_contain_text("12 copied, 108 not to be had", timeout=30_000)
    expect(ended).to_contain_text("ended")
    assert shared_playground.told(app, failure).state == "Completed"


def test_what_was_given_up_is_told_by_its_reason_and_tried_again(
    page: Page, app: App, shared_playground: Playground, failures: list[Failure]
) -> None:
    before = len(shared_playground.api_requests(failures[2]))
    reason = shared_playground.told(app, failures[2]).last_error or ""
    show(page, app, f"/failures/{path(failures[2])}")
    expect(page.locator("main").get_by_text(reason)).to_be_visible()
    page.locator("#strip").get_by_role("link", name="Failed until a person acts").click()
    group = page.locator(".row.group").first
    expect(group).to_contain_text("1 pull")
    # What to do stands at its end, and needs no click.
    expect(group.get_by_text(reason)).to_be_visible()
    group.get_by_text("Which failures").click()
    expect(group.get_by_role("link", name=failures[2].name)).to_be_visible()
    group.get_by_role("button", name="Retry all").click()
    expect(page.locator("#toast")).to_contain_text("1 pull queued again")
    wait_until(lambda: len(shared_playground.api_requests(failures[2])) > before, "another try")
    (pull,) = shared_playground.ends(app, failures[2])
    assert pull.state == "Failed"


def test_a_check_is_asked_for_and_its_run_appears(
    page: Page, app: App, shared_playground: Playground, failures: list[Failure]
) -> None:
    show(page, app, "/checks")
    rows = page.locator("[aria-label=Reports] tbody tr")
    expect(rows.first).to_be_visible()
    before = rows.count()
    shared_playground.simulator.builder.report([failures[0]])
    shared_playground.simulator.publish()
    page.locator("[aria-label=Reports]").get_by_role("button", name="Check now").click()
    expect(
        page.get_by_text(f"The last check that was asked for looked at {before + 1} runs: 1 new, 0 failed")
    ).to_be_visible(timeout=30_000)
    expect(rows).to_have_count(before + 1)
    expect(page.locator(".line .ok")).to_have_count(before + 1)


def test_what_of_the_reports_cannot_be_read_is_shown_with_the_rest(
    page: Page, app: App, shared_playground: Playground
) -> None:
    """A row of no run tells no time, and stands there just when something is wrong."""
    odd = {"PartitionKey": "43000", "RowKey": "odd_1", "reportDatetime": "", "status": "", "error": "run 3 has no id"}
    shared_playground.stored.put("reports", odd)
    try:
        show(page, app, "/checks")
        expect(page.locator("[aria-label=Reports] tbody tr").filter(has_text="run 3 has no id")).to_be_visible()
        expect(page.locator("[aria-label=Reports] tbody tr").nth(1)).to_be_visible()
    finally:
        shared_playground.stored.forget("reports", odd)


def test_a_report_is_paused_resumed_and_made_where_none_is(
    page: Page, app: App, shared_playground: Playground, failures: list[Failure]
) -> None:
    """Nobody opens Partner Center for it."""
    world = shared_playground.simulator.world
    show(page, app, "/checks")
    schedules = page.locator("[aria-label=Schedules]")
    row = schedules.locator("tbody tr").first
    expect(row).to_contain_text("active", timeout=30_000)
    expect(schedules.get_by_role("button", name="Make the report")).to_have_count(0)
    for _ in range(len(world.reports)):
        schedules.get_by_role("button", name="Pause").first.click()
        expect(page.locator("#toast")).to_contain_text("is paused")
        expect(schedules.get_by_text("active")).to_have_count(
            sum(each.active for each in world.reports.values()), timeout=30_000
        )
    schedules.get_by_label("Hours from run to run").fill("12")
    schedules.get_by_role("button", name="Make the report").click()
    expect(schedules.locator("tbody tr").last).to_contain_text("12 hours", timeout=30_000)
    made = max(world.reports)
    assert (world.reports.pop(made).interval, len(failures)) == (12, 3)
    for each in world.reports.values():
        each.active = True
    schedules.get_by_role("button", name="Look again").click()
    expect(schedules.get_by_role("button", name="Resume")).to_have_count(0, timeout=30_000)


def test_the_failures_of_an_application_are_looked_for(page: Page, app: App) -> None:
    show(page, app, "/checks")
    applications = page.locator("[aria-label=Applications]")
    applications.get_by_role("button", name="Check now").click()
    expect(applications.locator("tbody tr")).to_contain_text("desktop", timeout=30_000)
    show(page, app, "/failures?family=desktop")
    expect(page.locator("main .row")).to_contain_text("2 held", timeout=30_000)


def test_a_preflight_says_what_a_person_should_do(page: Page, app: App, shared_playground: Playground) -> None:
    shared_playground.simulator.faults.add(Fault(call=Call.REPORT_DATA, kind=FaultKind.FORBIDDEN))
    show(page, app, "/preflight")
    page.get_by_role("button", name="Run preflight").click()
    expect(page.get_by_text("Not ready: 1 of ")).to_be_visible(timeout=30_000)
    expect(page.locator("main .row").first).to_contain_text("role Manager in Partner Center")
    page.get_by_role("button", name="Run preflight").click()
    expect(page.get_by_text("Ready: everything answers.")).to_be_visible(timeout=30_000)


def test_the_function_key_is_asked_for_once_and_stays_out_of_every_address(page: Page, app: App) -> None:
    """The host that checks keys is Azure's; here something before the app does."""
    addresses: list[str] = []

    def host(route: Route) -> None:
        addresses.append(route.request.url)
        given = route.request.headers.get("x-functions-key")
        if given == KEY:
            route.continue_()
        else:
            route.fulfill(status=401)

    page.route(lambda url: "/api/" in url and "/api/dashboard" not in url, host)
    page.goto(f"{app.url}/api/dashboard")
    page.locator("dialog input").fill("a wrong one")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The app did not accept that key.")).to_be_visible()
    expect(page.locator("main .row")).to_have_count(0)
    assert barriers(page) == []
    page.locator("dialog input").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("main .row").first).to_be_visible()
    page.reload()
    expect(page.locator("main .row").first).to_be_visible()
    assert not [each for each in [*addresses, page.url] if KEY in each]
    page.get_by_role("button", name="Forget the key").click()
    expect(page.locator("dialog input")).to_be_visible()


def test_who_signed_in_to_look_is_offered_nothing_to_do(page: Page, app: App) -> None:
    """App Service signs in; its cookie is all that the page sends."""

    def calls(route: Route) -> None:
        assert "x-functions-key" not in route.request.headers
        route.fulfill(response=route.fetch(url=route.request.url.replace("/dashboard/calls", "")))

    told = {"signIn": "entra", "name": "ada@contoso.com", "roles": ["look"], "login": "/in", "logout": "/out"}
    page.route("**/api/dashboard/me", lambda route: route.fulfill(json=told))
    page.route("**/api/dashboard/calls/**", calls)
    show(page, app, "/pulls")
    expect(page.get_by_text("ada@contoso.com")).to_be_visible()
    expect(page.locator(".row.group")).to_be_visible()
    expect(page.get_by_role("button", name="Retry all")).to_have_count(0)
    expect(page.get_by_text("Pull cabs now")).to_have_count(0)


def test_a_sign_in_that_is_set_and_not_there_is_told(page: Page, app: App) -> None:
    page.route("**/api/dashboard/me", lambda route: route.fulfill(status=503, json={"detail": "it is not switched on"}))
    page.goto(f"{app.url}/api/dashboard")
    expect(page.get_by_text("Nobody can sign in: it is not switched on")).to_be_visible()


def test_what_was_known_stays_while_nothing_answers(page: Page, app: App, failures: list[Failure]) -> None:
    show(page, app)
    expect(page.get_by_role("link", name=failures[0].name).first).to_be_visible()
    known = page.locator("main .row").count()
    page.route("**/api/summary*", lambda route: route.abort())
    page.route("**/api/failures?*", lambda route: route.fulfill(status=503, json={"detail": "storage is busy"}))
    page.evaluate(COME_BACK)
    expect(page.locator("#trouble")).to_contain_text("storage is busy")
    expect(page.locator("#trouble")).to_contain_text("The app cannot be reached")
    expect(page.locator("main .row")).to_have_count(known)
    expect(page.get_by_text("Copied today")).to_be_visible()
    # What is not known is not told to be well, nor to be on its way.
    expect(page.locator("#strip .state")).to_contain_text("Not known")
    expect(page.locator("#strip .state time")).to_contain_text("ago")
    page.route("**/api/failures/*/*", lambda route: route.abort())
    page.get_by_role("link", name=failures[0].name).first.click()
    expect(page.get_by_role("heading", name="Not known at the moment")).to_be_visible()
    page.unroute_all()
    page.evaluate(COME_BACK)
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator("#strip .state")).to_contain_text("Look here")
    expect(page.get_by_role("heading", name=failures[0].name)).to_be_visible()


def test_rules_are_tried_before_anybody_uploads_them(page: Page, app: App, failures: list[Failure]) -> None:
    show(page, app, "/checks")
    plan = page.get_by_role("region", name="Plan")
    expect(plan.get_by_text("The next run")).to_contain_text("would take")
    plan.get_by_text("Try other rules").click()
    plan.get_by_label("Rules to try").fill('[[rules]]\nname = "no"\naction = "skip"')
    plan.get_by_role("button", name="Plan with these").click()
    expect(plan.get_by_role("table", name="What the rules skip")).to_contain_text("rule 'no'")
    expect(plan.get_by_text("would take 0 cabs")).to_be_visible()
    plan.get_by_label("Rules to try").fill("[[rules]]")
    plan.get_by_role("button", name="Plan with these").click()
    expect(page.locator("#toast")).to_contain_text("it lacks the key")
    expect(plan.get_by_role("table", name="What the rules skip")).to_have_count(0)
