"""From "which cabs of this driver version" to an opened archive: the container and its catalog alone."""

import os
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import ContainerClient, ContainerSasPermissions, ContentSettings, generate_container_sas
from cabferry.download import DamagedError, StoppedError, download

from local.azurite.server import Azurite
from local.simulator.thread import SimulatorThread
from tests.integration.app import App
from tests.support.azurite import StorageAccount
from tests.support.dumps import kernel_dump

from .conftest import CONTAINER, Cabferry, Cabs, archive

ROOT = Path(__file__).parents[3]


def test_two_commands_from_a_driver_version_to_an_opened_archive(
    cabs: Cabs, cabferry: Cabferry, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        cabs.add(number)
    cabs.add(4, driverVersion="2.0.0.0")
    cabs.add(5, state="expired", blobName=None, length=None, md5=None, copiedAt=None, retiresAt=None)
    cabs.publish()

    listed = cabferry("failures", "--driver", "acme.sys", "--version", "1.2.*", "--os", "24H2")
    assert listed.code == 0
    assert "1fd83f6d  0x9F_3_acme!DrvPower  acme.sys  1.2.3.4" in listed.out
    got = cabferry("get", "1fd83f6d", "--version", "1.2.*", "--newest", 2, "-o", tmp_path / "cabs")

    assert got.code == 0, got.error
    folder = tmp_path / "cabs" / "0x9F_3_acme!DrvPower" / "1.2.3.4"
    assert {path.name for path in folder.iterdir()} == {"2026-11-03_00000003", "2026-11-02_00000002"}
    dump = folder / "2026-11-03_00000003" / "memory.dmp"
    assert dump.read_bytes() == kernel_dump()
    assert got.out.splitlines()[0] == f'windbg -z "{dump}"  (delete by 2126-12-03)'
    assert "2 of 4 cabs" in got.error


def test_a_place_that_cannot_be_a_folder_is_told(cabs: Cabs, cabferry: Cabferry, tmp_path: Path) -> None:
    cabs.add(1)
    cabs.publish()
    (tmp_path / "file").touch()
    got = cabferry("get", "1fd83f6d", "-o", tmp_path / "file")
    assert (got.code, "cannot be a folder" in got.error) == (2, True)


def test_what_the_app_copied_is_found_and_opened(
    app: App, simulator: SimulatorThread, cabferry: Cabferry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The catalog that the app writes, and archives of both kinds."""
    failure = simulator.builder.failure(4)
    simulator.builder.report([failure])
    simulator.publish()
    app.check()
    app.work_off()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", app.storage.connection_string)
    monkeypatch.setenv("CABFERRY_CONTAINER", app.settings.container)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (listed,) = cabferry("failures", "--driver", failure.driver, "--version", failure.driver_version, "--json").json
    assert (listed["failureName"], listed["cabs"], listed["held"], listed["newIn7Days"]) == (failure.name, 4, 4, 4)
    got = cabferry("get", listed["hash"], "--json", "-o", tmp_path / "cabs")
    assert got.code == 0, got.error
    made = {each["cabIdHash"]: Path(each["dumps"][0]).stat().st_size for each in got.json}
    assert made == {cab.cab_id_hash: cab.archive.dump_size for cab in simulator.world.cabs(failure.key)}
    assert all(each["deleteBy"] for each in got.json)


def test_what_is_here_is_not_fetched_again(cabs: Cabs, cabferry: Cabferry, tmp_path: Path) -> None:
    row = cabs.add(1)
    cabs.publish()
    first = cabferry("get", "acme.sys", "--json", "-o", tmp_path)
    cabs.client.delete_blob(str(row["blobName"]))
    again = cabferry("get", "acme.sys", "--json", "-o", tmp_path)
    assert (first.code, again.code) == (0, 0)
    assert again.json == first.json
    assert first.json[0]["windbg"] == [f'windbg -z "{first.json[0]["dumps"][0]}"']


def test_a_download_that_was_cut_goes_on_and_is_checked(cabs: Cabs, cabferry: Cabferry, tmp_path: Path) -> None:
    data = archive(kernel_dump(9 << 20))
    cabs.add(1, data)
    cabs.publish()
    folder = tmp_path / "0x9F_3_acme!DrvPower" / "1.2.3.4"
    folder.mkdir(parents=True)
    part = folder / "2026-11-01_00000001.archive.part"
    for begun in (data[: 5 << 20], b"another file", data + b"too long"):
        part.write_bytes(begun)
        got = cabferry("get", "acme.sys", "-o", tmp_path)
        assert got.code == 0, got.error
        assert {path.name for path in folder.iterdir()} == {"2026-11-01_00000001"}
        made = folder / "2026-11-01_00000001"
        assert (made / "memory.dmp").stat().st_size == 9 << 20
        made.rename(tmp_path / f"done {len(begun)}")


def test_a_download_that_was_stopped_goes_on_where_it_was(cabs: Cabs, tmp_path: Path) -> None:
    data = archive(kernel_dump(33 << 20))
    blob = cabs.client.get_blob_client(str(cabs.add(1, data)["blobName"]))
    stop, came = Event(), list[int]()

    def stopping(count: int) -> None:
        came.append(count)
        stop.set()

    with pytest.raises(StoppedError):
        download(blob, tmp_path / "a", "", 1, stopping, stop)
    assert (tmp_path / "a.part").read_bytes() == data[: 8 << 20]
    download(blob, tmp_path / "a", "", 2, came.append, Event())
    assert (tmp_path / "a").read_bytes() == data
    assert sum(came) == len(data) + (8 << 20)


def test_a_length_is_checked_where_no_md5_is_known(cabs: Cabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = cabs.add(1, archive(kernel_dump()))
    blob = cabs.client.get_blob_client(str(row["blobName"]))
    blob.set_http_headers(ContentSettings())
    monkeypatch.setattr("cabferry.download._ranges", lambda *_: iter([b"short"]))
    with pytest.raises(DamagedError, match="5 bytes"):
        download(blob, tmp_path / "a", "", 1, lambda _: None, Event())


def test_what_came_damaged_twice_is_no_cab(cabs: Cabs, tmp_path: Path) -> None:
    row = cabs.add(1)
    blob = cabs.client.get_blob_client(str(row["blobName"]))
    blob.set_http_headers(ContentSettings(content_md5=bytearray(16)))
    came = list[int]()
    with pytest.raises(DamagedError, match="twice with 16696 bytes and the MD5"):
        download(blob, tmp_path / "a", "", 1, came.append, Event())
    assert list(tmp_path.iterdir()) == []


def test_one_bad_cab_stops_no_other(cabs: Cabs, cabferry: Cabferry, tmp_path: Path) -> None:
    cabs.add(1)
    cabs.add(2, b"<html>sign in</html>")
    gone = cabs.add(3)
    cabs.add(4, md5="0" * 32)  # the blob's own MD5 is right, and comes first
    cabs.publish()
    cabs.client.delete_blob(str(gone["blobName"]))

    got = cabferry("get", "acme.sys", "--json", "-o", tmp_path)

    assert got.code == 6
    errors = {each["cabIdHash"][:8]: each["error"] for each in got.json}
    assert (errors["00000001"], errors["00000004"]) == (None, None)
    assert errors["00000002"].startswith("it is neither a ZIP archive nor a cabinet nor a dump (kept as ")
    assert errors["00000003"].endswith("BlobNotFound, it is not there (any more)")
    assert "2 of 4 cabs failed" in got.error


def test_show_reads_the_header_alone(cabs: Cabs, cabferry: Cabferry) -> None:
    cabs.add(1, archive(kernel_dump(5 << 20)))
    cabs.publish()
    shown = cabferry("show", "00000001", "--json")
    assert shown.code == 0
    assert (shown.json["dump"]["bugCheck"], shown.json["dump"]["osBuild"]) == ("0x9F", "26100")
    assert shown.json["note"] == "read 131 KB of 5.2 MB"
    text = cabferry("show", "1fd83f6d").out
    assert "DRIVER_POWER_STATE_FAILURE" in text
    assert "1 d (93784 s)" in text


def test_a_hostile_catalog_writes_nothing_elsewhere_and_steers_no_terminal(
    cabs: Cabs, cabferry: Cabferry, tmp_path: Path
) -> None:
    cabs.add(1, failureName="../../evil\x1b[2J", driverVersion="..", cabIdHash="../../../x")
    cabs.publish()
    assert "\x1b" not in cabferry("failures").out
    got = cabferry("get", "acme.sys", "-o", tmp_path / "in")
    assert got.code == 0, got.error
    assert "\x1b" not in got.out + got.error
    outside = [path for path in tmp_path.iterdir() if path.name not in {"in", "cache"}]
    assert outside == []


def test_the_newest_row_of_several_files_counts(cabs: Cabs, cabferry: Cabferry) -> None:
    cabs.add(1, failureName=None)
    cabs.publish("1")
    cabs.rows[0]["failureName"] = "named later"
    cabs.publish("2")
    assert [each["failureName"] for each in cabferry("failures", "--json").json] == ["named later"]


def test_files_of_the_catalog_are_fetched_once(
    cabs: Cabs, cabferry: Cabferry, azurite: Azurite, storage: StorageAccount, tmp_path: Path
) -> None:
    cabs.add(1)
    cabs.publish()
    assert cabferry("failures").code == 0
    (kept,) = (tmp_path / "cache").rglob("*.parquet")
    # That of a command that runs beside this one, and one that no listing names any more.
    coming, old = kept.with_suffix(".1.part"), kept.with_name("old.parquet")
    for path, at in ((coming, datetime.now(UTC)), (old, datetime.now(UTC) - timedelta(days=2))):
        path.touch()
        os.utime(path, (at.timestamp(), at.timestamp()))
    before = len(azurite.requests(storage.name))
    assert cabferry("failures").code == 0
    assert [each.comp for each in azurite.requests(storage.name)[before:]] == ["list"]
    assert {*kept.parent.iterdir()} == {kept, coming}


def test_a_catalog_that_is_put_together_meanwhile_is_read_again(
    cabs: Cabs, cabferry: Cabferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the cabs of a whole day would be missing, and nothing would say so."""
    cabs.add(1)
    cabs.publish("1")
    fetch = ContainerClient.download_blob

    def put_together(container: ContainerClient, blob: str) -> Any:
        monkeypatch.setattr(ContainerClient, "download_blob", fetch)
        cabs.publish("2")
        cabs.client.delete_blob(blob)
        return container.download_blob(blob)

    monkeypatch.setattr(ContainerClient, "download_blob", put_together)
    assert [each["cabs"] for each in cabferry("failures", "--json").json] == [1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("failures", "--driver", "none.sys"), 3, "no cab fits"),
        (("get", "nothing.sys"), 3, "no failure, driver or cab is 'nothing.sys'"),
        (("get", "acme.sys", "--version", "9.*"), 3, "no cab of it fits the options"),
        (("show", "00000009"), 3, "no failure, driver or cab"),
        (("failures", "--container", "http://example.com/x"), 2, "not the https URL of a container"),
        (("failures", "--container", "other"), 3, "ContainerNotFound"),
    ],
)
def test_exit_codes_tell_what_happened(
    cabs: Cabs, cabferry: Cabferry, arguments: tuple[str, ...], code: int, said: str
) -> None:
    cabs.add(1)
    cabs.publish()
    done = cabferry(*arguments)
    assert done.code == code
    assert said in done.error
    assert "Traceback" not in done.error


def test_no_catalog_is_told(cabs: Cabs, cabferry: Cabferry) -> None:
    done = cabferry("failures")
    assert (done.code, "has no catalog" in done.error) == (3, True)


def sas_url(cabs: Cabs, storage: StorageAccount, lives: timedelta) -> str:
    sas = generate_container_sas(
        storage.name,
        CONTAINER,
        storage.key,
        permission=ContainerSasPermissions(read=True, list=True),
        start=datetime.now(UTC) - timedelta(days=2),
        expiry=datetime.now(UTC) + lives,
    )
    return f"{cabs.client.url}?{sas}"


def test_a_sas_is_enough_and_what_is_written_is_its_users_alone(
    cabs: Cabs, storage: StorageAccount, tmp_path: Path
) -> None:
    """As a process of its own, which sets its umask."""
    cabs.add(1)
    cabs.publish()
    environment = {
        **os.environ,
        "CABFERRY_CONTAINER": sas_url(cabs, storage, timedelta(hours=1)),
        "PYTHONPATH": str(ROOT / "client"),
    }
    command = [sys.executable, "-m", "cabferry", "get", "acme.sys", "-o", "to"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sig=" not in done.stdout + done.stderr
    made = list((tmp_path / "to").rglob("*"))
    assert made
    if os.name != "nt":
        assert not any(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for path in made)


def test_a_sas_that_ran_out_is_told_and_not_shown(
    cabs: Cabs, storage: StorageAccount, cabferry: Cabferry, caplog: pytest.LogCaptureFixture
) -> None:
    done = cabferry("failures", "--container", sas_url(cabs, storage, timedelta(hours=-1)))
    assert (done.code, "a SAS may have run out" in done.error) == (4, True)
    assert "sig=" not in done.out + done.error + caplog.text
    assert "a SAS in an argument stays in the history" in caplog.text


def test_an_account_that_does_not_answer_shows_no_sas(
    cabs: Cabs, storage: StorageAccount, cabferry: Cabferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = urlsplit(sas_url(cabs, storage, timedelta(hours=1)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("CABFERRY_CONTAINER", url._replace(netloc=f"127.0.0.1:{port}").geturl())
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda _self, _seconds: None)
    done = cabferry("failures")
    assert (done.code, "is the network up?" in done.error) == (5, True)
    assert "sig=" not in done.error
