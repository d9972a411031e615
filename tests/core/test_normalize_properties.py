"""An event is scanned for secrets once, as PE's object; message and detail must come out as if each were scanned."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orchbridge.core.facts import Job, JobEvent
from orchbridge.core.normalize import jobs
from orchbridge.core.normalize.context import Origin
from orchbridge.core.redact import Rules, redact

SEEN = "2026-05-05T19:50:09.250Z"
PIECES = st.sampled_from(
    [
        *(
            "pass",
            "word",
            "PASSWORD=",
            "token: ",
            "sec",
            "ret",
            "@",
            "://",
            "\\",
            "/",
            '"',
            "\n",
            " ",
            "-",
            "_",
            ".",
            "x",
        ),
        *(
            "hunter22",
            "hunter",
            "22",
            "://",
            "a:b@c",
            "sensitive",
            "_sensitive",
            "bearer ",
            "ey",
            "é",
            "key=",
            "pin",
            "https",
            "a:b",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
DETAILS = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([(), ("pin",)])
SECRETS = st.sampled_from([(), ("hunter22",), ('x"x', "é\n")])
NAMES = st.sampled_from([frozenset[str](), frozenset({"x"}), frozenset({"hunter22"})])


@settings(max_examples=300, deadline=None)
@given(
    detail=DETAILS | st.just({"options": {"params": {"a": "b"}}}), message=TEXTS, keys=KEYS, secrets=SECRETS,
    names=NAMES, unknown=st.booleans(), ascii_=st.booleans(),
)  # fmt: skip
def test_one_scan_is_as_good_as_three(  # one name for each thing that varies
    detail: object, message: str, keys: tuple[str, ...], secrets: tuple[str, ...], names: frozenset[str],
    unknown: bool, ascii_: bool,
) -> None:  # fmt: skip
    told = {"id": "5", "type": "node_finished", "details": {"node": "n", "detail": detail}, "message": message}
    raw = json.dumps(told, ensure_ascii=ascii_, separators=(",", ":")).encode()
    part = json.dumps(detail, ensure_ascii=ascii_, separators=(",", ":")).encode()
    ctx = jobs.context(Job(1, "new", b"{}"), Origin("prod", Rules(keys=keys)), "e1", names, secrets, unknown)
    data = jobs.event_record(
        ctx, JobEvent(5, "node_finished", raw, SEEN, "n", part, message), SEEN, late=False, began=None
    ).data  # fmt: skip
    assert data is not None
    paths: list[str] = []
    assert data["message"] == ctx.clean_text(message, ".message", paths)
    assert json.loads(msgspec.json.encode(data["detail"])) == json.loads(ctx.clean(part, ".detail", paths))
    if ctx.innocent([raw, b"{}"]):
        assert data["pe"] == msgspec.Raw(raw)
        assert "redacted" not in data
    assert [path for path in data.get("redacted", []) if not path.startswith("$.pe")] == paths


@settings(max_examples=300, deadline=None)
@given(DETAILS, KEYS, SECRETS, NAMES)
def test_what_is_passed_on_unread_would_have_passed_a_close_look(
    detail: object, keys: tuple[str, ...], secrets: tuple[str, ...], names: frozenset[str]
) -> None:
    part = json.dumps(detail, ensure_ascii=False).encode()
    rules = Rules(keys=keys)
    glanced = redact(b'{"x":%b}' % part, rules, names, secrets=secrets)
    read = redact(b'{"\\u0078":%b}' % part, rules, names, secrets=secrets)  # an escape has everything read
    assert json.loads(glanced.raw) == json.loads(read.raw)
