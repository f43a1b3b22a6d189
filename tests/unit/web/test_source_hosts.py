"""A cabUrl is untrusted: only a host that the operator allowed may be asked, however the URL is spelled."""

from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.web.source_hosts import carries_sas, checked_source, sendable

AZURE = (".blob.core.windows.net",)
LOCAL = (".blob.core.windows.net", "127.0.0.1")
SAMPLE = (
    "https://uswewatcab09.blob.core.windows.net/kernel-20170407/fb57b37b-d364-4caf-995b-d99ae651ee18.ext.zip"
    "?sv=2015-07-08&sr=b&sig=lRVFxW%2F7%2B%3D&se=2017-04-28T02%3A37%3A28Z&sp=r"
)


def test_the_documented_sample_is_allowed() -> None:
    assert checked_source(SAMPLE, AZURE, "x").geturl() == SAMPLE


@pytest.mark.parametrize(
    "url",
    [
        "https://a.blob.core.windows.net/c/b",
        "https://A.BLOB.Core.Windows.NET/c/b",
        "HTTPS://a.blob.core.windows.net/c/b",
        "https://a.blob.core.windows.net:443/c/b",
        "https://a.z1.blob.core.windows.net/c/b",
        "http://127.0.0.1:10000/account/c/b",
        "https://127.0.0.1:10000/account/c/b",
    ],
)
def test_an_allowed_host_is_allowed_in_any_spelling(url: str) -> None:
    assert checked_source(url, LOCAL, "x").hostname


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com/c/b",
        "https://evilblob.core.windows.net/c/b",
        "https://blob.core.windows.net/c/b",
        "https://a.blob.core.windows.net.evil.com/c/b",
        "https://a.blob.core.windows.net./c/b",
        "https://a.blob.core.windows.net@evil.com/c/b",
        "https://a.blob.core.windows.net:443@evil.com/c/b",
        "https://user:password@a.blob.core.windows.net/c/b",
        "https://evil.com\\@a.blob.core.windows.net/c/b",
        "https://evil.com\\.blob.core.windows.net/c/b",
        "https://evil.com#@a.blob.core.windows.net/c/b",
        "https://evil.com?@a.blob.core.windows.net/c/b",
        "https://evil.com/a.blob.core.windows.net/c/b",
        "https://evil.com;.blob.core.windows.net/c/b",
        "https://evil.com%2f.blob.core.windows.net/c/b",
        "https://\u0430.blob.core.windows.net/c/b",  # a Cyrillic letter
        "https://a.blob.core.windows\u3002net/c/b",  # a full stop that IDNA makes a dot of
        "https://a.blob\uff0ecore.windows.net/c/b",
        "https://evil.com\t.blob.core.windows.net/c/b",
        "https://a.blob.core.windows.net/c/b\r\nx: y",
        "https://a.blob.core.windows.net/c\\d/b",
        "https://a.blob.core.windows.net/c\nd/b",
        "https://a.blob.core.windows.net /c/b",
        "https://:password@a.blob.core.windows.net/c/b",
        "https://@a.blob.core.windows.net/c/b",
        "https://a.blob.core.windows.net:port/c/b",
        "https://a.blob.core.windows.net:99999/c/b",
        "https://[::1/c/b",
        "http://a.blob.core.windows.net/c/b",
        "ftp://a.blob.core.windows.net/c/b",
        "//a.blob.core.windows.net/c/b",
        "a.blob.core.windows.net/c/b",
        "file:///etc/passwd",
        "http://127.0.0.2:10000/c/b",
        "http://127.0.0.1.nip.io/c/b",
        "http://localhost/c/b",
        "http://2130706433/c/b",
        "http://169.254.169.254/metadata",
        "https:///c/b",
        "",
    ],
)
def test_any_other_host_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="the cabUrl"):
        checked_source(url, LOCAL, "the cabUrl")


@given(st.text(st.sampled_from("ab.:/@\\?#%[]-_~;1é\t blobcorewindowsnet"), max_size=40))
def test_the_host_that_is_checked_is_the_host_that_is_asked(rest: str) -> None:
    """Two parsers that disagree on a URL are how tokens and requests end up elsewhere."""
    for start in ("https://", "https://a.blob.core.windows.net", "https://evil.com"):
        try:
            parts = checked_source(start + rest, AZURE, "x")
        except BadInput:
            continue
        sent_to = requests.Request("GET", sendable(start + rest)).prepare().url or ""
        asked = urlsplit(sent_to).hostname or ""
        assert asked == parts.hostname
        assert asked.endswith(".blob.core.windows.net")


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.b/c d/e", "https://a.b/c%20d/e"),
        ("https://a.b/caf\u00e9/\u65e5.zip", "https://a.b/caf%C3%A9/%E6%97%A5.zip"),
        (" https://a.b/c?sig=x%2F+ \r\n", "https://a.b/c?sig=x%2F+"),
        ("https://a.b/c?n=a b&sig=%2b/+=%zz%", "https://a.b/c?n=a%20b&sig=%2b/+=%zz%"),
        ('https://a.b/"<c>^`{|}', "https://a.b/%22%3Cc%3E%5E%60%7B%7C%7D"),
        ("https://a.b/\ud800", "https://a.b/\ud800"),
        ("https://\u00e9.b/c d", "https://\u00e9.b/c d"),  # no host can be mended
        (SAMPLE, SAMPLE),
    ],
)
def test_only_what_no_url_may_hold_is_encoded(url: str, sent: str) -> None:
    """A signature is over the bytes as they are: an escape that is written anew may be another one."""
    assert sendable(url) == sent


@given(st.text(max_size=40))
def test_what_was_mended_once_stays(rest: str) -> None:
    once = sendable(f"https://a.b/{rest}")
    assert sendable(once) == once


def test_a_refusal_names_the_setting_and_shows_no_signature() -> None:
    with pytest.raises(BadInput) as refused:
        checked_source("https://evil.com/c/b?sv=1&sig=QZXJ", AZURE, "the cabUrl of cab fb57")
    assert "the cabUrl of cab fb57" in str(refused.value)
    assert "CAB_SOURCE_HOSTS" in str(refused.value)
    assert "QZXJ" not in str(refused.value)
    with pytest.raises(BadInput, match="user or password") as refused:
        checked_source("https://:QZXJ@a.blob.core.windows.net/c/b", AZURE, "x")
    assert "QZXJ" not in str(refused.value)
    with pytest.raises(BadInput) as refused:
        checked_source("http://a.blob.core.windows.net/c/b?sv=1&sig=QZXJ", AZURE, "x")
    assert "https" in str(refused.value)
    assert "QZXJ" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (SAMPLE, True),
        ("https://a.blob.core.windows.net/c/b?sig=x", True),
        ("https://a.blob.core.windows.net/c/b", False),
        ("https://a.blob.core.windows.net/c/b?snapshot=2020&design=1", False),
        ("https://a.blob.core.windows.net/c/sig=b", False),
    ],
)
def test_a_location_with_a_signature_is_told_from_one_without(url: str, expected: bool) -> None:
    """The one must get no token beside its signature, the other cannot be read without."""
    assert carries_sas(urlsplit(url)) is expected
