"""Building and running a Dockerfile without an engine: its steps, one by one, in root folders of their own.

Each command runs with chroot in a mount namespace that ends with it; what an engine lends to a build (name resolution,
the way to the package index) is lent here too, and only then.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfile import Stage, Step, given, stages
from tests.deploy.root import base

REPOSITORY = Path(__file__).parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_S = 300
LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
WAY = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_CERT", "PIP_DEFAULT_TIMEOUT",
       "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")  # fmt: skip


@dataclass
class Image:
    """A stage that was built: its root folder, and how programs are started in it."""

    root: Path
    stage: Stage
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "0:0"
    workdir: str = "/"

    def words(self, word: str) -> list[str]:
        step = self.stage.last(word)
        return [] if step is None else step.words

    @property
    def health(self) -> list[str]:
        """The command of HEALTHCHECK."""
        step = self.stage.last("HEALTHCHECK")
        assert step is not None
        return Step("CMD", step.rest.removeprefix("CMD").strip()).words

    def labels(self) -> dict[str, str]:
        pairs = (word.partition("=") for word in self.words("LABEL"))
        return {name: value for name, _, value in pairs}

    def confined(self, command: Sequence[str], mounts: Mapping[str, Path], env: Mapping[str, str]) -> list[str]:
        """Return the command that runs this one as an engine would with `--read-only --cap-drop ALL`.

        It is process 1, its root cannot be written, it is the image's user without any privilege to gain, and it sees
        only what is mounted: target -> what is there, writable where the target ends in `:rw`. The network is ours.
        """
        lines = [f"mount --bind {self._at('/')} {self._at('/')}"]
        for target, place in mounts.items():
            path, _, mode = target.partition(":")
            self.place(path).mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind {shlex.quote(str(place))} {self._at(path)}")
            if mode != "rw":
                lines.append(f"mount -o remount,bind,ro {self._at(path)}")
        lines += _devices(self)
        lines += [f"mount -o remount,bind,ro {self._at('/')}", f"mount -t proc proc {self._at('/proc')}"]
        uid, _, gid = self.user.partition(":")
        drop = ["setpriv", "--reuid", uid, "--regid", gid or uid, "--clear-groups", "--no-new-privs",
                "--bounding-set=-all", "--inh-caps=-all"]  # fmt: skip
        told = [f"{name}={value}" for name, value in (self.env | dict(env)).items()]
        inside = ["env", "-i", *told, *drop, "sh", "-c", f'cd {shlex.quote(self.workdir)} && exec "$0" "$@"', *command]
        lines.append(f"exec chroot {self._at('/')} {shlex.join(inside)}")
        return ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private",
                "sh", "-ec", "\n".join(lines)]  # fmt: skip

    def beside(self, pid: int, command: Sequence[str]) -> list[str]:
        """Return the command that runs this one beside the process `pid` of this image, as `docker exec` would."""
        uid, _, gid = self.user.partition(":")
        told = [f"{name}={value}" for name, value in self.env.items()]
        return ["nsenter", "--target", str(pid), "--mount", "--pid", "--root", "--wd", "env", "-i", *told,
                "setpriv", "--reuid", uid, "--regid", gid or uid, "--clear-groups", *command]  # fmt: skip

    def place(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.root / path.lstrip("/")

    def _at(self, path: str) -> str:
        return shlex.quote(str(self.place(path)))


def build(folder: Path, cache: Path) -> Image:
    """Build the Dockerfile of this repository; return its last stage. `cache` is what cache mounts keep."""
    built: dict[str, Image] = {}
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    context = given((REPOSITORY / ".dockerignore").read_text(), files)
    for number, stage in enumerate(stages((REPOSITORY / "Dockerfile").read_text())):
        image = Image(folder / f"stage-{number}", stage)
        base(stage.base, image.root)
        for step in stage.steps:
            _take(image, step, context, built, cache)
        built[stage.name or str(number)] = image
    return image


def _take(image: Image, step: Step, context: list[str], built: Mapping[str, Image], cache: Path) -> None:
    match step.word:
        case "WORKDIR":
            image.workdir = step.rest
            image.place(step.rest).mkdir(parents=True, exist_ok=True)
        case "ENV":
            for word in step.words:
                name, _, value = word.partition("=")
                image.env[name] = value.replace("$PATH", image.env["PATH"])
        case "USER":
            image.user = step.rest
        case "COPY":
            _copy(image, step, context, built)
        case "RUN":
            _run(image, step, cache)
        case _:
            assert step.word in {"LABEL", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD", "STOPSIGNAL"}, step


def _copy(image: Image, step: Step, context: list[str], built: Mapping[str, Image]) -> None:
    *sources, target = step.words
    flags = dict(step.flags)
    assert set(flags) <= {"from"}, flags
    into = image.place(target if target.startswith("/") else f"{image.workdir}/{target}")
    for source in sources:
        if "from" in flags:
            subprocess.run(["cp", "-aT", str(built[flags["from"]].place(source)), str(into)], check=True)
            continue
        found = [file for file in context if file == source or file.startswith(f"{source}/")]
        assert found, f"COPY {source}: .dockerignore lets nothing of it through"
        for file in found:
            name = file.removeprefix(source).lstrip("/") or (Path(source).name if target.endswith("/") else "")
            place = into / name if name else into
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / file, place, follow_symlinks=False)


def _run(image: Image, step: Step, cache: Path) -> None:
    lines = []
    for flag, value in step.flags:
        assert flag == "mount", flag
        told = dict(part.split("=", 1) for part in value.split(","))
        assert told["type"] == "cache", told
        image.place(told["target"]).mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        lines.append(f"mount --bind {shlex.quote(str(cache))} {image._at(told['target'])}")
    env = image.env | {name: os.environ[name] for name in WAY if name in os.environ} | {"HOME": "/root"}
    for path in LENT:
        if Path(path).exists():
            image.place(path).parent.mkdir(parents=True, exist_ok=True)
            image.place(path).touch()
            lines.append(f"mount --bind {path} {image._at(path)}")
    lines += [f"mount -t proc proc {image._at('/proc')}", *_devices(image)]
    inside = f"cd {shlex.quote(image.workdir)} && {step.rest}"
    lines.append(f"exec chroot {image._at('/')} /bin/sh -c {shlex.quote(inside)}")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines)],
        env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"RUN {step.rest}\n{(done.stdout + done.stderr)[-3000:]}"


def _devices(image: Image) -> list[str]:
    """Return the commands that lend the harmless devices."""
    devices = ("/dev/null", "/dev/zero", "/dev/urandom")
    for device in devices:
        image.place(device).touch()
    return [f"mount --bind {device} {image._at(device)}" for device in devices]
