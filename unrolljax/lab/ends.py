"""How a run ends without a result; all ranks of a run agree on it."""

import signal


class Ended(Exception):
    """A run ended without a result; the message says why, `code` is for the shell."""

    code = 1


class Failed(Ended):
    """A step failed; what remains of it is in the run folder."""


class AnotherRun(Ended):
    """The folder holds a run of another configuration."""

    code = 2


class Interrupted(Ended):
    """The run was asked to end by a signal, and its state is saved."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number
        self.code = 128 + number

    def hand_on(self) -> None:
        """Let the handler that was there before have the signal: submitit's requeues the job."""
        if callable(signal.getsignal(self.number)):
            signal.raise_signal(self.number)
