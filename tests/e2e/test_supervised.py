"""`orchbridge run` as systemd starts it, frozen and thawed: what it says, and what it does not."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.programs import get, running, simulator, wait_until
from tests.e2e.test_run_jsonl import config
from tests.ops.test_supervisor import Systemd

pytestmark = pytest.mark.timeout(120)


def test_a_service_says_when_it_is_ready_that_it_lives_and_when_it_ends(tmp_path: Path) -> None:
    systemd, heard = Systemd(str(tmp_path / "notify")), []
    with simulator(tmp_path, "quiet", "--tls", str(tmp_path / "tls")) as (url, _):
        with running(
            tmp_path / "run.out", "run", "-c", str(config(tmp_path, url)), **systemd.environ(WATCHDOG_USEC="400000")
        ) as program:

            def all_heard() -> list[str]:
                heard.extend(systemd.heard())
                return heard

            wait_until("readiness", lambda: "READY=1" in all_heard(), 30)
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            assert get(address, "/healthz").text == "ok\n", "ready means: it answers"
            wait_until("signs of life", lambda: all_heard().count("WATCHDOG=1") >= 10, 30)
            program.process.send_signal(signal.SIGSTOP)
            time.sleep(1.0)  # nothing may come from a frozen process: only time can show that
            all_heard().clear()
            time.sleep(1.0)
            assert all_heard() == []
            program.process.send_signal(signal.SIGCONT)
            wait_until("signs of life", lambda: all_heard().count("WATCHDOG=1") >= 3, 30)
            assert get(address, "/healthz").status_code == 200
            assert program.end() == 0
            assert "STOPPING=1" in all_heard()
    systemd.place.close()
    assert "watchdog.barked" not in program.text


def test_it_is_ready_though_the_orchestrator_is_away(tmp_path: Path) -> None:
    systemd, heard = Systemd(str(tmp_path / "notify")), []
    with simulator(tmp_path, "quiet", "--tls", str(tmp_path / "tls")) as (url, _):
        pass
    with running(tmp_path / "run.out", "run", "-c", str(config(tmp_path, url)), **systemd.environ()):
        wait_until("readiness", lambda: "READY=1" in (heard.extend(systemd.heard()) or heard), 30)  # type: ignore[func-returns-value]
    systemd.place.close()
