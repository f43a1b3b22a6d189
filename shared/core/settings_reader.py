"""Read settings one by one and keep what is wrong with them, so that one error can name them all."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from shared.core.errors import SettingsError
from shared.core.redaction import never_show
from shared.core.settings_table import BY_NAME, UNRESOLVED
from shared.core.urls import is_loopback

# What is secret within a connection string.
_KEYS = re.compile(r"(?:AccountKey|SharedAccessSignature)=([^;]+)", re.IGNORECASE)


class SettingsReader:
    """Read settings, and keep the first problem of each.

    Args:
        environment: Names and values, as the Functions host hands app settings to the worker.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: dict[str, str] = {}

    def raw(self, name: str) -> str:
        """Return what the environment says, which may be no setting of the app."""
        return self._environment.get(name, "").strip()

    def set(self, name: str) -> str:
        """Return what is set, and nothing in place of a reference to a value that could not be fetched."""
        value = self.raw(name)
        if not (reference := UNRESOLVED.match(value)):
            return value
        where = "Key Vault" if reference[1].lower() == "keyvault" else "App Configuration"
        self.problems[name] = (
            f"{name} is a reference to {where} that the platform could not resolve: check that the secret is there and "
            f"not disabled, and that the app's identity may read it (the app setting in the portal says why)"
        )
        return ""

    def text(self, name: str) -> str:
        """Return what is set, else the default."""
        setting = BY_NAME[name]
        value = self.set(name) or setting.default or ""
        if setting.secret:
            never_show(value, *_KEYS.findall(value))
        return value

    def matching(self, name: str, pattern: str, meaning: str) -> str:
        """Return a text that must match a pattern."""
        value = self.text(name)
        self.check(name, re.fullmatch(pattern, value) is not None, f"{name} is {value!r}, which is not {meaning}")
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        value = self.text(name)
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            self.problem(name, f"{name} is {value!r}, which is not a whole number from {least} to {most}")
            return least
        return int(value)

    def listed(self, name: str) -> tuple[str, ...]:
        """Return the parts of a list, without those that are empty."""
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())

    def url(self, name: str, value: str) -> str:
        """Take a service's URL without its trailing slash: https (http on loopback), no part that could be secret."""
        try:
            parts = urlsplit(value)
            _ = parts.port  # raises where it is no number
            good = (
                parts.hostname is not None
                and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)))
                and not (parts.query or parts.fragment or "@" in parts.netloc)
            )
        except ValueError:
            good = False
        self.check(name, good, f"{name} is {'missing' if not value else 'not an https URL without a query or a user'}")
        return value.rstrip("/")

    def check(self, name: str, good: bool, problem: str) -> None:
        """Keep a problem of a setting that is not good."""
        if not good:
            self.problem(name, problem)

    def problem(self, name: str, problem: str) -> None:
        """Keep the first problem of each setting: what follows from it needs no mending of its own."""
        self.problems.setdefault(name, problem)


def parsed[T](environment: Mapping[str, str], parse: Callable[[SettingsReader], T]) -> T:
    """Return what is parsed of an environment.

    Raises:
        SettingsError: Names every setting that is missing or malformed, all at once, and shows no secret.
    """
    read = SettingsReader(environment)
    value = parse(read)
    if read.problems:
        raise SettingsError("; ".join(read.problems.values()) + ". docs/operate.md lists every setting.")
    return value
