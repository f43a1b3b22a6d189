"""Whoever reads a log, a table, an error or an answer must not find a key to the cabs, or a person's device, in it."""

import io
import logging
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import redaction
from shared.core.log_guard import guard_logs
from shared.core.redaction import excerpt, never_show, redact

# Characters that the texts around a secret do not hold, so that any piece of one is known by sight.
SECRET = "QZXJQZXJ/QZX+JQZXJ"
SURROUNDINGS = st.text(st.characters(exclude_characters="QZXJ", exclude_categories=["Cs"]), max_size=60)
# A word right before a name (`xsig=`) makes another name of it.
BEFORE = SURROUNDINGS.map(lambda text: text + " ") | st.sampled_from(["", '"', "(", "x=1;", "x=1&", "\n", "'"])
FORMS = [
    "https://cabs09.blob.core.windows.net/kernel/fb57.ext.zip?sv=2015-07-08&sr=b&sig={secret}%3D&se=2017&sp=r",
    "HTTPS://CABS09.blob.core.windows.net/kernel/fb57.ext.zip?SIG={secret}",
    "http://127.0.0.1:10000/account/kernel/fb57.ext.zip?se=2017&sig={secret}",
    "/kernel/fb57.ext.zip?sv=2015&sig={secret}",
    "https://api.example.com/?code={secret}",
    "?sig={secret}&se=2017",
    "sig={secret}",
    "Authorization: Bearer {secret}",
    "bearer {secret}==",
    "Authorization: SharedKey account:{secret}=",
    "SharedKeyLite account:{secret}=",
    "AccountName=a;AccountKey={secret}==;EndpointSuffix=core.windows.net",
    "BlobEndpoint=https://a.b/;SharedAccessSignature=sv=2020&ss=b&sig={secret}%3D",
    "client_id=a&client_secret={secret}&grant_type=client_credentials",
    "client_assertion={secret}",
    '{{"DeviceId":"s:{secret}"}}',
    '{{"hardwareId" : "PCI\\\\VEN_8086&{secret}"}}',
    "DeviceId=s:{secret}",
    "HardwareId: PCI\\VEN_{secret}",
]


def pieces(length: int) -> Iterator[str]:
    return (SECRET[start : start + length] for start in range(len(SECRET) - length + 1))


@given(before=BEFORE, form=st.sampled_from(FORMS), after=SURROUNDINGS)
def test_no_piece_of_a_secret_is_left_whatever_surrounds_it(before: str, form: str, after: str) -> None:
    shown = redact(before + form.format(secret=SECRET) + after)
    assert not any(piece in shown for piece in pieces(3))


@given(before=BEFORE, form=st.sampled_from(FORMS), after=SURROUNDINGS, limit=st.integers(0, 150))
def test_no_cut_leaves_a_piece_of_a_secret(before: str, form: str, after: str, limit: int) -> None:
    shown = excerpt(before + form.format(secret=SECRET) + after, limit)
    assert not any(piece in shown for piece in pieces(3))
    assert len(shown) <= limit + 1
    assert "\n" not in shown


@given(before=BEFORE, after=SURROUNDINGS)
def test_a_json_web_token_is_gone_wherever_it_stands(before: str, after: str) -> None:
    token = "eyJQZXJQZXJQZXJ.QZXJQZXJ.QZXJQZXJ"
    assert "QZXJ" not in redact(before + token + after)


@pytest.mark.parametrize(
    "text",
    [
        "failure 1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed of application 13984104677400476: 3 cabs failed",
        "the source of 139/1fd/fb57.ext.zip is gone (404 BlobNotFound)",
        "https://cabs09.blob.core.windows.net/kernel/fb57.ext.zip",
        "AADSTS7000215: Invalid client secret provided.",
        "top parameter cannot be more than 10000",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    """An error that hides which cab it is about helps nobody."""
    assert redact(text) == text


def test_host_and_path_of_a_source_stay_readable() -> None:
    assert redact("GET https://cabs09.blob.core.windows.net/k/fb57.ext.zip?sig=x failed") == (
        "GET https://cabs09.blob.core.windows.net/k/fb57.ext.zip?[redacted] failed"
    )


@pytest.mark.parametrize("text", ["/" * 40_000, "https://" * 5_000, "sig" * 15_000, "Bearer " * 6_000, "eyJ" * 14_000])
def test_a_long_answer_is_excerpted_at_once(text: str) -> None:
    """An answer may have 32 MiB; one of some KiB must not keep a worker busy for minutes."""
    started = time.process_time()
    excerpt(text)
    assert time.process_time() - started < 0.5


@pytest.fixture
def guarded() -> Iterator[logging.Logger]:
    before = logging.getLogRecordFactory(), threading.excepthook
    guard_logs()
    yield logging.getLogger("tests.guarded")
    logging.setLogRecordFactory(before[0])
    threading.excepthook = before[1]


@pytest.fixture
def shown(guarded: logging.Logger) -> Iterator[io.StringIO]:
    """What a handler of somebody else's writes."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    guarded.addHandler(handler)
    yield text
    guarded.removeHandler(handler)


def test_arguments_of_a_log_record_are_redacted(guarded: logging.Logger, shown: io.StringIO) -> None:
    guarded.warning("copying %s and then %d%%", f"https://cabs/x?sig={SECRET}", 7)
    assert shown.getvalue() == "WARNING copying https://cabs/x?[redacted] and then 7%\n"


def test_the_traceback_of_a_log_record_is_redacted(guarded: logging.Logger, shown: io.StringIO) -> None:
    """A library's exception holds the URL it failed on, with its signature, and so may what it was raised from."""
    cause = ValueError(f"GET /kernel/fb57.ext.zip?sv=1&sig={SECRET}")
    error = RuntimeError(f"AccountKey={SECRET}")
    error.__cause__ = cause
    guarded.error("it failed", exc_info=error)
    assert "RuntimeError" in shown.getvalue()
    assert "ValueError" in shown.getvalue()
    assert "QZXJ" not in shown.getvalue()


def test_a_malformed_log_call_of_a_library_breaks_nothing(guarded: logging.Logger, shown: io.StringIO) -> None:
    """Python's logging never raises for one; with the guard, a library's slip must not end a pull."""
    guarded.warning("%d cabs", f"https://cabs/x?sig={SECRET}")
    assert "QZXJ" not in shown.getvalue()


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x85", "\u2028", "\v", "\x1b[2K\x1b[1A", "\x00"])
def test_nothing_from_outside_begins_a_line_of_the_log(
    guarded: logging.Logger, shown: io.StringIO, line_break: str
) -> None:
    """An id that ends the line and goes on like one of ours lets the log tell what never happened."""
    forged = f"43000{line_break}INFO reconcile: missing=0"
    guarded.warning("report %s failed: %r", forged, ValueError(forged))
    try:
        raise ValueError(forged)
    except ValueError:
        guarded.exception("it failed")
    told = shown.getvalue()
    assert [line for line in told.splitlines() if line.startswith(("INFO", "43000"))] == []
    assert not any(character < " " or character in "\x7f\x85\u2028" for line in told.split("\n") for character in line)
    assert told.splitlines()[0].startswith("WARNING report 43000")


def test_what_ends_a_thread_is_logged_and_not_printed_as_it_is(
    guarded: logging.Logger, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python prints it past every log, with the URL that it failed on."""

    def work() -> None:
        raise ValueError(f"GET /k/fb57.ext.zip?sig={SECRET}")

    thread = threading.Thread(target=work, name="a lease")
    thread.start()
    thread.join()
    assert "the thread a lease ended: ValueError" in caplog.text
    assert "QZXJ" not in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("known")
@given(before=SURROUNDINGS, after=SURROUNDINGS)
def test_a_secret_of_this_process_is_known_bare(before: str, after: str) -> None:
    """An answer that quotes the token back has neither its name nor a Bearer before it."""
    never_show(SECRET)
    assert "QZXJ" not in redact(before + SECRET + after)
    assert "QZXJ" not in redact(before + quote(SECRET, safe="") + after)


@pytest.mark.usefixtures("known")
def test_no_rest_of_a_longer_secret_is_left() -> None:
    never_show("QZXJQZXJ", f"AccountName=QZ;AccountKey={SECRET}", SECRET)
    for text in (SECRET, f"AccountName=QZ;AccountKey={SECRET}", "QZXJQZXJ"):
        assert redact(text) == "[redacted]"


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("form", [*FORMS, "eyJ{secret}.{secret}"])
def test_a_secret_within_another_hides_no_rest_of_it(form: str) -> None:
    """Its value is taken out first, and what is left must still be known for what it is."""
    secret = f"QZ{SECRET.replace('/', '').replace('+', '')}ZX"
    never_show(secret[2:-2])
    assert not any(piece in redact(form.format(secret=secret)) for piece in ("QZ", "ZX"))


@pytest.mark.usefixtures("known")
def test_harmless_words_stay_readable_and_few_secrets_are_kept() -> None:
    """A token of a test setup may be a word; and a worker that renews tokens for weeks must not grow."""
    never_show("", "token", *(f"a-token-of-an-hour-{hour}" for hour in range(1_000)), is_passing=True)
    assert redact("no token for the application") == "no token for the application"
    assert redact("a-token-of-an-hour-999") == "[redacted]"
    assert len(redaction._known.beginnings) < 100


@pytest.mark.usefixtures("known")
def test_what_comes_and_goes_pushes_out_no_secret_that_stays() -> None:
    """The client secret and the account's key are told once; hundreds of tokens come after them."""
    never_show(SECRET)
    for hour in range(500):
        never_show(f"a-token-of-an-hour-{hour}", "a-token-that-lives-for-weeks", is_passing=True)
    for secret in (SECRET, "a-token-that-lives-for-weeks"):
        assert redact(f"the answer quotes {secret}") == "the answer quotes [redacted]"


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\ud800", "\ufeff"])
def test_an_excerpt_does_nothing_to_a_terminal_and_can_be_written(character: str) -> None:
    """What callers send is quoted in answers and in the log."""
    shown = excerpt(f"a{character}[31mb")
    assert shown == "a\N{REPLACEMENT CHARACTER}[31mb"
    assert shown.encode()


def test_a_secret_is_found_though_its_name_has_a_letter_that_only_looks_like_ours() -> None:
    assert "QZXJabcdefgh" not in redact("\u017fharedKey QZXJabcdefgh")
