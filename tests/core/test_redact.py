"""Redaction: a planted secret never gets through, and what holds none comes out untouched."""

import json

import msgspec
import pytest

from orchbridge.core.redact import TOO_DEEP, UNKNOWN_TASK, Rules, redact, redact_text

RULES = Rules()
KEYED = Rules(pseudonym_key=b"k1")
NOBODY = frozenset()

SENSITIVE = [
    *("password", "Passwd", "DB_PASSWORD", "dbPassword", "sudo-password", "user pwd", "pass phrase", "pass"),
    *("client_secret", "secret", "SecretKey", "token", "access.token", "X-Authentication", "api_key", "apiKey"),
    *("API-Key", "aws_access_key_id", "private-key-content", "privateKey", "credentials", "Authorization"),
    *("connection_string", "ConnectionString", "auth", "proxy_auth", "set-cookie", "tokenfile", "ssl_key"),
]
INNOCENT = [
    *("name", "tokens_used", "token_file", "tokenFile", "password-policy", "secretPath", "token_type", "monkey"),
    *("author", "authored", "passed", "compassion", "keys", "public_key", "authentication_method", "certname"),
]


def dumps(document, **options):
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, **options).encode()


def cleaned(document, rules=RULES, names=NOBODY, **options):
    done = redact(dumps(document), rules, frozenset(names), **options)
    return json.loads(done.raw), done.paths


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SENSITIVE)
def test_values_under_telling_names_go(key):
    document, paths = cleaned({"a": [{key: "hunter2", "x": 1}]})
    assert document == {"a": [{key: "[redacted]", "x": 1}]}
    assert len(paths) == 1
    assert paths[0].startswith("$.a[0]")


@pytest.mark.parametrize("key", INNOCENT)
def test_values_under_innocent_names_stay(key):
    raw = dumps({"b": "token passed", key: "plain"})
    assert redact(raw, RULES).raw is raw


def test_what_is_no_secret_stays_under_any_name():
    document = {"password": None, "token": True, "secret": "", "credentials": [], "pass": 12, "auth": {"user": "x"}}
    raw = dumps(document)
    assert redact(raw, RULES) == redact(raw, RULES, unknown_params=True)
    assert redact(raw, RULES).raw is raw


def test_numbers_and_containers_go_whole():
    document, paths = cleaned({"password": 1234, "credentials": {"a": ["x"]}, "auth": {"token": "t", "user": "u"}})
    assert document == {
        "password": "[redacted]",
        "credentials": "[redacted]",
        "auth": {"token": "[redacted]", "user": "u"},
    }
    assert paths == ("$.password", "$.credentials", "$.auth.token")


def test_names_of_the_task_are_exact_and_hide_everything_but_null():
    document, paths = cleaned(
        {"options": {"params": {"pin": False, "Pin": 1, "who": None, "deep": [{"pin": {"a": 1}}]}}},
        names={"pin", "who"},
    )
    params = {"pin": "[redacted]", "Pin": 1, "who": None, "deep": [{"pin": "[redacted]"}]}
    assert document == {"options": {"params": params}}
    assert paths == ("$.options.params.pin", "$.options.params.deep[0].pin")


def test_names_of_the_operator_ignore_case_and_separators_in_keys_and_text():
    rules = Rules(keys=("customer_pin", "parole"))
    document, _ = cleaned({"customerPIN": 1, "Parole": "x", "pin": 2, "m": "--customer-pin 99 parole: abc"}, rules)
    assert document == {
        "customerPIN": "[redacted]",
        "Parole": "[redacted]",
        "pin": 2,
        "m": "--customer-pin [redacted] parole: [redacted]",
    }


def test_what_pe_marked_sensitive_goes():
    assert cleaned({"_sensitive": {"a": 1}, "sensitive": ["db_name"]})[0] == {
        "_sensitive": "[redacted]",
        "sensitive": ["db_name"],
    }


def test_strange_keys_have_readable_paths():
    _, paths = cleaned({"a b": {"api-key": "x"}, "token: x": {"y": 1}})
    assert paths == ('$["a b"]["api-key"]', '$["token: [redacted]"]')


def test_paths_are_bounded():
    done = redact(dumps([{"password": "x", "p" * 500: {"token": "y"}}] * 200), RULES)
    assert len(done.paths) == 100
    assert max(map(len, done.paths)) <= 200
    assert b'"x"' not in done.raw


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("login with password=S3cret! now", "login with password=[redacted] now"),
        ("token: S3cret!", "token: [redacted]"),
        ("DB_PASS=S3cret! PATH=/bin", "DB_PASS=[redacted] PATH=/bin"),
        ("password => 'S3cret! and more', x", "password => '[redacted]', x"),
        ('{"dbPassword": "S3cret!\\"S3cret!", "x": 1}', '{"dbPassword": "[redacted]", "x": 1}'),
        (r"{\"token\":\"S3cret!\",\"x\":1}", r"{\"token\":\"[redacted]\",\"x\":1}"),
        ("password: 'S3cret! never closed", "password: '[redacted]"),
        ("Authorization: Bearer S3cret!", "Authorization: [redacted]"),
        ("token: Bearer S3cret! x", "token: [redacted] x"),
        ("curl -H 'X-Authentication: S3cret!' https://h/", "curl -H 'X-Authentication: [redacted]"),
        ('{"Authorization": "Bearer S3cret!", "x": 1}', '{"Authorization": "[redacted]", "x": 1}'),
        ('Cookie: "a"; token=b; c=S3cret!', "Cookie: [redacted]"),
        ("credentials:\n  db_password: S3cret! x", "credentials:\n  [redacted]password: [redacted] x"),
        ('secret: {"password": "S3cret! and more"}', 'secret: [redacted]password": "[redacted]"}'),
        ("token=abc,password: S3cret!", "token=[redacted]password: [redacted]"),
        ("--token --password S3cret!", "--token --password [redacted]"),
        ("Cookie: a=S3cret!; b=S3cret!\nnext", "Cookie: [redacted]\nnext"),
        ("sent Bearer S3cret! to", "sent Bearer [redacted] to"),
        ("mysql --db-password S3cret! -u x", "mysql --db-password [redacted] -u x"),
        ("mysql --password 'S3cret! S3cret!' -u x", "mysql --password '[redacted]' -u x"),
        ("get https://bob:S3cret!@h:80/p?x=a b@c", "get https://[redacted]@h:80/p?x=a b@c"),
        ("get https://S3cret!@h/p", "get https://[redacted]@h/p"),
        ("amqp://u:S3cret!/@S3cret!@h/v", "amqp://[redacted]@h/v"),
        (r"https:\/\/u:S3cret!@h", r"https:\/\/[redacted]@h"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nS3cret!\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
        ("-----BEGIN PRIVATE KEY-----\nS3cret! torn", "[redacted]"),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nS3cret!\n-----END PGP PRIVATE KEY BLOCK-----", "[redacted]"),
    ],
)
def test_secrets_in_text_go(text, expected):
    assert redact_text(text, RULES) == (expected, True)
    assert redact_text(expected, RULES) == (expected, False)
    assert redact(dumps({"message": text}), RULES) == redact(dumps({"message": text}), RULES, unknown_params=True)
    assert cleaned({"message": text}) == ({"message": expected}, ("$.message",))


@pytest.mark.parametrize(
    "text",
    [
        "The provided token has expired.",
        "token-expired: The provided token has expired.",
        "Class[Profile::Secret::Agent]: Starting to evaluate, passed",
        "token_file=/etc/orchbridge/token",
        "see https://pe.example.com:8143/orchestrator/v1/jobs/350,mail@example.com",
        "password:",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "changed 3 of 4: mail bob@example.com",
    ],
)
def test_innocent_text_stays(text):
    assert redact_text(text, RULES) == (text, False)
    raw = dumps({"message": text})
    assert redact(raw, RULES).raw is raw


def test_known_values_go_wherever_they_are():
    secrets = ("hunter22", 'with "quotes"\n', "12345678", "abc")
    document, _ = cleaned(
        {"m": 'x hunter22y with "quotes"\n.', "hunter22": [12345678, 123456789], "abc": "abc"}, secrets=secrets
    )
    assert document == {"m": "x [redacted]y [redacted].", "[redacted]": ["[redacted]", 123456789], "abc": "abc"}


def test_two_keys_that_look_alike_once_masked_are_both_kept():
    document, _ = cleaned({"key hunter22": 1, "key hunter33": 2}, secrets=("hunter22", "hunter33"))
    assert sorted(document.values()) == [1, 2]


def test_our_own_masks_are_no_secrets():
    assert redact_text("password=[redacted]", RULES, ("redacted", "hmac")) == ("password=[redacted]", False)


# --- unknown tasks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", ["params", "parameters"])
def test_parameters_of_an_unknown_task_go(params):
    document = {"options": {params: {"a": 1, "b": [None, True, {"c": "x"}], "d": {}}, "task": "t"}, "params": {"e": 1}}
    expected = {
        "options": {params: {"a": UNKNOWN_TASK, "b": [UNKNOWN_TASK] * 2 + [{"c": UNKNOWN_TASK}], "d": {}}, "task": "t"},
        "params": {"e": 1},
    }
    got, paths = cleaned(document, unknown_params=True)
    assert got == expected
    assert paths == tuple(f"$.options.{params}.{leaf}" for leaf in ("a", "b[0]", "b[1]", "b[2].c"))


def test_parameters_of_an_unknown_task_stay_where_the_operator_says_so():
    raw = dumps({"options": {"params": {"a": 1}}})
    assert redact(raw, Rules(unknown_task="keep"), unknown_params=True).raw is raw


# --- pseudonyms ------------------------------------------------------------------------------------------------------


def test_equal_secrets_have_equal_pseudonyms():
    document, _ = cleaned({"password": "hunter2", "m": "token=hunter2", "n": {"apikey": "other"}}, KEYED)
    assert document["password"].startswith("hmac:")
    assert len(document["password"]) == len("hmac:") + 16
    assert document["m"] == f"token={document['password']}"
    assert document["n"]["apikey"] != document["password"]
    assert cleaned({"password": "hunter2"}, Rules(pseudonym_key=b"k2"))[0]["password"] != document["password"]


def test_the_key_of_the_pseudonyms_is_never_shown():
    assert "k1" not in repr(KEYED)


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"pass\u0077ord":"hunter2"}',
        rb'{"\u0070\u0061\u0073\u0073word":"hunter2"}',
        rb'{"m":"password\u003dhunter2"}',
        rb'{"m":"https:\/\/u:hunter2@h"}',
        rb'{"password":"hunter2","password":"x"}',
        rb'{"m":"password=hunter2","m":"x"}',
        b'{ "password" :\n"hunter2" }',
        rb'{"password":"hunter2","x":"\ud83d"}',
    ],
)
def test_no_spelling_hides_a_secret(raw):
    done = redact(raw, RULES)
    assert b"hunter2" not in done.raw
    json.loads(done.raw)


def test_what_is_not_a_secret_keeps_its_spelling():
    raw = b'{"a":1.10,"b":12345678901234567890123,"c":-0,"d":1E400,"e":"\xc3\xa9 \xf0\x9f\x98\x80","password":"x"}'
    assert redact(raw, RULES).raw == raw.replace(b'"x"', b'"[redacted]"')
    assert redact(rb'["\ud83d\ude00 \\ud83d \ud83d",{"token":"x"}]', RULES).raw == (
        '["\U0001f600 \\\\ud83d �",{"token":"[redacted]"}]'.encode()
    )


def test_numbers_of_any_length_pass():
    raw = b'{"n":' + b"9" * 10_000 + b',"token":"x"}'
    assert redact(raw, RULES).raw == raw.replace(b'"x"', b'"[redacted]"')


@pytest.mark.parametrize(
    "raw",
    [b"", b"password", b'{"token":}', b'{"token":NaN}', b'"token', b'{"token":"x"} {}', b'"token\xff"', b"[" * 999],
)
def test_what_is_not_json_is_refused(raw):
    with pytest.raises(ValueError):
        redact(raw, RULES, unknown_params=True)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_depth_bomb_is_cut(opening, closing):
    raw = b'{"token":"x","b":' + opening * 100_000 + b'"hunter2 ]}{["' + closing * 100_000 + b',"c":"kept"}'
    done = redact(raw, RULES)
    assert b"hunter2" not in done.raw
    assert TOO_DEEP.encode() in done.raw
    assert len(done.raw) < 1_000
    assert json.loads(done.raw)["c"] == "kept"
    assert redact(done.raw, RULES) == redact(done.raw, RULES, unknown_params=True)
    assert redact(done.raw, RULES).paths == ()


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "token" + "A" * 300_000,
        "token=" + "A" * 300_000,
        "token=" + "-" * 300_000,
        "token=" + "--pas" * 60_000,
        "-" * 300_000 + "token",
        "://x:" * 30_000 + "@token",
        "password=" * 30_000,
        'token:"' * 30_000,
        "-----BEGIN PRIVATE KEY-----" * 10_000,
        "\\" * 300_000 + "token:",
        " " * 300_000 + "token=",
        "--token" + " " * 300_000,
    ],
)
def test_long_texts_do_not_stall(text):
    redact_text(text, Rules(keys=("pin",)))


def test_the_empty_list_of_sensitive_parameters_that_every_job_has_costs_no_closer_look() -> None:
    for raw in (b'{"sensitive":[]}', b'{"_sensitive": []}'):
        assert redact(raw, Rules()).raw is raw
    for raw in (b'{"_sensitive":["hunter22"]}', b'{"_sensitive":[ ],"a":{"_sensitive":{"b":"hunter22"}}}'):
        assert b"hunter22" not in redact(raw, Rules()).raw


def test_mail_addresses_and_links_beside_each_other_cost_no_closer_look() -> None:
    raw = b'{"id":"https://pe.test:8143/orchestrator/v1/jobs/1","owner":{"email":"ops@example.com"}}'
    assert redact(raw, Rules()).raw is raw
    for text in ("see https://ops:hunter22@pe.test", "https://hunter22@pe.test", "a://b c://:hunter22@x"):
        assert b"hunter22" not in redact(msgspec.json.encode([text, "https://pe.test"]), Rules()).raw
