"""Steering the simulator from outside, and what it shows of itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import requests

from local.azurite.server import Azurite
from local.simulator.builder import CabForm
from local.simulator.faults import Call
from tests.support.azurite import SOURCES

from .api_client import TIMEOUT, ApiClient

ROOT = Path(__file__).parents[3]


def send(api: ApiClient, method: str, path: str, **body: object) -> requests.Response:
    return requests.request(method, f"{api.simulator.url}/simulator{path}", json=body or None, timeout=TIMEOUT)


def test_faults_are_added_shown_and_removed(api: ApiClient) -> None:
    assert send(api, "POST", "/faults", call="report", kind="503", times=2).status_code == 201
    assert api.get("/analytics/driver/report").status_code == 503
    (waiting,) = send(api, "GET", "/faults").json()
    assert (waiting["call"], waiting["kind"], waiting["times"]) == ("report", "503", 1)
    assert send(api, "DELETE", "/faults").status_code == 204
    assert api.get("/analytics/driver/report").status_code == 200


def test_a_misspelled_fault_is_refused(api: ApiClient) -> None:
    answer = send(api, "POST", "/faults", call="report", kind="5O3")
    assert answer.status_code == 400
    assert "kind" in answer.json()["error"]


def test_new_cabs_arrive_while_it_runs(api: ApiClient) -> None:
    failure = api.simulator.builder.failure(1)
    api.simulator.publish()
    key = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    answer = send(api, "POST", "/cabs", **key, count=2, dumpSize=5_000, kind="cab")
    assert answer.status_code == 201
    added = [row for row in api.rows(failure.key) if row["cabIdHash"] in answer.json()["cabIdHashes"]]
    assert len(added) == 2
    assert requests.get(added[0]["cabUrl"], timeout=TIMEOUT).content.startswith(b"MSCF")
    assert send(api, "POST", "/cabs", applicationId="1", failureHash="2").status_code == 404


def test_a_cabs_bytes_can_be_withdrawn(api: ApiClient) -> None:
    failure = api.simulator.builder.failure(1)
    api.simulator.publish()
    (row,) = api.rows(failure.key)
    path = f"/cabs/{row['applicationId']}/{row['cabIdHash']}"
    assert [send(api, "DELETE", path).status_code for _ in range(2)] == [204, 404]
    assert requests.get(row["cabUrl"], timeout=TIMEOUT).status_code == 404
    assert len(api.rows(failure.key)) == 1


def test_a_new_run_is_published(api: ApiClient) -> None:
    failures = [api.simulator.builder.failure(1) for _ in range(3)]
    report = api.simulator.builder.report(failures[:1])
    api.simulator.publish()
    path = f"/reports/{report.report_id}/runs"
    named = send(api, "POST", path, form={"gzip": False}, failureHashes=[failures[2].key.failure_hash])
    assert (named.status_code, named.json()["failures"]) == (201, 1)
    assert send(api, "POST", path, form={}).json()["failures"] == 3
    runs = api.runs(report.report_id)
    assert len(runs) == 3
    assert failures[2].key.failure_hash in requests.get(runs[1]["ReportLocation"], timeout=TIMEOUT).text
    assert send(api, "POST", "/reports/1/runs", form={}).status_code == 404


def test_the_form_of_a_batch_can_be_replaced(api: ApiClient) -> None:
    assert send(api, "PUT", "/form", rowsKey="value", lastLink="absent", totalCount=False).status_code == 200
    assert api.batch(api.simulator.builder.failure(0).key).json() == {"value": []}
    assert send(api, "PUT", "/form", rowKey="value").status_code == 400


def test_what_was_served_is_counted_and_no_secret_is_shown(api: ApiClient, access_token: str) -> None:
    failure = api.simulator.builder.failure(2, CabForm((3_000, 3_000)))
    report = api.simulator.builder.report([failure])
    api.simulator.publish()
    rows = api.rows(failure.key)
    api.runs(report.report_id)
    api.get("/nowhere")
    text = send(api, "GET", "/served").text
    served = msgspec.json.decode(text)
    assert served["calls"] == {"cabdownloadbatch": {"200": 1}, "reportdata": {"200": 1}, "unknown": {"404": 1}}
    assert [(run["reportId"], run["times"]) for run in served["reports"]] == [(report.report_id, 1)]
    (shown,) = served["failures"]
    assert (shown["failureHash"], shown["pages"]) == (failure.key.failure_hash, 1)
    assert {(cab["cabIdHash"], cab["times"]) for cab in shown["cabs"]} == {(row["cabIdHash"], 1) for row in rows}
    assert all(cab["size"] > 3_000 and cab["kind"] in {"zip", "cab"} for cab in shown["cabs"])
    secrets = [access_token, "sig=", *(row["cabUrl"].partition("?")[2] for row in rows)]
    secrets += [value for cab in api.simulator.world.cabs(failure.key) for value in (cab.machine.device_id,)]
    assert not [secret for secret in secrets if secret in text]


def test_the_page_needs_nothing_from_elsewhere(api: ApiClient) -> None:
    answer = send(api, "GET", "")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "://" not in answer.text
    assert "innerHTML" not in answer.text, "names come from outside and must not become markup"


def test_an_unexpected_error_is_remembered(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of the simulator must fail the test that meets it, not look like a failing API."""
    monkeypatch.setattr(api.simulator.ledger, "note_page", None)
    assert api.batch(api.simulator.builder.failure(0).key).status_code == 500
    assert api.simulator.ledger.problems == ["cabdownloadbatch: TypeError"]
    api.simulator.ledger.problems.clear()


def test_an_unknown_path_is_counted(api: ApiClient) -> None:
    assert api.get("/v1.0/my/analytics/ihvdriver/cabdownload").status_code == 404
    assert api.simulator.ledger.answers(Call.UNKNOWN) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to end a process in good order")
def test_it_runs_by_itself(azurite: Azurite, tmp_path: Path, access_token: str) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text('{"world": {"failures": 4, "cabs": 3, "largestFailure": 2, "largestDump": 70000, "seed": 77}}')
    storage = msgspec.json.encode({name: azurite.connection_string(name) for name in SOURCES}).decode()
    environment = {**os.environ, "SIMULATOR_STORAGE": storage, "DEVCENTER_ACCESS_TOKEN": access_token}
    command = [sys.executable, "-m", "local.simulator", "--scenario", str(scenario)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[3]
            headers = {"Authorization": f"Bearer {access_token}"}
            listed = requests.get(f"{url}/analytics/driver/report", headers=headers, timeout=TIMEOUT)
            assert len(listed.json()["data"]) == 2
            assert len(requests.get(f"{url}/simulator/served", timeout=TIMEOUT).json()["failures"]) == 4
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0


def test_without_storage_or_a_token_it_says_what_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DEVCENTER_ACCESS_TOKEN"}
    command = [sys.executable, "-m", "local.simulator"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "set DEVCENTER_ACCESS_TOKEN, and SIMULATOR_STORAGE" in done.stderr
