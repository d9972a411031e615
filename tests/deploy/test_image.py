"""The Dockerfile's steps in a clean root folder (root.py says what stands in), and what comes out of them at work."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchbridge import __version__
from orchbridge.sim.tls import make_tls
from tests.broker import free_port
from tests.debian import Lack
from tests.deploy.dockerfile import given, stages
from tests.deploy.image import REPOSITORY, Image, build
from tests.e2e.programs import simulator, wait_until

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
TOOLS = {"pip", "setuptools", "wheel", "mypy", "ruff", "pytest", "hypothesis", "jsonschema"}
COMPILERS = ("gcc", "cc", "make", "pip", "pip3", "git", "curl", "wget")
CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
ca_file = "tls/ca.pem"
token_file = "token"
start = "earliest"
poll_interval_s = 0.5

[sink]
{sink}

[http]
listen = "127.0.0.1:{port}"
"""


@pytest.fixture(scope="module")
def image(
    tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None], leave_out: Callable[..., Any]
) -> Iterator[Image]:
    if os.geteuid():
        leave_out("root", why="only root may make root folders and enter them: run the tests as root")
    needs("debootstrap")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchbridge"
    folder = tmp_path_factory.mktemp("image")
    folder.parent.chmod(0o755)  # its user has to get there
    try:
        yield build(folder, cache / "pip")
    except Lack as lack:
        leave_out("debootstrap", why=str(lack))
    finally:
        # Hundreds of megabytes, which pytest would keep; nobody has to wait for it.
        subprocess.run(["sh", "-c", 'rm -rf -- "$0" >/dev/null 2>&1 &', str(folder)], check=True)


class Container:
    """The image's entry point at work, as an engine with a read-only root and without capabilities runs it."""

    def __init__(self, image: Image, process: subprocess.Popen[bytes], out: Path) -> None:
        self._image, self._process, self._out = image, process, out

    @property
    def said(self) -> str:
        return self._out.read_text(errors="replace")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the entry point, which is process 1 there."""
        there = self._image.beside(self._first(), command)
        return subprocess.run(there, capture_output=True, text=True, timeout=30, check=False)

    def end(self) -> int:
        os.kill(self._first(), signal.SIGTERM)
        return self._process.wait(20)

    def _first(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        assert children, self.said
        return int(children[0])


@contextmanager
def container(image: Image, out: Path, mounts: dict[str, Path], *arguments: str) -> Iterator[Container]:
    command = image.words("ENTRYPOINT") + (list(arguments) or image.words("CMD"))
    with out.open("wb") as file:
        process = subprocess.Popen(
            image.confined(command, mounts, {}), stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        yield Container(image, process, out)
    finally:
        process.kill()
        process.wait()


@contextmanager
def configured(folder: Path, sink: str) -> Iterator[tuple[Path, str]]:
    """Run a simulator behind TLS; yield a folder for /etc/orchbridge and where the bridge will answer."""
    with simulator(folder, "demo", "--tls", str(folder / "tls")) as (address, _):
        port = free_port()
        (folder / "config.toml").write_text(CONFIG.format(url=address, port=port, sink=sink))
        (folder / "tls" / "ca.pem").chmod(0o644)
        folder.chmod(0o755)
        yield folder, f"http://127.0.0.1:{port}"


def answers(url: str, path: str) -> int:
    try:
        return httpx.get(url + path, timeout=5.0, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


def test_a_bridge_at_work_with_a_read_only_root(image: Image, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 10001, 10001)
    with configured(tmp_path, 'type = "jsonl"\ndirectory = "/var/lib/orchbridge"') as (etc, url):
        mounts = {"/etc/orchbridge": etc, "/var/lib/orchbridge:rw": data}
        with container(image, tmp_path / "bridge.out", mounts) as bridge:
            wait_until("readiness", lambda: answers(url, "/readyz") == 200)
            wait_until("a record", (data / "pe.prod.job-events.jsonl").exists)
            health = bridge.run(*image.health)
            assert (health.returncode, health.stdout) == (0, "/healthz: 200\n"), health.stderr
            who = bridge.run("sh", "-c", "id -u; id -g; grep -E '^(CapEff|NoNewPrivs)' /proc/1/status").stdout.split()
            assert who == ["10001", "10001", "CapEff:", "0" * 16, "NoNewPrivs:", "1"]
            for place in ("/etc/orchbridge", "/opt/orchbridge", "/tmp", "/", "/usr/local/bin"):
                assert "Read-only file system" in bridge.run("touch", f"{place}/mine").stderr
            assert bridge.end() == 0, bridge.said
            assert "bridge.stopped" in bridge.said
    assert {path.stat().st_uid for path in data.iterdir()} == {10001}


@pytest.mark.kafka
def test_with_kafka_it_needs_no_place_to_write(image: Image, tmp_path: Path, kafka: str, prefix: str) -> None:
    lines = f'type = "kafka"\nbootstrap_servers = "{kafka}"\ngroup = "{prefix}"\ntopic_prefix = "{prefix}.{{source}}"'
    with configured(tmp_path, lines + "\npartitions = 1") as (etc, url):
        with container(image, tmp_path / "check.out", {"/etc/orchbridge": etc}, "check", "-c",
                       "/etc/orchbridge/config.toml") as check:  # fmt: skip
            assert check._process.wait(60) == 0, check.said
        with container(image, tmp_path / "bridge.out", {"/etc/orchbridge": etc}) as bridge:
            wait_until("readiness", lambda: answers(url, "/readyz") == 200)
            wait_until("a commit", lambda: 'stream="jobs"' in httpx.get(f"{url}/metrics", trust_env=False).text)
            assert bridge.run(*image.health).returncode == 0
            assert bridge.end() == 0, bridge.said


def test_what_is_in_it_is_what_the_lock_says_and_nothing_to_build_with(image: Image) -> None:
    lock = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE))
    (site,) = image.place("/opt/orchbridge/lib").glob("python3.*/site-packages")
    found = dict(path.name.removesuffix(".dist-info").split("-") for path in site.glob("*.dist-info"))
    found = {name.lower().replace("_", "-").replace(".", "-"): version for name, version in found.items()}
    assert found.pop("orchbridge") == __version__
    assert found.items() <= lock.items()
    assert not TOOLS & found.keys()
    runbooks = {path.name for path in (REPOSITORY / "docs" / "runbooks").glob("*.md")}
    assert {path.name for path in (site / "orchbridge" / "runbooks").glob("*.md")} == runbooks
    assert (site / "orchbridge" / "__pycache__").is_dir(), "compiled when built: at work nothing can be"
    for name in COMPILERS:
        assert not [path for path in image.env["PATH"].split(":") if image.place(f"{path}/{name}").exists()], name
    size = sum(path.lstat().st_size for path in image.place("/opt/orchbridge").rglob("*") if path.is_file())
    assert size < 100_000_000


def test_its_user_owns_nothing_but_its_state(image: Image) -> None:
    own = {path for path in image.root.rglob("*") if not path.is_symlink() and path.lstat().st_uid == 10001}
    assert own == {image.place("/var/lib/orchbridge")}
    loose = [path for path in image.place("/opt").rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert not loose


def test_the_dockerfile_says_who_and_what_it_is() -> None:
    *_, last = stages(DOCKERFILE)
    image = Image(Path("/"), last)
    assert image.labels()["org.opencontainers.image.version"] == __version__
    for word in ("ENTRYPOINT", "CMD"):
        step = last.last(word)
        assert step is not None
        assert step.rest.startswith("["), "the exec form, so that signals reach the bridge and not a shell"
    user = last.last("USER")
    assert user is not None
    assert re.fullmatch(r"\d+:\d+", user.rest), "by number, so that Kubernetes can see that it is not root"
    assert all("--require-hashes" in step.rest for stage in stages(DOCKERFILE) for step in stage.steps
               if "pip download" in step.rest)  # fmt: skip


def test_only_what_the_build_uses_is_given_to_it() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    told = given((REPOSITORY / ".dockerignore").read_text(), [*files.split(), "secret.pem", ".git/config"])
    copied = {source for stage in stages(DOCKERFILE) for step in stage.steps if step.word == "COPY" and not step.flags
              for source in step.words[:-1]}  # fmt: skip
    assert {file for file in told if not any(file == each or file.startswith(f"{each}/") for each in copied)} == set()
    assert "orchbridge/py.typed" in told


@pytest.mark.parametrize(
    ("file", "environment"),
    [("127.0.0.1:{port}", None), ("0.0.0.0:{port}", None), ("127.0.0.1:1", "0.0.0.0:{port}"), (None, ":{port}")],
)
def test_the_health_check_asks_where_the_bridge_listens(
    file: str | None, environment: str | None, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if file:
            config.write_text(f'[http]\nlisten = "{file.format(port=port)}"\n')
        told = {"ORCHBRIDGE_HTTP__LISTEN": environment.format(port=port)} if environment else {}
        asked = [sys.executable, str(REPOSITORY / "deploy" / "healthcheck.py"), str(config)]
        with subprocess.Popen(asked, env=told, stdout=subprocess.PIPE) as process:
            server.settimeout(10)
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1000).startswith(b"GET /healthz ")
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert process.wait(10) == 0


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n", b""])
def test_the_health_check_fails_where_the_answer_is_no_or_none(answer: bytes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = [sys.executable, str(REPOSITORY / "deploy" / "healthcheck.py"), str(tmp_path / "none")]
        told = {"ORCHBRIDGE_HTTP__LISTEN": f"127.0.0.1:{server.getsockname()[1]}"}
        with subprocess.Popen(asked, env=told, stdout=subprocess.PIPE) as process:
            server.settimeout(10)
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)
            assert process.wait(10) == 1


def test_the_health_check_speaks_tls_where_the_bridge_does(tmp_path: Path) -> None:
    files = make_tls(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    config = tmp_path / "config.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        config.write_text(f'[http]\nlisten = "0.0.0.0:{server.getsockname()[1]}"\ntls_cert_file = "{files.cert}"\n')
        asked = [sys.executable, str(REPOSITORY / "deploy" / "healthcheck.py"), str(config)]
        with subprocess.Popen(asked, env={}, stdout=subprocess.PIPE) as process:
            server.settimeout(10)
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) as secured:
                assert secured.recv(1000).startswith(b"GET /healthz ")
                secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
                assert process.wait(10) == 0


def test_the_health_check_gives_up_before_the_engine_does(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = [sys.executable, str(REPOSITORY / "deploy" / "healthcheck.py"), str(tmp_path / "none")]
        told = {"ORCHBRIDGE_HTTP__LISTEN": f"127.0.0.1:{server.getsockname()[1]}"}
        begun = time.monotonic()
        assert subprocess.run(asked, env=told, check=False, stdout=subprocess.DEVNULL).returncode == 1
        assert time.monotonic() - begun < 10
