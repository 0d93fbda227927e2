"""What scikit-learn expects of an estimator, without depending on it."""

import inspect
import sys
from typing import Any, Self

from ert._core.exceptions import InputError


class NotFittedError(InputError, AttributeError):
    """A method that needs a fitted estimator was called before `fit`.

    Where scikit-learn's exceptions are imported, it is its NotFittedError too.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # The class that is raised exists only in this process.
        return not_fitted_error, (str(self),)


def not_fitted_error(message: str) -> NotFittedError:
    """Return the error to raise: one that ``except sklearn.exceptions.NotFittedError`` catches too."""
    # Whoever catches that has imported it.
    theirs = getattr(sys.modules.get("sklearn.exceptions"), "NotFittedError", None)
    if theirs is None:
        return NotFittedError(message)
    both: type[NotFittedError] = type("NotFittedError", (NotFittedError, theirs), {"__module__": __name__})
    return both(message)


class Estimator:
    """An estimator whose parameters are those of its ``__init__``, each an attribute of that name."""

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        parameters = inspect.signature(cls.__init__).parameters
        return {name: parameter for name, parameter in parameters.items() if name != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; `deep` is for scikit-learn."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name and return the estimator.

        Raises
        ------
        InputError
            For an unknown name.
        """
        known = self._parameters()
        for name, value in params.items():
            if name not in known:
                title = type(self).__name__
                raise InputError(f"{title} has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        known = self._parameters()
        changed = {k: v for k, v in self.get_params().items() if v is not known[k].default}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def _repr_html_(self) -> str | None:
        """Return scikit-learn's own diagram, where it is installed; notebooks show the repr else."""
        try:
            from sklearn.utils import estimator_html_repr
        except ImportError:
            return None
        return str(estimator_html_repr(self))

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this, so that it can be imported.
        from sklearn.utils import RegressorTags, Tags, TargetTags

        target = TargetTags(required=True, two_d_labels=True, multi_output=True, single_output=False)
        return Tags(estimator_type="regressor", target_tags=target, regressor_tags=RegressorTags())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")
