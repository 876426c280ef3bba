"""A file may come as a `data:` URI in every spelling that standards allow, and what is none is refused in words."""

import base64
import urllib.parse
import urllib.request

import numpy as np
import pytest

from brain_tumor.demo.data_uris import is_data_uri, read_data_uri
from tests.scan_files import picture
from tests.sentences import assert_is_a_sentence

PICTURE = picture("PNG") + b"\xfb\xff\xfe,#%"  # its base64 has "+", "/" and "="
PLAIN = base64.b64encode(PICTURE).decode()
WRAPPED = base64.encodebytes(PICTURE).decode()

SPELLINGS = {
    "as browsers write it": f"data:image/png;base64,{PLAIN}",
    "in capitals": f"DATA:IMAGE/PNG;BASE64,{PLAIN}",
    "without a media type": f"data:;base64,{PLAIN}",
    "with parameters": f"data:image/png;charset=utf-8;name=a.png;base64,{PLAIN}",
    "with a comma in a parameter": f'data:image/png;name="a,b.png";base64,{PLAIN}',
    "with a space before base64": f"data:image/png; base64,{PLAIN}",
    "with white space around it": f" \n data:image/png;base64, {PLAIN} \n",
    "unpadded": f"data:image/png;base64,{PLAIN.rstrip('=')}",
    "in lines of MIME": f"data:image/png;base64,{WRAPPED}",
    "in lines of Windows": f"data:image/png;base64,{WRAPPED}".replace("\n", "\r\n"),
    "percent-encoded base64": f"data:image/png;base64,{urllib.parse.quote(PLAIN, safe='')}",
    "percent-encoded base64 in lines": f"data:image/png;base64,{urllib.parse.quote(WRAPPED, safe='')}",
    "base64 for addresses": f"data:image/png;base64,{base64.urlsafe_b64encode(PICTURE).decode()}",
    "percent-encoded": f"data:image/png,{urllib.parse.quote_from_bytes(PICTURE)}",
    "percent-encoded in small letters": "data:image/png," + "".join(f"%{byte:02x}" for byte in PICTURE),
    "with a fragment": f"data:image/png;base64,{PLAIN}#page=1",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_data_uri_is_read_in_every_spelling(spelling):
    assert is_data_uri(SPELLINGS[spelling])
    assert read_data_uri(SPELLINGS[spelling]) == PICTURE


def test_percent_encoding_is_undone_as_python_does_it():
    random = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(random.choice(list("%%%09aFgG~ é"), random.integers(0, 12)))
        expected = urllib.parse.unquote_to_bytes(text)
        assert read_data_uri(f"data:,{text}") == expected, text
        if text.isascii() and " " not in text:
            with urllib.request.urlopen(f"data:,{text}") as answer:
                assert answer.read() == expected


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("data:image/png;base64", "comma"),
        ('data:image/png;name="a', "comma"),
        ("data:image/png;base64,!!!!", "not base64"),
        ("data:image/png;base64,AAAAA", "not base64"),  # five of what comes in fours
        ("data:image/png;base64,AA==AA==", "not base64"),
    ],
)
def test_a_data_uri_that_cannot_be_read_is_refused_with_a_sentence(uri, word):
    with pytest.raises(ValueError, match=word) as caught:
        read_data_uri(uri)
    assert_is_a_sentence(str(caught.value))


@pytest.mark.parametrize("text", [None, 7, "", "data", "image/png;base64,AAAA", "http://a/data:,", "database:,"])
def test_what_is_no_data_uri_is_not_taken_for_one(text):
    assert not is_data_uri(text)
