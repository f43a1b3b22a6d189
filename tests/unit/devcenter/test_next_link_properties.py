"""Wherever a next link of a page points: the token goes to the Dev Center's own host, or nowhere."""

from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.errors import BadInput

from .devcenter_client import dev_center

OURS = "manage.devcenter.microsoft.com"
BASE = f"https://{OURS}"
STARTS = st.sampled_from(
    [
        "",
        "/",
        "//",
        "///",
        "\\\\",
        "/\\",
        "https://",
        "HTTPS://",
        "http://",
        "https:/",
        "https:",
        " https://",
        "\thttps://",
        "@",
        ":1@",
        ".",
        "?",
        "#",
        BASE,
        BASE + "@",
        BASE + ".",
        BASE + ":443@",
        f"//{OURS}",
        "driver/cabdownloadbatch?skip=100",
        "v1.0/my/analytics/",
    ]
)
HOSTS = st.sampled_from(
    ["", "evil.example", "evil.example:443", "[::1]", "127.0.0.1", "manage.devcenter.microsoft.com"]
)
REST = st.text(st.sampled_from("ab.:/@\\?#%[]-_~;1é\t\r\n\0 &='"), max_size=20) | st.text(max_size=20)


@given(start=STARTS, host=HOSTS, rest=REST)
@example(start="", host="", rest="desktop/failuredetails?applicationId=1&startDate='2026-01-01 00:00:00'")
@example(start="@", host="evil.example", rest="/x")
@example(start=".", host="evil.example", rest="/x")
def test_no_link_leads_a_token_to_another_host(start: str, host: str, rest: str) -> None:
    """Three parsers read the address before it is asked: ours, that of requests, and that of urllib3."""
    try:
        url = dev_center(BASE).next_url(start + host + rest)
    except BadInput:
        return
    assert url.isascii()
    try:
        sent_to = requests.Request("GET", url).prepare().url or ""
    except requests.RequestException:
        return  # asked of nobody
    for read in (urlsplit(url), urlsplit(sent_to)):
        assert (read.scheme, read.hostname, read.port) == ("https", OURS, None), url
    last = urllib3.util.parse_url(sent_to)
    assert (last.scheme, last.host, last.port, last.auth) == ("https", OURS, None, None)


@given(start=STARTS, host=HOSTS, rest=REST)
def test_only_the_devcenters_own_addresses_are_asked(start: str, host: str, rest: str) -> None:
    url = start + host + rest
    if urlsplit_host(url) == OURS:
        return
    with pytest.raises(BadInput):
        dev_center(BASE).fetch_page(url, "a page")


def urlsplit_host(url: str) -> str | None:
    """Return the host that a URL names, None where it names none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
