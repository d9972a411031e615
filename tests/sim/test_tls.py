"""Certificates are made once, kept private, and made anew only when they are of no use."""

import socket
import stat

from cryptography import x509

from orchbridge.sim.tls import make_tls


def test_keys_are_private_and_the_ca_key_is_not_kept(tmp_path):
    files = make_tls(tmp_path / "tls")
    for key in (files.key, files.client_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    private = [path.name for path in (tmp_path / "tls").iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(private) == ["client-key.pem", "server-key.pem"]


def test_the_server_certificate_is_for_this_machine(tmp_path):
    certificate = x509.load_pem_x509_certificate(make_tls(tmp_path).cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(dict.fromkeys(["localhost", socket.gethostname()]))
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_good_files_are_used_again_and_others_replaced(tmp_path):
    first = make_tls(tmp_path).cert.read_bytes()
    assert make_tls(tmp_path).cert.read_bytes() == first
    (tmp_path / "server-key.pem").write_bytes((tmp_path / "client-key.pem").read_bytes())
    second = make_tls(tmp_path).cert.read_bytes()
    assert second != first
    (tmp_path / "ca.pem").unlink()
    third = make_tls(tmp_path).cert.read_bytes()
    assert third != second
    (tmp_path / "client.pem").write_text("no certificate")
    assert make_tls(tmp_path).cert.read_bytes() != third
