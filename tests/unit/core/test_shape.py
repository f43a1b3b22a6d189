"""What others send is described and never quoted: who reads it sees what is wrong, and no secret in any spelling."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.shape import said_in, shape_of

SHAPES: dict[bytes, str] = {
    b"": "nothing",
    b" \r\n": "nothing (3 bytes)",
    b"<!DOCTYPE html><p>x": "markup of 19 bytes",
    b"\xef\xbb\xbf<Error/>": "markup of 11 bytes",
    b'{"a":1,"b":null,"c":"xyz","d":[1,2],"e":{"f":1},"g":true}': (
        "{a: number, b: null, c: text of 3, d: list of 2, e: object of 1, g: true or false}"
    ),
    b'[{"a":"b"},2]': "list of 2, the first {a: text of 1}",
    b"[]": "list of 0",
    b'"text"': "text of 4",
    b'{"a":': "broken JSON of 5 bytes",
    '{"a":1}'.encode("utf-16"): "{a: number}",
    b"plain words": "text of 11 bytes",
    b"\x1f\x8b\x08\0": "data of 4 bytes",
    json.dumps({f"k{letter}": 1 for letter in "abcdefghijklmn"}).encode(): (
        "{" + ", ".join(f"k{letter}: number" for letter in "abcdefghijkl") + ", 2 more}"
    ),
    b'{"x":' + b"[" * 50_000: "broken JSON of 50,005 bytes",
    b'["' + b"x" * 2_000_000 + b'"]': "JSON of 2,000,004 bytes",
}


@pytest.mark.parametrize(("content", "shape"), SHAPES.items(), ids=[shape[:40] for shape in SHAPES.values()])
def test_a_shape_tells_keys_types_and_lengths(content: bytes, shape: str) -> None:
    assert shape_of(content) == shape


@pytest.mark.parametrize(
    "form", ["{}", '{{"a":"{}"}}', '["{}"]', '{{"{}":1}}', '<a href="{}">', '{{"a":{{"{}":["{}"]}}}}', "a={}"]
)
def test_no_value_is_quoted(form: str) -> None:
    secret = "sig\\u003dQ7XJ9a8b7c%2B"
    assert "XJ9" not in shape_of(form.format(secret, secret).encode())


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]:,"ab01 \\<'), max_size=40).map(str.encode))
def test_anything_has_a_shape(content: bytes) -> None:
    assert shape_of(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"statusCode":403,"message":"Out of call volume quota."}', "Out of call volume quota."),
        (b'{"code":"x","innererror":{"message":"User EC5 is no one"},"message":"No."}', "User EC5 is no one"),
        (b'{"code":"x","innererror":{"data":["top is too large"]}}', "top is too large"),
        (b'{"odata.error":{"message":{"lang":"en","value":"It is busy."}}}', "It is busy."),
        (
            b'{"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret."}',
            "AADSTS7000215: Invalid secret.",
        ),
        (b"<Error><Code>x</Code><Message>Not allowed.</Message></Error>", "Not allowed."),
        (b'{"Value":[{"cabUrl":"https://a/b?sig=QZXJ","data":"QZXJQZXJ"}]}', "{Value: list of 1}"),
        (b'{"message":"the row sig\\u003dQZXJ is bad"}', "the row sig=[redacted] is bad"),
        (b"<html>QZXJ</html>", "markup of 17 bytes"),
        (b"Bearer QZXJ is bad", "text of 18 bytes"),
    ],
)
def test_only_the_sentence_of_an_error_is_quoted(content: bytes, said: str) -> None:
    """A person has to know what the service wants; rows and pages are not made for reading, and hold keys."""
    assert said_in(content) == said
