"""Signals are noted, and handed on to whoever handled them before."""

import os
import signal

import pytest

from unrolljax.lab.ends import Interrupted
from unrolljax.lab.interrupt import SIGNALS, Interrupt


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_then_handed_on(number):
    heard = []
    before = signal.signal(number, lambda number, frame: heard.append(number))
    try:
        with Interrupt() as interrupt:
            assert interrupt.received == 0
            os.kill(os.getpid(), number)
            assert interrupt.received == number
        assert heard == []
        Interrupted(interrupt.received, "saved").hand_on()
        assert heard == [number]
    finally:
        signal.signal(number, before)


def test_a_signal_that_nobody_handled_is_not_sent_again():
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
    Interrupted(signal.SIGUSR2, "saved").hand_on()  # the default would end this process


def test_the_exit_code_is_that_of_a_shell():
    assert Interrupted(signal.SIGTERM, "saved").code == 143
