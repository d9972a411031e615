"""Commands that fetch something: a registry that fails for a moment fails no test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PAUSES_S = (2.0, 10.0)


def fetch(
    command: Sequence[str], timeout: float, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that fetches something, up to three times; return how it went last. Each may take `timeout` s."""
    for pause in (*PAUSES_S, 0.0):
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode == 0:
            break
        time.sleep(pause)
    return done
