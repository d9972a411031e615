"""What each refusal means: by kind first, by status then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchbridge.core.questions import (
    BrokerStatus,
    Inventory,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator import Access
from orchbridge.orchestrator.failures import PERMISSION, Denial, failure, retry_after_s

ACCESS = Access("prod", "https://pe.test:8143", token_file=Path("/etc/orchbridge/token"))
ORCH, RBAC = "puppetlabs.orchestrator/", "puppetlabs.rbac/"
HTML = b"<html><body><h1>503 Service Unavailable</h1></body></html>"


def body(kind: str, msg: str = "Something was wrong.") -> bytes:
    return json.dumps({"kind": kind, "msg": msg}, indent=1).encode()


def fails(question: Question, status: int, said: bytes, access: Access = ACCESS, **headers: str) -> Trouble | Denial:
    return failure(question, access, status, headers, said)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, body(ORCH + "validation-error"), "invalid"),
        (400, body("puppetlabs.validators/validation-error"), "invalid"),
        (400, body("puppetlabs.orchetrator/validation-error"), "invalid"),
        (400, b"", "invalid"),
        (404, body(ORCH + "unknown-job"), "missing"),
        (404, body("puppetlabs.orchetrator/unknown-job"), "missing"),
        (404, body("unknown-job"), "missing"),
        (404, body(ORCH + "unknown-task"), "missing"),
        (404, body(ORCH + "unknown-environment"), "missing"),
        (404, body(ORCH + "mismatched-job-event-id"), "missing"),
        (404, body(ORCH + "unknown-later"), "absent"),
        (404, b"Not found", "absent"),
        (404, b"", "absent"),
        (405, b"", "invalid"),
        (408, b"", "timeout"),
        (429, b"", "throttled"),
        (500, body(ORCH + "unknown-error"), "server"),
        (500, b"", "server"),
        (502, HTML, "server"),
        (503, HTML, "server"),
        (401, body(RBAC + "server-error"), "server"),
        (403, body(RBAC + "server-error"), "server"),
        (400, body(RBAC + "server-error"), "server"),
        (302, b"", "malformed"),
    ],
)
@pytest.mark.parametrize("question", [JobsPage(5), JobEvents(7), Inventory()])
def test_a_trouble_by_kind_and_status(question: Question, status: int, said: bytes, kind: str) -> None:
    trouble = fails(question, status, said)
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.status) == (kind, status)
    assert str(status) in trouble.explanation
    assert "\n" not in trouble.explanation


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, body(RBAC + "token-expired"), "fresh token into /etc/orchbridge/token"),
        (403, body(RBAC + "token-expired"), "fresh token into /etc/orchbridge/token"),
        (401, body(RBAC + "token-timed-out"), "idle timeout"),
        (401, body(RBAC + "token-revoked"), "was revoked"),
        (401, body(RBAC + "user-revoked"), "reinstate it in the console"),
        (401, body(RBAC + "invalid-token"), "not a token of this server"),
        (401, body(RBAC + "user-unauthenticated"), "/etc/orchbridge/token"),
        (401, body(RBAC + "of-a-later-release"), "/etc/orchbridge/token"),
        (401, HTML, "proxy"),
        (401, b"", "proxy"),
    ],
)
@pytest.mark.parametrize("question", [JobsPage(5), JobEvents(7)])
def test_a_refused_token_denies_everything_and_says_what_to_do(
    question: Question, status: int, said: bytes, words: str
) -> None:
    denial = fails(question, status, said)
    assert isinstance(denial, Denial)
    assert denial.everything
    assert words in denial.hint


def test_what_was_not_configured_is_said() -> None:
    said = body(RBAC + "user-unauthenticated")
    cert = fails(JobsPage(5), 401, said, Access("p", "https://pe", client_cert_file=Path("/c.pem")))
    assert isinstance(cert, Denial)
    assert "client certificate is configured but no token" in cert.hint
    nothing = fails(JobsPage(5), 401, said, Access("p", "https://pe"))
    assert isinstance(nothing, Denial)
    assert "no token is configured" in nothing.hint
    given = fails(JobsPage(5), 401, body(RBAC + "token-expired"), Access("p", "https://pe", token="secret"))
    assert isinstance(given, Denial)
    assert "restart" in given.hint


@pytest.mark.parametrize("question", [JobsPage(5), PlansPage(5), Inventory()])
@pytest.mark.parametrize("said", [body(ORCH + "not-permitted"), body("other"), b"", HTML])
def test_a_missing_right_on_a_list_names_the_permission(question: Question, said: bytes) -> None:
    denial = fails(question, 403, said)
    assert isinstance(denial, Denial)
    assert not denial.everything
    assert PERMISSION in denial.hint
    assert "touch /etc/orchbridge/token" in denial.hint


@pytest.mark.parametrize(
    "question",
    [
        JobDetail(7), JobEvents(7), JobNodes(7, 5), PlanDetail(8), PlanEvents(8), PlanEventWhole(8, 1),
        TaskMetadata("a", "b"), BrokerStatus(),
    ],
)  # fmt: skip
def test_a_missing_right_on_one_thing_marks_that_thing_only(question: Question) -> None:
    trouble = fails(question, 403, body(ORCH + "not-permitted"))
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "forbidden"


def test_a_status_page_behind_a_login_denies_nothing() -> None:
    trouble = fails(BrokerStatus(), 401, body(RBAC + "user-unauthenticated"))
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "forbidden"


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "-5"}, 1.0),
        ({"retry-after": "86400"}, 300.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Sat, 09 Mar 2024 10:00:30 GMT", "date": "Sat, 09 Mar 2024 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sat, 09 Mar 2024 10:00:30 GMT"}, 1.0),
        ({"retry-after": "Sat, 99 Mar 2024 10:00:30 GMT"}, None),
    ],
)
def test_the_pause_a_server_asks_for(headers: dict[str, str], pause_s: float | None) -> None:
    assert retry_after_s(headers) == pause_s


def test_a_pause_is_passed_on_with_the_trouble() -> None:
    trouble = fails(JobsPage(5), 503, HTML, **{"retry-after": "12"})
    assert isinstance(trouble, Trouble)
    assert trouble.retry_after_s == 12


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example.com/sso?token=abc&next=x", "login.example.com"),
        ("/console", "the same host"),
        ("", "the same host"),
        ("https://[bad", "an address that is none"),
    ],
)
def test_a_redirect_is_not_followed_and_shows_its_host_only(location: str, shown: str) -> None:
    trouble = fails(JobsPage(5), 302, b"", location=location)
    assert isinstance(trouble, Trouble)
    assert shown in trouble.explanation
    assert "abc" not in trouble.explanation


@pytest.mark.parametrize("said", [b'{"kind": 5, "msg": []}', b"[]", b'{"kind": null}', b"\xff\xfe", b"[" * 9999])
def test_error_bodies_in_shapes_of_none_do_no_harm(said: bytes) -> None:
    assert isinstance(fails(JobsPage(5), 500, said), Trouble)
