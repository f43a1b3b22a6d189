"""What keeps dumps from being public, or stored for too long, must not be lost in an edit of the deployment."""

import pytest

from .conftest import Break

CABS, FUNCTION = "infra/app/cab-storage.bicep", "infra/app/function.bicep"


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (CABS, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true", "allowBlobPublicAccess of account"),
        (CABS, "    allowSharedKeyAccess: false\n", "", "allowSharedKeyAccess of account is not False"),
        (CABS, "'TLS1_2'", "'TLS1_0'", "minimumTlsVersion of account is not 'TLS1_2'"),
        (CABS, "supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false", "supportsHttpsTrafficOnly"),
        (CABS, "publicAccess: 'None'", "publicAccess: 'Blob'", "publicAccess of container is not 'None'"),
        (CABS, "isVersioningEnabled: false", "isVersioningEnabled: true", "isVersioningEnabled of blobService"),
        (CABS, "      enabled: false", "      enabled: true", "deleteRetentionPolicy.enabled of blobService"),
        (CABS, "accessTier: 'Hot'", "allowedCopyScope: 'AAD'", "allowedCopyScope of account is set"),
        ("infra/app/host-storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "allowSharedKey"),
        ("infra/app/secret-vault.bicep", "enableRbacAuthorization: true", "enableRbacAuthorization: false", "Rbac"),
        ("infra/app/monitoring.bicep", "DisableLocalAuth: true", "DisableLocalAuth: false", "DisableLocalAuth"),
        (FUNCTION, "httpsOnly: true", "httpsOnly: false", "httpsOnly of app is not True"),
        (FUNCTION, "minTlsVersion: '1.2'", "minTlsVersion: '1.0'", "minTlsVersion of app is not '1.2'"),
        (FUNCTION, "minTlsVersion: '1.2'", "minTlsVersion: '1.2'\n      cors: {\n      }", "cors of app is set"),
    ],
)
def test_a_protection_that_is_lost_is_found(broken: Break, name: str, old: str, new: str, told: str) -> None:
    (found,) = broken(name, old, new)
    assert told in found
    assert found.startswith(name)
