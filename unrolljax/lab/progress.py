"""What a person sees of a running experiment: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
from collections import Counter

from tqdm import tqdm

from unrolljax.lab.experiment import Line

log = logging.getLogger(__name__)

LINES = 20
"""How many plain lines a run prints."""


class Progress:
    """Loss, statuses of the solves so far, and the time that is left; a writer of metrics."""

    def __init__(self, steps: int, done: int):
        self._steps = steps
        self._every = max(1, steps // LINES)
        self._statuses = Counter()
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=steps, initial=done, disable=not on_terminal, dynamic_ncols=True)

    def __call__(self, line: Line) -> None:
        """Show a line of metrics."""
        if "loss" not in line:
            return self._say(_evaluation(line))
        self._statuses.update(line["status"])
        self._bar.update()
        left_out = f"  left out {line['skipped']}" if "skipped" in line else ""
        text = f"loss {line['loss']:.6g}  {_counts(self._statuses)}{left_out}"
        self._bar.set_postfix_str(text, refresh=False)
        due = line["step"] % self._every == 0 or line["step"] == self._steps
        if self._bar.disable and due:
            self._say(f"step {line['step']}/{self._steps}  {text}")

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _say(self, text: str) -> None:
        self._bar.clear()
        log.info(text)
        self._bar.refresh()


def _evaluation(line: Line) -> str:
    pairs = [(k.removeprefix("evaluation/"), v) for k, v in line.items()]
    numbers = "  ".join(f"{k} {v:.6g}" for k, v in pairs if isinstance(v, float))
    return f"step {line['step']}  held out: {numbers}"


def _counts(statuses: Counter) -> str:
    return "  ".join(f"{name} {count}" for name, count in statuses.items())
