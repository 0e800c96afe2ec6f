"""``python -m tailrace``, and the command ``tailrace``."""

import sys


def run() -> int:
    """Run the command line and return its exit code.

    Ctrl-C leaves no traceback, neither while the command line is loaded nor while the process ends.
    """
    try:
        from tailrace.cli.main import main  # noqa: PLC0415 - loaded where Ctrl-C is caught

        code = main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - the command line's own voice
        code = 130
    _end_at_once_on_ctrl_c()
    return code


def _end_at_once_on_ctrl_c() -> None:
    """Leave Ctrl-C to the system: all is said, and what the store has left to do can be torn."""
    import signal  # noqa: PLC0415 - nobody waits for it

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(run())
