"""The container that receives cabs, and an account of the same Azurite that holds them."""

import pytest

from local.azurite.server import Azurite
from tests.support.azurite import StorageAccount

from .copying import Destination, SourceAccount


@pytest.fixture
def destination(storage: StorageAccount) -> Destination:
    return Destination(storage)


@pytest.fixture
def sources(azurite: Azurite) -> SourceAccount:
    return SourceAccount(azurite)
