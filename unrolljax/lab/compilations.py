"""How often XLA compiled, and how long that took."""

import contextlib
import dataclasses
from collections.abc import Iterator

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"
_CACHED = "/jax/compilation_cache/cache_hits"


@dataclasses.dataclass
class Compilations:
    """Programs compiled or loaded so far, those of them that came from the cache, and seconds."""

    count: int = 0
    cached: int = 0
    seconds: float = 0.0


@contextlib.contextmanager
def counted() -> Iterator[Compilations]:
    """Count what this process compiles within the context."""
    seen = Compilations()

    def on_duration(event: str, duration_secs: float, **_) -> None:
        if event == _COMPILED:
            seen.count += 1
            seen.seconds += duration_secs

    def on_event(event: str, **_) -> None:
        if event == _CACHED:
            seen.cached += 1

    jax.monitoring.register_event_duration_secs_listener(on_duration)
    jax.monitoring.register_event_listener(on_event)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(on_duration)
        jax.monitoring.unregister_event_listener(on_event)
