"""The OpenAPI document against the running app: what it promises is what comes, whatever is sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
from tests.system.app import App, environment
from tests.system.playground import Playground

_SECONDS = 8
# Left out, each for what the Functions host is, or a schema cannot say: keys are checked in Azure and not by the local
# host; an unknown method is 404 there and here, never 405; days can be in the wrong order, and a continuation one
# that no page ever returned.
_LEFT_OUT = "ignored_auth,unsupported_method,positive_data_acceptance"
# Without these, hardly a call would find a pull.
_CONFIG = """
[dictionaries.applications]
values = {applications}
[dictionaries.hashes]
values = {hashes}
[parameters]
"path.applicationId" = {{ dictionary = "applications", probability = 0.7 }}
"path.failureHash" = {{ dictionary = "hashes", probability = 0.7 }}
"""


@pytest.fixture(scope="module")
def failures(shared_playground: Playground) -> list[Failure]:
    """Two failures of one application, one whose cabs can be had and one that the Dev Center refuses."""
    builder = shared_playground.simulator.builder
    copied = builder.failure(3)
    refused = copied
    while refused is copied or refused.key.application_id != copied.key.application_id:
        refused = builder.failure(1)
    builder.report([copied, refused])
    shared_playground.simulator.publish()
    shared_playground.fail(refused, FaultKind.BAD_REQUEST, None)
    return [copied, refused]


@pytest.fixture(scope="module")
def app(shared_playground: Playground, failures: list[Failure]) -> App:
    """An app with pulls that ended well and badly, so that its answers have something to tell."""
    app = shared_playground.start(may_raise=True)
    shared_playground.check(app)
    assert [pull.state for pull in shared_playground.ends(app, *failures)] == ["Completed", "Failed"]
    return app


def test_only_what_is_documented_comes_out(app: App, failures: list[Failure], tmp_path: Path) -> None:
    """A client that was made from the document must meet no status, type or field that is not in it, and no 500."""
    config = tmp_path / "schemathesis.toml"
    applications, hashes = zip(*((each.key.application_id, each.key.failure_hash) for each in failures), strict=True)
    config.write_text(_CONFIG.format(applications=list(set(applications)), hashes=list(hashes)), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"{app.url}/api/openapi.json"),
        *("--exclude-checks", _LEFT_OUT),
        *("--max-time", str(_SECONDS)),
        *("--seed", "7"),
        *("--suppress-health-check", "all"),
        "--continue-on-failure",
        "--no-color",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment({}), capture_output=True, text=True, timeout=8 * _SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # aiohttp shows its own for what is no HTTP, which schemathesis sends to find out what it may send.
    assert app.log.count("Traceback") == app.log.count("BadHttpMessage: ")
