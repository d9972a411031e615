"""`orchbridge`: Ctrl-C at any moment, and streams that are closed, end as the exit codes say.

Hardly anything is imported up here: it would be what an early Ctrl-C meets, before anybody can catch it.
"""

from __future__ import annotations

import contextlib
import os
import sys

CUT = 75  # as in cli/exits.py
_STREAMS = (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))


def main() -> None:
    """Run the command line, and end the process."""
    try:
        import atexit
        import signal

        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the last thing but Python's own end
        _open_streams()
        code = _code()
    except KeyboardInterrupt:
        code = CUT
    import signal

    # From here on the outcome stands: Ctrl-C only ends the waiting for what threads are still at.
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    exec("")  # noqa: S102 - Python forgets that Ctrl-C met it in other such text, as dataclasses are made of
    sys.exit(code)


def _code() -> int:
    import click

    from orchbridge.cli.main import main as commands

    try:
        return commands.main(standalone_mode=False) or 0
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # Ctrl-C, or the end of the input where there was a question
        return CUT


def _open_streams() -> None:
    """Open what was closed, or files and sockets would take their numbers.

    To print there fails still; to complain does not.
    """
    for number, (name, mode, how) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, how)  # gets the lowest number that is free, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - as long as we live


if __name__ == "__main__":
    main()
