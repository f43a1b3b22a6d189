"""`python3 dev.py plan`: what rules would do is known before they are uploaded."""

from pathlib import Path

from azure.storage.blob import BlobServiceClient

from tests.system.app import typed
from tests.system.playground import Playground

RULES = '[[rules]]\nname = "none of it"\naction = "skip"\n'


def test_rules_are_tried_uploaded_and_followed(playground: Playground, tmp_path: Path) -> None:
    failure = playground.simulator.builder.failure(2)
    playground.simulator.builder.report([failure])
    playground.simulator.publish()
    file = tmp_path / "keep.toml"
    file.write_text(RULES, encoding="utf-8")
    with BlobServiceClient.from_connection_string(playground.storage.connection_string) as blobs:
        blobs.create_container("failure-cabs").upload_blob("_settings/keep.toml", RULES)
    app = playground.start()
    playground.check(app)
    done = typed("plan", "--url", app.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "would take 0 failures, 0 cabs" in done.stdout
    assert "skips      2 cabs of 1 failures: rule 'none of it'" in done.stdout
    cabs = app.get(f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}/cabs").json()["cabs"]
    assert {(each["state"], each["error"]) for each in cabs} == {("skipped", "rule 'none of it'")}
    (told,) = app.get("/api/failures").json()["failures"]
    assert (told["cabs"]["skipped"], told["cabs"]["missing"]) == (2, 0)
    assert not playground.api_requests(failure)
    file.write_text("", encoding="utf-8")
    assert "would take 1 failures, 2 cabs" in typed("plan", "--url", app.url, "--rules", str(file)).stdout
    file.write_text("[[rules]]", encoding="utf-8")
    wrong = typed("plan", "--url", app.url, "--rules", str(file))
    assert wrong.returncode == 1
    assert "rule 1 (without a name): it lacks the key `name`" in wrong.stderr
