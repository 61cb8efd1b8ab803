"""What a part of the benchmark reports."""

from typing import NamedTuple


class Row(NamedTuple):
    """One measured figure; `passed` is None where there is no target (a peer, an ablation)."""

    part: str
    name: str
    value: str
    target: str = ""
    passed: bool | None = None
