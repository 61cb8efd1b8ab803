"""One learning rate for denoisers, another one for the few numbers of solvers."""

from typing import Any

import jax
import optax
from jax.tree_util import GetAttrKey, KeyEntry


def restorer_adam(denoiser: float, numbers: float, steps: int) -> optax.GradientTransformation:
    """Adam for `Restorer`s (or pytrees of them), clipped, with rates that fall as a cosine to zero.

    A denoiser that has been trained moves by small steps, or it forgets; logarithms of step sizes
    and strengths can move by larger ones. Each group's gradient is clipped to norm 1.

    - `denoiser`: rate of what is below a `prior`; `numbers`: rate of all else.
    """

    def adam(rate: float) -> optax.GradientTransformation:
        falling = optax.cosine_decay_schedule(rate, steps)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(falling))

    groups = {"denoiser": adam(denoiser), "numbers": adam(numbers)}
    return optax.multi_transform(groups, _groups)  # pyright: ignore


def _groups(parameters: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: _group(path), parameters)


def _group(path: tuple[KeyEntry, ...]) -> str:
    names = [key.name for key in path if isinstance(key, GetAttrKey)]
    return "denoiser" if "prior" in names else "numbers"
