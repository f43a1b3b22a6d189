"""The family of Store apps."""

from shared.devcenter.applications import ApplicationFamily

# An application id is a Store id (9NBLGGGZ5QDR), a cab id a decimal of up to 19 digits, and so a text everywhere.
APP = ApplicationFamily("app", "", "cabId", "packagename", "packageversion")
