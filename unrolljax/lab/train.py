"""The outer loop: one class that trains any experiment, and can be told to stop at any step."""

import collections
import logging
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from unrolljax.lab import devices
from unrolljax.lab.checkpoint import Checkpoints
from unrolljax.lab.config.schema import Train
from unrolljax.lab.ends import Interrupted
from unrolljax.lab.experiment import Line
from unrolljax.lab.interrupt import SIGNALS, Interrupt
from unrolljax.lab.outer import Outer, TrainState
from unrolljax.lab.record import Record, as_line, by_name, failed, pack, unpack

log = logging.getLogger(__name__)


class BadStep(Exception):
    """A step failed; `state`, on the host, is the one from which it can be repeated."""

    def __init__(self, line: Line, state: TrainState):
        super().__init__(f"Step {line['step']} failed: loss {line['loss']}, {line['status']}.")
        self.line = line
        self.state = state


class Best(NamedTuple):
    """The best evaluation so far, and how many came after it."""

    loss: float
    stale: int
    learned: PyTree[np.ndarray]


class Training:
    """An experiment on its devices: compiled, resumed from the last good checkpoint, run.

    `done` counts outer steps. With `settings.patience` the parameters of the best evaluation are
    kept, and training ends after so many evaluations without a better one.
    """

    def __init__(self, outer: Outer, seed: int, settings: Train, checkpoints: Checkpoints):
        self.outer, self.settings, self.checkpoints = outer, settings, checkpoints
        self.alone = jax.process_count() == 1
        mesh, experiment = outer.mesh, outer.experiment
        self._data = devices.replicate(experiment.data, mesh)
        self._seed = devices.replicate(np.uint32(seed), mesh)
        self._signals = devices.signal_arrays(mesh, (0, *map(int, SIGNALS)))
        self._compile()
        self.done = 0
        self._earlier, self._begun = 0.0, time.perf_counter()
        self.best = Best(math.inf, 0, self._learned() if settings.patience else None)
        self._resume()

    def run(self, write: Callable[[Line], None]) -> PyTree[np.ndarray]:
        """Train to the end; return the learned arrays (on the host).

        Raises `BadStep` where a step fails, and `Interrupted`, after saving, on a signal.
        """
        unread: collections.deque[Array] = collections.deque()
        with Interrupt() as interrupt:
            while not self.finished:
                signals = self._signals[interrupt.received]
                self._state, numbers = self._step(self._state, self._data, self._seed, signals)
                self.done += 1
                unread.append(numbers)
                wanted = interrupt.received if self.alone else 0
                # One step is left unread, so that the devices never wait for the host; several
                # processes have to agree on the step at which they stop.
                hold = 1 if self.alone and not wanted and not self._due() else 0
                while len(unread) > hold:
                    wanted = max(wanted, self._read(unread.popleft(), write))
                if self._due(self.settings.evaluate_every):
                    self._evaluate(write)
                if wanted or self._due(self.settings.checkpoint_every):
                    path = self.save()
                if wanted:
                    raise Interrupted(wanted, f"Saved step {self.done} in {path}.")
        return self._learned() if self.best.learned is None else self.best.learned

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or evaluations have stopped getting better."""
        patience = self.settings.patience
        return self.done >= self.settings.steps or (
            patience is not None and self.best.stale >= patience
        )

    @property
    def seconds(self) -> float:
        """Wall time since training was made ready, with that of the runs it continues."""
        return self._earlier + time.perf_counter() - self._begun

    def save(self) -> str:
        """Write a checkpoint; where there are several processes the first one does."""
        best = self.best.loss if math.isfinite(self.best.loss) else None
        extra = {"best_loss": best, "stale": self.best.stale, "seconds": self.seconds}
        tree = devices.to_host(self._state, self.outer.mesh)
        if jax.process_index() == 0:
            self.checkpoints.save(self.done, (tree, self.best.learned), extra)
        self.wait()
        return str(self.checkpoints.path(self.done))

    def wait(self) -> None:
        """Wait until every process has come here."""
        devices.to_host(self._signals[0], self.outer.mesh)

    def _compile(self) -> None:
        """Make the first state, and compile all that the loop will call."""
        outer, experiment, mesh = self.outer, self.outer.experiment, self.outer.mesh
        everywhere = NamedSharding(mesh, PartitionSpec())
        shared = NamedSharding(mesh, PartitionSpec("data"))
        placed: Any = (everywhere, everywhere, everywhere, shared, everywhere, everywhere)
        placed = TrainState(*placed)
        learned = devices.replicate(outer.learned(), mesh)
        _, batch = jax.eval_shape(outer.first, learned, self._data, self._seed)
        devices.check_shares(batch, mesh, outer.accumulate, "sample(data, key)")
        first = jax.jit(lambda *arrays: outer.first(*arrays)[0], out_shardings=placed)
        self._state = first(learned, self._data, self._seed)
        arguments = (self._state, self._data, self._seed, self._signals[0])
        self._record = jax.eval_shape(outer.step, *arguments)[1]

        def packed(*arguments):
            state, record = outer.step(*arguments)
            return state, pack(record)

        step = jax.jit(packed, donate_argnums=0, out_shardings=(placed, everywhere))
        self._step: Any = step.lower(*arguments).compile()
        if experiment.held_out is not None:
            devices.check_shares(experiment.held_out, mesh, 1, "held_out")
            self._held_out = devices.share(experiment.held_out, mesh)
            evaluate = jax.jit(outer.evaluate, out_shardings=everywhere)
            self._evaluation: Any = evaluate.lower(learned, self._data, self._held_out).compile()
        self._placed = placed
        self.wait()

    def _resume(self) -> None:
        """Continue from the newest whole checkpoint, if there is one."""
        state = devices.to_host(self._state, self.outer.mesh)
        saved = self.checkpoints.restore((state, self.best.learned))
        if saved is None:
            return
        state, learned = saved.tree
        self.done = saved.step
        self._earlier = saved.extra["seconds"]
        best = saved.extra["best_loss"]
        self.best = Best(math.inf if best is None else best, saved.extra["stale"], learned)
        self._state = TrainState(*map(devices.place, state, self._placed))  # pyright: ignore
        log.info("Resumed from %s.", self.checkpoints.path(self.done))

    def _due(self, every: int | None = None) -> bool:
        """Whether something is due now that happens every so many steps, and after the last."""
        if self.done == self.settings.steps:
            return True
        periods = (self.settings.evaluate_every, self.settings.checkpoint_every)
        chosen = periods if every is None else (every,)
        return any(period and self.done % period == 0 for period in chosen)

    def _read(self, numbers: Array, write: Callable[[Line], None]) -> int:
        """Hand a step's record to the writers; return the signal that was seen in it."""
        record: Record = unpack(jax.device_get(numbers), self._record)
        line = as_line(record)
        if not record.good:
            raise BadStep(line, devices.to_host(self._state, self.outer.mesh))
        write(line)
        return int(record.signal)

    def _evaluate(self, write: Callable[[Line], None]) -> None:
        if self.outer.experiment.held_out is None:
            return
        outputs = self._evaluation(self._state.parameters, self._data, self._held_out)
        loss, metrics, statuses = jax.device_get(outputs)
        line = {"step": self.done, "evaluation/loss": float(loss)}
        line |= {f"evaluation/{name}": float(value) for name, value in metrics.items()}
        write(line | {"evaluation/status": by_name(statuses)})
        sound = failed(statuses) <= self.settings.max_failed * np.sum(statuses)
        if not sound:
            log.warning("Step %d: solves of the held-out problems failed.", self.done)
        if self.settings.patience and sound and loss < self.best.loss:
            self.best = Best(float(loss), 0, self._learned())
        else:
            self.best = self.best._replace(stale=self.best.stale + 1)

    def _learned(self) -> PyTree[np.ndarray]:
        return devices.to_host(self._state.parameters, self.outer.mesh)
