"""Signals as data: noted when they arrive, obeyed between two outer steps."""

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Asked for by people and by schedulers; submitit warns of the end of a job by SIGUSR2."""


class Interrupt:
    """Within the context, the last signal received by this process; 0 for none."""

    def __init__(self):
        self.received = 0

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = int(number)
