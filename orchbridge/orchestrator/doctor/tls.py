"""What is said of certificates: the server's as presented, our own, and those we trust."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

from orchbridge.core.ports import Finding
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.doctor.chain import DAY_S, Certificate, in_file
from orchbridge.orchestrator.doctor.findings import failed, ok, warning

DAYS_LEFT_MIN = 14
AUTHORITY_DAYS_MIN = 60
BUNDLE_MIN = 10  # authorities in one file: that is a system's store and not PE's CA
PE_CA = "/etc/puppetlabs/puppet/ssl/certs/ca.pem"
PLAIN = ("wrong version number", "record layer failure", "packet length too long", "http request")
RENEW = "renew the primary's certificate in time: puppet infrastructure run regenerate_primary_certificate"


def accepted(chain: tuple[Certificate, ...], days_left: float | None) -> list[Finding]:
    """Return what there is to say of a chain that was verified; `days_left` is of the server's own certificate."""
    if days_left is None:
        return [ok("certificate", "no TLS on this machine's own address")]
    lasts = f"valid for {days_left:.0f} more days"
    if not chain:
        said = f"the server's certificate is {lasts}"
        return [warning("certificate", said, RENEW) if days_left < DAYS_LEFT_MIN else ok("certificate", said)]
    own, *others = chain
    said = f"{own.subject}, issued by {own.issuer}, for {own.made_for}; {lasts}, until {own.until}"
    found = [warning("certificate", said, RENEW) if days_left < DAYS_LEFT_MIN else ok("certificate", said)]
    if not others:
        return [*found, ok("certificate chain", "the server presents its own alone; its issuer is known here")]
    now = time.time()
    said = "; ".join(f"{each.subject}, issued by {each.issuer}, until {each.until}" for each in others)
    if min(each.days_left(now) for each in others) < AUTHORITY_DAYS_MIN:
        hint = "an authority ends soon, and with it every certificate that it signed: extend the PE CA"
        return [*found, warning("certificate chain", said, hint)]
    return [*found, ok("certificate chain", said)]


def refused(access: Access, chain: tuple[Certificate, ...], reason: str) -> Finding:
    """Return why a certificate is not accepted, as seen from what was presented, and what to do."""
    if not chain:
        return failed("certificate", reason, _no_tls_hint(access, reason) or _trust_hint(access, ""))
    own, now = chain[0], time.time()
    host = urlsplit(access.url).hostname or ""
    said = f"{reason}; presented is {own.subject}, issued by {own.issuer}, for {own.made_for}, until {own.until}"
    if own.ends < now:
        hint = f"it ended {-own.days_left(now):.0f} days ago: renew it, or correct this machine's clock"
    elif own.begins > now:
        hint = f"it begins in {(own.begins - now) / DAY_S:.1f} days: correct the clocks (chronyc tracking)"
    elif ended := _ended(chain, _trusted(access), now):
        hint = f"the authority {ended!r} has itself ended: extend the PE CA; then {_trust_hint(access, '')}"
    elif not own.fits(host):
        hint = f"use in url the name the certificate was made for, the primary's certname: {own.made_for}"
    else:
        hint = _trust_hint(access, f"; what is there does not hold {chain[-1].issuer!r}" if access.ca_file else "")
    return failed("certificate", said, hint)


def _ended(chain: tuple[Certificate, ...], trusted: tuple[Certificate, ...], now: float) -> str | None:
    """Return an authority behind the chain that has ended, None where each still has a certificate that lasts."""
    signed = {each.issuer for each in chain}
    behind = [*chain[1:], *(each for each in trusted if each.subject in signed)]
    lasting = {each.subject for each in behind if each.ends >= now}
    return next((each.subject for each in behind if each.subject not in lasting), None)


def _no_tls_hint(access: Access, reason: str) -> str | None:
    """Return what to do where no certificate was seen because there is no TLS, None where there may be."""
    if any(words in reason for words in PLAIN):
        return f"the port does not speak TLS: {access.place} is another service; the orchestrator listens on port 8143"
    if reason.startswith("no encrypted connection"):
        return (
            f"see that nothing between here and {access.place} breaks TLS, and that it is the orchestrator, port 8143"
        )
    return None


def _trust_hint(access: Access, more: str) -> str:
    if access.ca_file is None:
        return f"set ca_file to a copy of the primary's {PE_CA}"
    if _is_bundle(access.ca_file):
        return f"set ca_file to a file of its own with the primary's {PE_CA}; leave {access.ca_file} as it is{more}"
    return f"put the primary's {PE_CA} into {access.ca_file}{more}"


def _is_bundle(file: Path) -> bool:
    """Whether a file is a system's store, which packages write."""
    default = ssl.get_default_verify_paths().cafile
    return len(in_file(file)) >= BUNDLE_MIN or (default is not None and file.resolve() == Path(default).resolve())


def files(access: Access) -> list[Finding]:
    """Return what there is to say of the certificates we bring ourselves."""
    now, found = time.time(), []
    for certificate in in_file(access.client_cert_file)[:1] if access.client_cert_file else ():
        days = certificate.days_left(now)
        said = f"{certificate.subject}, issued by {certificate.issuer}, until {certificate.until}"
        hint = f"renew {access.client_cert_file}: puppet ssl clean and bootstrap, or puppetserver ca generate"
        if days < 0:
            found.append(failed("client certificate", f"{said}: it has ended", hint))
        elif days < DAYS_LEFT_MIN:
            found.append(warning("client certificate", f"{said}: {days:.0f} more days", hint))
        else:
            found.append(ok("client certificate", said))
    ours = () if access.ca_file is None or _is_bundle(access.ca_file) else _trusted(access)
    ending = [each for each in ours if each.days_left(now) < AUTHORITY_DAYS_MIN]
    for certificate in ending[:3]:
        hint = f"copy the renewed ca.pem of the primary to {access.ca_file}"
        found.append(warning("trusted authority", f"{certificate.subject} ends on {certificate.until}", hint))
    return found


def _trusted(access: Access) -> tuple[Certificate, ...]:
    return in_file(access.ca_file) if access.ca_file else ()
