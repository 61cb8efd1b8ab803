from unrolljax.solvers.barzilai_borwein import BarzilaiBorwein


def test_quadratic(quadratic):
    assert quadratic.check(BarzilaiBorwein(0.005), 300) < 250


def test_batch_in_float32(check_many):
    check_many(BarzilaiBorwein(0.005), 300)


def test_logistic_regression(check_logistic):
    assert check_logistic(BarzilaiBorwein(0.1), 200) < 60


def test_complex_unknown(check_complex):
    check_complex(BarzilaiBorwein(0.1), 100)


def test_a_first_step_far_too_long_is_cut(check_logistic):
    check_logistic(BarzilaiBorwein(1e6), 200)
