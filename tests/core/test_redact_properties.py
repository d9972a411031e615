"""Redaction as properties: no planted secret survives, nothing else is touched, twice is once."""

import json
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from orchbridge.core import masks
from orchbridge.core.redact import Rules, redact, redact_text

RULES = Rules()
KEYED = Rules(pseudonym_key=b"k1")
NOBODY = frozenset()


def dumps(document):
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


# A secret that is neither part of the documents below nor of our masks.
secret_texts = st.text(alphabet=string.ascii_uppercase + string.digits + "!$%^*~", min_size=8, max_size=20).map(
    "Q7{}".format
)
plain_texts = st.text(alphabet='bfgjlmnxyz éß😀\n\t"\\/:=-', max_size=20)
plain_keys = st.text(alphabet="bfgjlmnxyz_-é", min_size=1, max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_texts
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_keys, inner, max_size=4), max_leaves=12
)


@st.composite
def spelt(draw):
    """A sensitive name with other case and separators."""
    words = draw(st.sampled_from(["password", "api key", "client secret", "access token", "private key content"]))
    joined = draw(st.sampled_from(["", "_", "-", " ", "."])).join(words.split())
    return "".join(letter.upper() if draw(st.booleans()) else letter for letter in joined)


SHARDS = st.sampled_from(
    [
        *("pass", "password", "token", "secret", "api", "key", "private", "auth", "Authorization", "bearer", "cookie"),
        *("=", ":", " ", "=>", "'", '"', "\\", "//", "://", "@", "--", "-", "_", ".", "\n", "/", "]", "::", "x", "h1"),
        *(
            "connection",
            "string",
            "pwd",
            "credential",
            "_sensitive",
            "[redacted]",
            "BEGIN PRIVATE KEY-----",
            "-----",
            "K",
        ),
    ]
)
shards = st.lists(SHARDS, max_size=14).map("".join)


TEMPLATES = [
    *("password={}", "my token: {} end", "Authorization: Bearer {}", "run --password {} x", "https://u:{}@h/", "{}@h"),
    *('{{"secret":"{}"}}', "api_key => '{}'", "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----"),
]


@st.composite
def planted(draw):
    """A document with a secret somewhere in it, and what redact() is told: (raw, secret, names, unknown, secrets)."""
    secret = draw(secret_texts)
    how = draw(st.sampled_from(["key", "name", "text", "value", "unknown"]))
    names, secrets = NOBODY, ()
    if how == "key":
        node = {draw(spelt()): draw(st.sampled_from([secret, [secret], {"x": secret}]))}
    elif how == "name":
        node, names = {"pin": [draw(documents), secret]}, frozenset({"pin"})
    elif how == "text":
        template = draw(st.sampled_from([t for t in TEMPLATES if t != "{}@h"]))
        before = draw(plain_texts) + " " + draw(shards) + draw(st.sampled_from([" ", "\n", ", ", "{", '"']))
        node = before + template.format(secret) + "\n" + draw(plain_texts)
    elif how == "value":
        node, secrets = draw(st.sampled_from([f"b{secret}b", {f"n{secret}": 1}])), (secret,)
    else:
        node = {"options": {draw(st.sampled_from(["params", "parameters"])): {"x": [draw(documents), secret]}}}
        return dumps(node), secret, names, True, secrets
    around = draw(st.sampled_from([lambda n: n, lambda n: [1, n], lambda n: {"x": {"y": n}}]))
    raw = json.dumps(
        [draw(documents), around(node)], ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    )
    return raw.encode(), secret, names, False, secrets


@given(planted(), st.sampled_from([RULES, KEYED, Rules(keys=("zzz",))]))
def test_a_planted_secret_never_survives(case, rules):
    raw, secret, names, unknown, secrets = case
    done = redact(raw, rules, names, unknown, secrets)
    assert secret not in done.raw.decode()
    assert secret not in json.dumps(json.loads(done.raw), ensure_ascii=False)
    assert not any(secret in path for path in done.paths)
    again = redact(done.raw, rules, names, unknown, secrets)
    assert again.raw == done.raw
    assert again.paths == ()


@given(documents, st.booleans())
def test_a_document_without_secrets_is_untouched(document, ascii_only):
    raw = json.dumps(document, ensure_ascii=ascii_only).encode()
    for rules in (RULES, KEYED, Rules(keys=("zzzz",))):
        done = redact(raw, rules, frozenset({"pin"}), unknown_params=True, secrets=("Q7Q7Q7",))
        assert done.raw is raw
        assert redact(raw, rules).raw is raw


@given(shards, st.sampled_from([RULES, KEYED]))
@example("--auth  token=--pass 'x", KEYED)
def test_twice_is_once_for_any_text(text, rules):
    once, _ = redact_text(text, rules)
    assert redact_text(once, rules) == (once, False)


@given(st.dictionaries(shards, shards, max_size=3))
def test_the_fast_path_sees_whatever_the_slow_path_would(document):
    raw = dumps(document)
    assert redact(raw, RULES) == redact(raw, RULES, unknown_params=True)
    assume(redact(raw, RULES).raw is not raw)
    assert redact(raw, RULES).paths


@pytest.mark.parametrize("word", [*masks._WORDS, *masks._ENDINGS, b'sensitive"'])
def test_every_word_is_hinted(word):
    assert masks.hinted(b"x" + word + b"x", ())
