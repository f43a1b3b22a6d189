"""The trial in a subscription of one's own: what it serves for the Dev Center, and that nothing of it stays behind."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.smoke import APPLICATION, CAB, FAILURE, PAGE, page
from shared.core.failure import Failure
from shared.devcenter.driver import batch_url, page_in
from tests.support.loopback import Answer, LoopbackServer, Seen
from tests.unit.devcenter.devcenter_client import WINDOW, dev_center
from tests.unit.infra.predicted import ROOT
from tests.unit.infra.stand_in import StandIn

NOW = datetime(2026, 11, 28, 15, 0, tzinfo=UTC)
KEYS = {
    "storage account create": {"primaryEndpoints": {"web": "https://smoke.z6.web.core.windows.net/"}},
    "storage account keys list": [{"value": "a-key"}],
    "storage blob generate-sas": "https://smoke.blob.core.windows.net/cabs/a.ext.zip?sig=secret",
    "functionapp keys list": "a-function-key",
    "": "",
}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script whose first line names its program")


def test_the_page_is_one_that_the_app_reads_and_lies_where_it_asks() -> None:
    url = "https://smoke.blob.core.windows.net/cabs/a.ext.zip?sp=r&sig=a%2Fb%3D"
    read = page_in(json.dumps(page(url, NOW)).encode(), "the page")
    (cab,) = read.cabs
    assert (cab.cab_id_hash, cab.url, cab.expires, read.total, read.unreadable) == (
        CAB,
        url,
        "2026-12-27 15:00:00",
        1,
        (),
    )
    asked = batch_url(dev_center("https://smoke.example"), Failure(APPLICATION, FAILURE), WINDOW, 0)
    assert urlsplit(asked).path == f"/{PAGE}"


@pytest.mark.parametrize(
    ("state", "removal"), [("Completed", ""), ("Failed", "ERROR: Please run 'az login' to setup account.")]
)
def test_what_was_made_is_taken_away_however_it_went(tmp_path: Path, state: str, removal: str) -> None:
    """A trial that stays behind is a bill that nobody expects."""
    az = StandIn(tmp_path, "az", {"role assignment delete": removal, **KEYS})

    def answered(seen: Seen) -> Answer:
        if seen.path.endswith("/content"):
            (content,) = [call[call.index("--file") + 1] for call in az.calls() if "cabs" in call and "upload" in call]
            return Answer(Path(content).read_bytes())
        return Answer(json.dumps({"state": state, "cabs": {"copied": 1}, "lastError": None}).encode())

    with LoopbackServer(answered) as app:
        told = {"CABFERRY_URL": app.url, "AZURE_RESOURCE_GROUP": "rg", "AZURE_FUNCTION_NAME": "func"}
        roles = {"CABFERRY_ROLE_ID": "writer", "CABFERRY_READER_ROLE_ID": "reader", "CABFERRY_CONTAINER_ID": "/c"}
        azd = StandIn(tmp_path, "azd", {"env get-values": json.dumps({**told, **roles}), "": ""})
        done = subprocess.run(
            [sys.executable, "-m", "infra.smoke"],
            cwd=ROOT,
            env={
                "PATH": str(tmp_path),
                "AZURE_SUBSCRIPTION_ID": "s",
                "AZURE_LOCATION": "westeurope",
                "SMOKE_SECONDS": "0.3",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == (0 if state == "Completed" else 1), done.stdout + done.stderr
    assert "secret" not in done.stdout
    assert [call[0] for call in azd.calls()][-1] == "down"
    assert [call[0] for call in azd.calls() if call[0] in {"provision", "deploy"}] == ["provision", "deploy"]
    last = [" ".join(call[:3]) for call in az.calls()][-5:]
    assert last == ["role assignment delete", "role definition delete"] * 2 + ["group delete --yes"]
