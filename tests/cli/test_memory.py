"""Large buffers leave no holes behind."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LEFT_MAX_MB, FREED_MB = 4, 20
SCRIPT = f"""
import re, sys
from pathlib import Path
from orchbridge.cli.memory import return_large_blocks

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

if sys.argv[1] == "asked":
    return_large_blocks()
body = bytearray(b"x" * 30_000_000)
del body  # from here on glibc, left alone, takes blocks up to this size from its heap
before = resident_mb()
parts = [bytearray(b"x" * 200_000) for _ in range({FREED_MB * 5})]
stays = bytearray(b"x" * 2_000)
del parts
print(resident_mb() - before)
"""


def left_mb(how: str) -> float:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps them")
def test_what_large_buffers_took_is_given_back_though_something_small_came_after_them() -> None:
    assert left_mb("asked") < LEFT_MAX_MB
    assert left_mb("not asked") > FREED_MB / 2, "nothing to ask for any more"
