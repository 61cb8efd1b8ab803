"""The first primitive that makes a NaN: a function evaluated one primitive at a time.

`jax.experimental.checkify` finds NaNs too, but refuses a vmapped while loop, which is what a batch
of solves is; `jax_debug_nans` stops at NaNs that never reach a result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jaxtyping import Array

Values = Sequence[Any]


def first_nan(function: Callable, *arguments: Any) -> str | None:
    """The primitive that turned numbers into a NaN of the result, and its place in the source.

    None where the result has no NaN, or only such as were put there as constants. Calls, branches
    and loops are entered only where a NaN comes out of them.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    return _search(closed, jax.tree.leaves(arguments))


def _search(closed: ClosedJaxpr, inputs: Values) -> str | None:
    jaxpr = closed.jaxpr
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *inputs], strict=True))
    for equation in jaxpr.eqns:
        given = [v.val if isinstance(v, Literal) else values[v] for v in equation.invars]
        outputs = _evaluate(jaxpr, equation, given)
        found = _inside(equation, given) if _nans(outputs) else None
        if found:
            return found
        values.update(zip(equation.outvars, outputs, strict=True))
    return None


def _inside(equation: JaxprEqn, inputs: Values) -> str | None:
    """Where in an equation, out of which a NaN came, it was made; None where it was passed on."""
    name, parameters = equation.primitive.name, equation.params
    if name == "while":
        return _in_while(parameters, inputs)
    if name == "scan":
        return _in_scan(parameters, inputs)
    if name == "cond":
        index, *operands = inputs
        return _search(parameters["branches"][int(index)], operands)
    body = parameters.get("jaxpr", parameters.get("call_jaxpr"))
    if body is not None:
        closed = body if isinstance(body, ClosedJaxpr) else ClosedJaxpr(body, ())
        return _search(closed, inputs)
    if _nans(inputs):
        return None
    return f"{name} at {source_info_util.summarize(equation.source_info)}"


def _in_while(parameters: dict[str, Any], inputs: Values) -> str | None:
    first, second = parameters["cond_nconsts"], parameters["body_nconsts"]
    given, shared, carry = inputs[:first], inputs[first : first + second], inputs[first + second :]
    condition = jaxpr_as_fun(parameters["cond_jaxpr"])
    body = jax.jit(jaxpr_as_fun(parameters["body_jaxpr"]))
    while condition(*given, *carry)[0]:
        after = body(*shared, *carry)
        if _nans(after) > _nans(carry):
            found = _search(parameters["body_jaxpr"], [*shared, *carry])
            if found:
                return found
        carry = after
    return None


def _in_scan(parameters: dict[str, Any], inputs: Values) -> str | None:
    first, second = parameters["num_consts"], parameters["num_carry"]
    shared, carry, xs = inputs[:first], inputs[first : first + second], inputs[first + second :]
    body = jax.jit(jaxpr_as_fun(parameters["jaxpr"]))
    order = range(parameters["length"])
    for k in reversed(order) if parameters["reverse"] else order:
        here = [*shared, *carry, *(x[k] for x in xs)]
        outputs = body(*here)
        after, made = outputs[:second], outputs[second:]
        if _nans(after) > _nans(carry) or _nans(made):
            found = _search(parameters["jaxpr"], here)
            if found:
                return found
        carry = after
    return None


def _evaluate(jaxpr: Any, equation: JaxprEqn, inputs: Values) -> list[Array]:
    """The outputs of one equation, by way of a program that has no other."""
    alone = jaxpr.replace(
        eqns=[equation],
        constvars=(),
        invars=[v for v in equation.invars if not isinstance(v, Literal)],
        outvars=equation.outvars,
        debug_info=jaxpr.debug_info._replace(arg_names=None, result_paths=None),
    )
    given = [x for v, x in zip(equation.invars, inputs, strict=True) if not isinstance(v, Literal)]
    return jaxpr_as_fun(ClosedJaxpr(alone, ()))(*given)


def _nans(values: Values) -> int:
    inexact = [v for v in values if jnp.issubdtype(jnp.result_type(v), jnp.inexact)]
    return sum(int(jnp.sum(jnp.isnan(v))) for v in inexact)
