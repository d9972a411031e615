"""Exit codes (as in sysexits.h where they have a name there) and how an error becomes one."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Coroutine
from typing import Any

from orchbridge.core.errors import ConfigError, OrchbridgeError, Refused, SinkLost

DONE = 0
CONFIGURATION = 2
CHECK_FAILED = 3
UNAVAILABLE = 69
BUG = 70
CUT = 75


class Unreachable(OrchbridgeError):
    """A command that ends by itself gave up waiting for an orchestrator."""


def say(line: str) -> None:
    """Tell the person at the terminal; standard output belongs to records and tables."""
    print(line, file=sys.stderr)


def code_of(error: BaseException) -> int:
    """Return the exit code for an error, having said what to do about it."""
    match error:
        case BaseExceptionGroup() if len(error.exceptions) == 1:
            return code_of(error.exceptions[0])
        case BaseExceptionGroup() if error.split(OrchbridgeError)[1] is None:
            codes = [code_of(each) for each in error.exceptions]  # all are told, the first decides
            return codes[0]
        case ConfigError():
            say(f"orchbridge: {error.line()}")
            return CONFIGURATION
        case Refused():
            say(f"orchbridge: {error.line()}")
            return CHECK_FAILED
        case SinkLost() | Unreachable():
            say(f"orchbridge: {error.line()}")
            return UNAVAILABLE
        case OrchbridgeError():
            say(f"orchbridge: {error.line()}")
            return CHECK_FAILED
        case TimeoutError():
            say("orchbridge: cut short; nothing is lost, the next start resumes from the last commit")
            return CUT
        case KeyboardInterrupt():
            return CUT
    if os.environ.get("ORCHBRIDGE_TEST_TRACEBACK"):
        traceback.print_exception(error)
    else:
        traceback.print_exception(error, limit=-8)
    say("orchbridge: this is a bug in orchbridge; please report the lines above")
    return BUG


def run_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Run the coroutine and return its exit code, or that of the error which ended it."""
    try:
        return asyncio.run(work)
    except Exception as error:
        return code_of(error)
    except KeyboardInterrupt as error:
        return code_of(error)
