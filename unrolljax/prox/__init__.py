"""Proximal operators, argmin_x 1/2 ||x - v||^2 + penalty(x), and the penalties beside them.

The first argument is the array v, the second the threshold: the penalty's weight times the step,
a scalar or an array. Values and thresholds are differentiable, to a finite number at every kink.
`project_*` are the projections, the transforms build new operators from given ones, and
`separable` carries an operator to pytrees.
"""

from unrolljax.prox.elementwise import (
    elastic_net,
    huber,
    huber_penalty,
    kullback_leibler,
    l0,
    l1,
    l1_norm,
    log_barrier,
    nonnegative_l1,
    poisson_negative_log_likelihood,
    squared_l2,
)
from unrolljax.prox.group import (
    group_lasso,
    group_norm,
    l2,
    labelled_group_lasso,
    labelled_group_norm,
)
from unrolljax.prox.projections import (
    project_affine_set,
    project_box,
    project_halfspace,
    project_hyperplane,
    project_l1_ball,
    project_l2_ball,
    project_linf_ball,
    project_nonnegative,
    project_simplex,
)
from unrolljax.prox.spectral import nuclear, nuclear_norm, project_positive_semidefinite
from unrolljax.prox.transforms import (
    Prox,
    from_projection,
    moreau_conjugate,
    scaled,
    separable,
    translated,
)

__all__ = [
    "Prox",
    "elastic_net",
    "from_projection",
    "group_lasso",
    "group_norm",
    "huber",
    "huber_penalty",
    "kullback_leibler",
    "l0",
    "l1",
    "l1_norm",
    "l2",
    "labelled_group_lasso",
    "labelled_group_norm",
    "log_barrier",
    "moreau_conjugate",
    "nonnegative_l1",
    "nuclear",
    "nuclear_norm",
    "poisson_negative_log_likelihood",
    "project_affine_set",
    "project_box",
    "project_halfspace",
    "project_hyperplane",
    "project_l1_ball",
    "project_l2_ball",
    "project_linf_ball",
    "project_nonnegative",
    "project_positive_semidefinite",
    "project_simplex",
    "scaled",
    "separable",
    "squared_l2",
    "translated",
]
