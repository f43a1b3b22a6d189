"""What a URL or a host name tells by its spelling."""

import re


def is_loopback(host: str) -> bool:
    """Tell whether a host name means this machine, by its spelling alone (nothing is looked up).

    Args:
        host: A host name or address without its port.
    """
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
