"""A real Kafka broker for the tests: one KRaft node on free loopback ports, gone when its owner is gone.

`python -m tests.broker` starts one for people, prints its address and runs until interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.debian import install
from tests.fetching import fetch

HERE = Path(__file__).parent / "kafka"
CLUSTER = "b3JjaGJyaWRnZS10ZXN0cw"
READY = b"Kafka Server started"
START_S = 60.0
PROXIED = "PROXIED"  # a further plain listener; `Broker.through` is what its clients are told
PACKAGES = (["openjdk-21-jre-headless", "maven"], ["openjdk-17-jre-headless", "maven"])
INSTALL = "apt-get install openjdk-17-jre-headless maven"
HEAP_MB = 512
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class NoBroker(Exception):
    """No Kafka can be started here; the message says what to install."""


def java() -> str:
    """Return the path of a Java 17 or newer; raise NoBroker."""
    found = shutil.which("java") or _java_home()
    if found and _java_version(found) >= 17:
        return found
    install(*PACKAGES)
    found = shutil.which("java")
    if found and _java_version(found) >= 17:
        return found
    raise NoBroker(f"Java 17 or newer is missing; install it with: {INSTALL}")


def jars() -> Path:
    """Return a folder with Kafka's jars, fetched once with Maven into the user's cache; raise NoBroker."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchbridge"
    folder = cache / f"kafka-{_kafka_version()}"
    if folder.is_dir():
        return folder
    if not shutil.which("mvn"):
        install(*PACKAGES)
    if not shutil.which("mvn"):
        raise NoBroker(f"Maven is missing; install it with: {INSTALL}")
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="kafka-", dir=cache))
    goal = [
        "mvn",
        "-B",
        "-q",
        "-f",
        str(HERE / "pom.xml"),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={draft}",
    ]
    try:
        done = fetch(goal, 600)
        if done.returncode:
            raise NoBroker(f"Maven could not fetch Kafka: {(done.stdout + done.stderr)[-600:].strip()}")
        with contextlib.suppress(OSError):  # somebody else was faster
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _kafka_version() -> str:
    found = ElementTree.parse(HERE / "pom.xml").find(".//{*}kafka.version")
    assert found is not None
    assert found.text
    return found.text


def _java_home() -> str | None:
    home = os.environ.get("JAVA_HOME")
    path = Path(home or "") / "bin" / "java"
    return str(path) if home and path.exists() else None


def _java_version(path: str) -> int:
    done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


class Broker:
    """One broker. It keeps its port and its data from start() to start(), whichever way it ended.

    `listeners` are further ones by security protocol (`SSL`, `SASL_PLAINTEXT`, `SASL_SSL`), reached at
    `at(protocol)`; `properties` are added to the server's; `scram` are credentials it is born with, such as
    `SCRAM-SHA-256=[name=bridge,password=...]`. Everything ends with the process that made it, however that ends.

    Before its first start(): `through` may name the address of a proxy, to which clients of the listener
    `PROXIED` are then sent; `voters` may name the controllers of a cluster (tests/cluster.py) by node id.
    """

    through: str | None = None
    voters: Mapping[int, str] | None = None

    def __init__(
        self,
        *,
        listeners: Sequence[str] = (),
        properties: Mapping[str, str] | None = None,
        scram: Sequence[str] = (),
        node: int = 1,
        heap_mb: int = HEAP_MB,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orchbridge-kafka-"))
        self.node = node
        self._heap_mb = heap_mb
        self._listeners = ("PLAINTEXT", *listeners)
        self._ports = {name: free_port() for name in (*self._listeners, "CONTROLLER")}
        self._properties = dict(properties or {})
        self._scram = tuple(scram)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return self.at("PLAINTEXT")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def at(self, protocol: str) -> str:
        """Return the address of the listener with this security protocol."""
        return f"127.0.0.1:{self._ports[protocol]}"

    def start(self) -> None:
        """Start, or start again on the same port and data; return when it serves."""
        assert not self.running
        home, run = jars(), java()
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        server = [run, f"-Xmx{self._heap_mb}m", *JVM, logging, "-cp", f"{home}/*"]
        settings = self.folder / "server.properties"
        if not settings.exists():
            settings.write_text(self._settings())
            form = [*server, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(settings)]
            form += [part for credential in self._scram for part in ("--add-scram", credential)]
            done = subprocess.run(form, capture_output=True, text=True, timeout=START_S, check=False)
            if done.returncode:
                raise NoBroker(f"Kafka could not format its folder: {done.stdout[-800:]}{done.stderr[-800:]}")
        log = self.folder / "broker.log"
        with log.open("ab") as out:
            begun = out.tell()
            command = [*server, "kafka.Kafka", str(settings)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._guard = guard(self._process.pid, self.folder)
        self._await_ready(log, begun)

    def stop(self) -> None:
        """Ask it to end and wait; the data stays for the next start()."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power cut would; the data stays for the next start()."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after freeze()."""
        self._signal(signal.SIGCONT)

    def dispose(self) -> None:
        """End it and forget its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the broker had to say, warnings and worse."""
        return (self.folder / "broker.log").read_text(errors="replace")

    def __enter__(self) -> Broker:
        try:
            self.start()
        except BaseException:
            self.dispose()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._guard is None:
            return
        self._signal(number)
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait(timeout=10)
        self._guard.kill()
        self._guard.communicate()
        self._process = self._guard = None

    def _await_ready(self, log: Path, begun: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while READY not in log.read_bytes()[begun:]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoBroker(f"Kafka did not start: {self.log()[-1500:]}")
            time.sleep(0.05)

    def _settings(self) -> str:
        names = ("CONTROLLER", *self._listeners)
        told = {name: self.at(name) for name in self._listeners}
        if self.through is not None:
            told[PROXIED] = self.through
        voters = self.voters or {self.node: self.at("CONTROLLER")}
        own = {
            "node.id": str(self.node),
            "listeners": ",".join(f"{name}://{self.at(name)}" for name in names),
            "advertised.listeners": ",".join(f"{name}://{address}" for name, address in told.items()),
            "listener.security.protocol.map": ",".join(
                f"{name}:{'PLAINTEXT' if name in {'CONTROLLER', PROXIED} else name}" for name in names
            ),
            "controller.quorum.voters": ",".join(f"{node}@{address}" for node, address in voters.items()),
            "log.dirs": str(self.folder / "data"),
        }
        lines = (f"{key}={value}" for key, value in (own | self._properties).items())
        return (HERE / "server.properties").read_text() + "\n".join(lines) + "\n"


def free_port() -> int:
    """Return a loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start the one that ends a server's process group when we die without a word: our end of its pipe closes then.

    PR_SET_PDEATHSIG would do the same but for the thread that started the server, and tests
    restart it from worker threads.
    """
    script = 'read -r _; kill -s KILL -- "-$0" 2>/dev/null; rm -rf -- "$1"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, str(pid), str(folder)], stdin=subprocess.PIPE, start_new_session=True
    )


def main() -> None:
    """Run a broker until interrupted."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with Broker() as broker, contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(broker.bootstrap, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
