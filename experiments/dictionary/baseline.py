"""What classifiers of the pixels reach on the same split."""

from experiments.dictionary.data import Digits


def peers(training: Digits, test: Digits) -> dict[str, float]:
    """Errors, in per cent, of scikit-learn's classifiers with the better of two penalties."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    kinds = {"RBF-SVM": lambda C: SVC(C=C), "logistic regression": _logistic(LogisticRegression)}

    def error(make, C: float) -> float:
        model = make(C).fit(training.samples, training.labels)
        return 100 * (1 - float(model.score(test.samples, test.labels)))

    return {name: min(error(make, C) for C in (1.0, 10.0)) for name, make in kinds.items()}


def _logistic(model):
    return lambda C: model(C=C, max_iter=2000)
