"""The parts fit together on any kind of access that Azure gives, and a first start makes what is missing."""

from collections.abc import Iterator

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import AccountSasPermissions, ResourceTypes

from local.simulator.scenario import BatchForm, BlobHost
from local.simulator.thread import SimulatorThread
from shared import services as module
from shared.core.errors import SettingsError
from shared.progress.pull_row import PullState
from shared.services import Services, services
from tests.support.azurite import ALL_RIGHTS, StorageAccount, with_sas

from .app import App, failure_of, served
from .conftest import MakeApp


def test_what_is_missing_is_made_once(app: App) -> None:
    app.services.create_missing()
    Services(app.settings).create_missing()
    assert app.container.exists()
    assert app.waiting_messages() == 0
    with TableServiceClient.from_connection_string(app.storage.connection_string) as tables:
        assert {table.name for table in tables.list_tables()} == {"reports", "pulls", "cabs", "failures", "health"}


@pytest.mark.parametrize("host", BlobHost)
def test_a_sas_serves_in_the_place_of_a_key(
    make_app: MakeApp, storage: StorageAccount, simulator: SimulatorThread, host: BlobHost
) -> None:
    simulator.form = BatchForm(cab_host=host)
    failure = served(simulator, 3)
    make_app()
    types = ResourceTypes(service=True, container=True, object=True)
    app = make_app(CAB_STORAGE=with_sas(storage, types, ALL_RIGHTS))
    app.request(failure)
    app.work_off()
    assert (app.row(failure).state, app.row(failure).counts.copied) == (PullState.COMPLETED, 3)


# The storage SDKs read an XML error with it.
@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
def test_an_app_that_may_create_nothing_starts_all_the_same(make_app: MakeApp, storage: StorageAccount) -> None:
    """A deployment makes containers, queues and tables, and gives the app no right to."""
    make_app()
    limited = with_sas(storage, ResourceTypes(object=True), AccountSasPermissions(read=True))
    make_app(CAB_STORAGE=limited)


@pytest.fixture
def fresh_process() -> Iterator[None]:
    """What a process remembers of its services is forgotten, before and after."""
    module._made.cache_clear()
    yield
    module._made.cache_clear()


@pytest.mark.usefixtures("fresh_process")
def test_a_setting_that_is_mended_helps_without_a_new_process(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local host and a warm worker go on; what failed must not be remembered."""
    monkeypatch.setenv("CAB_STORAGE", "")
    with pytest.raises(SettingsError, match="CAB_STORAGE"):
        services()
    for name, value in {
        "CAB_STORAGE": app.storage.connection_string,
        "DEVCENTER_BASE_URL": simulator.url,
        "DEVCENTER_ACCESS_TOKEN": "token",
    }.items():
        monkeypatch.setenv(name, value)
    failure = simulator.builder.failure(0)
    assert services().pulls.get(failure_of(failure)) is None
    assert services() is services()
