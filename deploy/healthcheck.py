"""Exit 0 if the bridge in this container answers /healthz with 200, else 1 with a line that says why.

It knows what the bridge knows: ORCHBRIDGE_HTTP__* before [http] of the configuration, and only the standard library, so
that asking every half minute costs next to nothing.
"""

import http.client
import os
import ssl
import sys
import tomllib
from pathlib import Path

LIMIT_S = 4.0


def settings(file: Path) -> dict[str, str]:
    """Return `listen` and `tls_cert_file` as the bridge takes them; a file that is not there says nothing."""
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8")).get("http", {})
    except (OSError, ValueError):
        told = {}
    for name in ("listen", "tls_cert_file"):
        told[name] = os.environ.get(f"ORCHBRIDGE_HTTP__{name.upper()}", told.get(name, ""))
    return told


def ask(listen: str, *, tls: bool) -> int:
    """Return the status of /healthz; raise OSError or HTTPException."""
    host, _, port = (listen or "127.0.0.1:9640").rpartition(":")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104
    if tls:
        # The certificate is for the name others use; this connection does not leave the container.
        trust = ssl._create_unverified_context()  # noqa: S323
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, int(port), timeout=LIMIT_S, context=trust
        )
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=LIMIT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def main() -> int:
    """Ask once; return the exit code."""
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "/etc/orchbridge/config.toml")
    told = settings(file)
    try:
        status = ask(told["listen"], tls=bool(told["tls_cert_file"]))
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"/healthz on {told['listen'] or '127.0.0.1:9640'}: {type(error).__name__}: {error}")  # noqa: T201
        return 1
    print(f"/healthz: {status}")  # noqa: T201
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
