"""The address of an app, as people type it."""

import argparse
from urllib.parse import urlsplit

_HERE = ("127.0.0.1", "localhost", "::1")


def address(text: str) -> str:
    """Return an address with its scheme and without a slash at its end.

    Args:
        text: With a scheme or without: then https, so that a key crosses no network in the clear, but for this machine.

    Raises:
        argparse.ArgumentTypeError: It is none, or holds a key or a password, which is shown wherever it is.
    """
    try:
        if "://" not in text:
            text = f"{'http' if urlsplit(f'//{text}').hostname in _HERE else 'https'}://{text}"
        parts = urlsplit(text)
    except ValueError:
        raise argparse.ArgumentTypeError("it is no address such as https://APP.azurewebsites.net") from None
    if parts.query or "@" in parts.netloc:
        raise argparse.ArgumentTypeError("neither key nor password belongs into it: a key belongs into a variable")
    return text.rstrip("/")
