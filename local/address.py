"""The address of an app, as people type it."""

from urllib.parse import urlsplit

_HERE = ("127.0.0.1", "localhost", "::1")


def address(text: str) -> str:
    """Return an address with its scheme and without a slash at its end.

    Args:
        text: With a scheme or without: then https, so that a key crosses no network in the clear, but for this machine.
    """
    if "://" not in text:
        text = f"{'http' if urlsplit(f'//{text}').hostname in _HERE else 'https'}://{text}"
    return text.rstrip("/")
