import os
import signal

import pytest
from helpers import SHARED, small_predictor
from hypothesis import settings

from ert.datasets.synthetic import synthetic_faces

# Kernels are compiled on their first call, which no deadline can foresee.
settings.register_profile("ert", deadline=None)
settings.load_profile("ert")

# Kernels from the first face on, also in the commands that tests run; NumPy has tests of its own.
os.environ.setdefault("ERT_COMPILE", "now")

# A shell ignores it in what it starts in the background, and so would all tests of interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared():
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is not there")
    return SHARED


@pytest.fixture(scope="session")
def faces():
    """120 synthetic faces as X and y."""
    images, boxes, landmarks = synthetic_faces(120, seed=1, size=96)
    return list(zip(images, boxes, strict=True)), landmarks


@pytest.fixture(scope="session")
def small_model(faces):
    """A model trained in a second on synthetic faces, with mirroring."""
    return small_predictor(mirror="face68").fit(faces[0], faces[1])


@pytest.fixture(scope="session")
def members_model(faces):
    """A smaller one of three members."""
    return small_predictor(n_members=3, n_stages=2, n_trees=10, mirror="face68").fit(faces[0][:40], faces[1][:40])


@pytest.fixture(scope="session")
def confident_model(faces):
    """The same with a confidence model."""
    return small_predictor(mirror="face68", normalizer="inter-ocular").fit(*faces).fit_confidence(*faces, n_folds=2)
