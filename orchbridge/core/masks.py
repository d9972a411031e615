"""What gives a secret away: the name it stands under, or the shape of the text around it.

In doubt it is a secret. Every pattern is bounded or cannot fail once it has begun, so a long
text costs time in proportion to its length.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import msgspec

REDACTED = "[redacted]"
UNKNOWN_TASK = "[redacted:unknown-task]"
TOO_DEEP = "[redacted:too-deep]"
SECRET_LENGTH_MIN = 4  # a shorter value would be found everywhere


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator may change.

    keys           further key names, compared without case, `-`, `_`, `.` and spaces
    pseudonym_key  replaces a secret by `hmac:<16 hex>`, equal for equal secrets; None by `[redacted]`
    unknown_task   what becomes of the parameters of a task whose metadata cannot be read
    """

    keys: tuple[str, ...] = ()
    pseudonym_key: bytes | None = field(default=None, repr=False)
    unknown_task: Literal["redact", "keep"] = "redact"


# --- names -----------------------------------------------------------------------------------------------------------

# Looked for anywhere in a flattened name: lower case, without separators.
_WORDS = (
    b"password passwd passphrase passcode pwd secret token apikey accesskey privatekey encryptionkey signingkey "
    b"sharedkey masterkey licensekey sshkey sslkey tlskey credential authorization xauthentication connectionstring "
    b"bearer cookie"
).split()
_ENDINGS = (b"pass", b"auth")  # found in too many words: only as the end of a name, and only before a string
# Whatever a rule of names or text can find holds one of these once it is flattened: pass, pwd, secret, token, key,
# credential, auth, connectionstring, bearer, cookie, sensitive" (not with the empty list that every job has there).
# Each is tried from its rarest letter, which takes half the time of spelling them out, and every event pays this.
_HINT = re.compile(
    rb"k(?:ey|(?<=tok)en|(?<=cook)ie)|w(?<=pw)d|u(?<=au)th|c(?:(?<=sec)ret|redential)|pass|bearer"
    rb"|g(?<=connectionstring)|v(?<=sensitiv)e\"(?!:\[\])"
)
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
# Names about a secret rather than of one. The last word must stand apart: `token_file`, `tokenFile`, not `tokenfile`.
_ABOUT = (
    *("age", "count", "enabled", "endpoint", "expired", "expires", "expiration", "expiry", "file", "invalid"),
    *("length", "path", "policy", "required", "revoked", "ttl", "type", "used"),
)
_INNOCENT = re.compile(f"[-_. ](?i:{'|'.join(_ABOUT)})$|[a-z0-9](?:{'|'.join(map(str.title, _ABOUT))})$")


def flat(data: bytes) -> bytes:
    """Return the bytes in ASCII lower case without `-`, `_`, `.` and spaces."""
    return data.translate(_LOWER, b"-_. ")


def hinted(flattened: bytes, keys: tuple[str, ...]) -> bool:
    """Return whether a flattened text may hold anything that the rules of names and text find."""
    if _HINT.search(flattened):
        return True
    return bool(keys) and any(key in flattened for key in _extra(keys))


@lru_cache(maxsize=64)
def _extra(keys: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(flat(key.encode("utf-8", "surrogatepass")) for key in keys) - {b""}


@lru_cache(maxsize=4096)
def sensitivity(key: str, keys: tuple[str, ...]) -> Literal["none", "text", "all"]:
    """Return what a key of this name hides: nothing, a text, or whatever is not null or a truth value."""
    flattened = flat(key.encode("utf-8", "surrogatepass"))
    if flattened in _extra(keys):
        return "all"
    if _INNOCENT.search(key):
        return "none"
    if any(word in flattened for word in _WORDS):
        return "all"
    return "text" if flattened.endswith(_ENDINGS) else "none"


# --- masks -----------------------------------------------------------------------------------------------------------

_MASK = r"\[redacted(?::[a-z-]{1,20})?\]|hmac:[0-9a-f]{16}"
MASK = re.compile(_MASK)
MASK_LENGTH_MAX = 40
_MASKED = re.compile(rf"(?:{_MASK})[])}}.,;:&]{{0,3}}")


def is_masked(text: str) -> bool:
    """Return whether there is nothing left to hide; a comma or bracket behind a mask does not count."""
    return _MASKED.fullmatch(text) is not None


def mask(value: object, rules: Rules) -> str:
    """Return what stands in for a value: text, msgspec.Raw or a container of them."""
    if not rules.pseudonym_key:
        return REDACTED
    if isinstance(value, str):  # a lone surrogate, which msgspec refuses, is no reason to fail
        told = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    else:
        told = msgspec.json.encode(value)
    return "hmac:" + hmac.new(rules.pseudonym_key, told, hashlib.sha256).hexdigest()[:16]


def findable(secrets: Iterable[str]) -> list[str]:
    """Return the secrets that can be looked for, longest first: not the short ones, nor parts of our masks."""
    ours = f"{UNKNOWN_TASK} {TOO_DEEP} {REDACTED} hmac:"
    usable = {secret for secret in secrets if len(secret) >= SECRET_LENGTH_MIN and secret not in ours}
    return sorted(usable, key=lambda secret: (-len(secret), secret))


# --- text ------------------------------------------------------------------------------------------------------------

_WORD = (
    r"(?:pass[-_ .]?(?:word|wd|phrase|code)|pwd|secret|token|credential|connection[-_ .]?string"
    r"|(?:api|access|private|encryption|signing|shared|master|license|ssh|ssl|tls)[-_ .]?key)"
)
_JOIN = r"\\{0,7}[\"']?\]?\s{0,8}(?:=>|:=|=|:(?!:))\s{0,8}"
# A quote inside JSON inside a string carries backslashes; it ends at a quote carrying as many.
_QUOTED = r"(?P<quote>\\{0,7}[\"'])(?P<quoted>.*?)(?:(?<!\\)(?P=quote)|\Z)"
_KEY = rf"(?:{_WORD}[\w.-]{{0,64}}|pass|auth)"
# What stands bare ends where the next secret begins, lest one name is taken for the other's value.
_NEXT = rf"(?!{_KEY}{_JOIN}|(?<![\w-])--?[\w-]{{0,40}}?{_KEY}\s)"
_VALUE = rf"(?:{_QUOTED}|(?P<bare>(?:(?:bearer|basic|digest|negotiate)\s{{1,8}})?(?:{_NEXT}\S)+))"
# A header's value goes on to the end of its line, through spaces, semicolons and quotes.
_HEADER = (
    r"(?:x[-_ ]?authentication|authorization|cookie)"
    rf"(?:\\{{0,7}}[\"']\s{{0,8}}(?:=>|:)\s{{0,8}}{_QUOTED}|{_JOIN}(?P<bare>[^\r\n]+))"
)
_PEM = r"PRIVATE KEY(?: BLOCK)?-----"
_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL


@lru_cache(maxsize=64)
def _patterns(keys: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns in the order in which they apply; the secret is their group `bare` or `quoted`."""
    key = rf"(?P<key>{_KEY})"
    sources = [
        rf"(?P<bare>-----BEGIN [A-Z0-9 ]{{0,40}}{_PEM}.*?(?:-----END [A-Z0-9 ]{{0,40}}{_PEM}|\Z))",
        # The user's name goes too: a lone one is often a token. `host:8143/...@` is a port, not a password.
        r":\\{0,3}/\\{0,3}/(?P<bare>[^\s/:@\"'<>]{0,256}:(?!\d{1,5}/)[^\s\"'<>]{0,256}|[^\s/\"'<>]{1,256})@",
        _HEADER,
        r"\bbearer\s{1,8}(?P<bare>[^\s\"']+)",
        rf"{key}{_JOIN}{_VALUE}",
        rf"(?<![\w-])--?[\w-]{{0,40}}?{key}\s{{1,8}}{_VALUE}",
    ]
    if named := "|".join("[-_ .]?".join(map(re.escape, key.decode())) for key in sorted(_extra(keys))):
        sources.append(rf"(?<![a-z0-9])(?:{named}){_JOIN}{_VALUE}")
        sources.append(rf"(?<![\w-])--?[\w-]{{0,40}}?(?:{named})\s{{1,8}}{_VALUE}")
    return tuple(re.compile(source, _FLAGS) for source in sources)


@lru_cache(maxsize=64)
def _planted(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return a pattern of the known values; masks come first so that nothing is found inside one."""
    known = findable(secrets)
    return re.compile("|".join([f"(?:{_MASK})", *(re.escape(secret) for secret in known)])) if known else None


def mask_text(text: str, rules: Rules, secrets: tuple[str, ...]) -> str:
    """Return the text with every secret masked that it names or that is one of `secrets`."""
    known = _planted(secrets) if secrets else None
    if known is not None:
        text = known.sub(lambda found: found[0] if is_masked(found[0]) else mask(found[0], rules), text)
    if "@" not in text and not hinted(flat(text.encode("utf-8", "surrogatepass")), rules.keys):
        return text
    for pattern in _patterns(rules.keys):
        text = pattern.sub(lambda found: _covered(found, rules), text)
    return text


def _covered(found: re.Match[str], rules: Rules) -> str:
    """Return what was found with its secret masked, or as it is where there is none."""
    groups = found.groupdict()
    place = "quoted" if groups.get("quoted") else "bare"
    secret = groups[place]
    if not secret or is_masked(secret) or _INNOCENT.search(groups.get("key") or ""):
        return found[0]
    start = found.start()
    return found[0][: found.start(place) - start] + mask(secret, rules) + found[0][found.end(place) - start :]
