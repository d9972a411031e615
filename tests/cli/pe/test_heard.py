"""What is said while nobody answers, and no more than that."""

from __future__ import annotations

from orchbridge.cli.pe.heard import Heard
from orchbridge.orchestrator import Asked


def test_a_silence_is_told_once_and_so_is_its_end() -> None:
    said: list[str] = []
    clock = [0.0]
    heard = Heard(said.append, lambda: clock[0])
    for clock[0], code in (
        (0, "200"), (1, "503"), (2, "unreachable"), (3, "200"), (10, "503"), (12, "unreachable"), (13, "unreachable"),
        (20, "503"), (21, "404"), (22, "200"),
    ):  # fmt: skip
        heard.note(Asked("pe", "/jobs/:id", code, 0.1, 10))
    assert said == [
        "orchbridge: the orchestrator does not answer (unreachable); waiting for it",
        "orchbridge: the orchestrator answers again",
    ]
