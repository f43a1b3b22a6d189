"""The family of desktop applications: accounts in the Windows Desktop Application program."""

from shared.devcenter.applications import ApplicationFamily

# An application id is a decimal above 2^63, a cab id a GUID.
DESKTOP = ApplicationFamily("desktop", "desktop/", "cabIdHash", "filename", "applicationversion")
