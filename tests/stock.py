"""Programs under goalloc and without it: the same output and the same exit status."""

import signal
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("programs")
MODES = ["launch", "import"]


class Programs:
    """Runs tests/programs/NAME.py, or any command line for python, in the ways there are."""

    def __init__(self, python):
        self.python = python

    def stock(self, *command, **options):
        return self.python(*self._located(command), **options)

    def ours(self, mode, *command, **options):
        located = self._located(command)
        if mode == "launch":
            return self.python.run(*located, **options)
        return self.python(PROGRAMS / "installed.py", *located, **options)

    def same(self, mode, *command, **options):
        """The outcome under goalloc, which must be that of a plain python."""
        plain = outcome(self.stock(*command, **options))
        ours = outcome(self.ours(mode, *command, **options))
        assert ours == plain
        return ours

    @staticmethod
    def _located(command):
        name, *rest = command
        path = PROGRAMS / f"{name}.py"
        return [path if path.exists() else name, *rest]


def outcome(result):
    """(exit status or name of the signal, stdout, stderr)"""
    status = result.returncode
    if status < 0:
        status = signal.Signals(-status).name
    return status, result.stdout, result.stderr


@pytest.fixture
def programs(python):
    return Programs(python)
