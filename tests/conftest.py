"""What all tests share: the seed of the random ones, and the builder of the C core."""

import os
import random

import cbuild
import hypothesis
import pytest
from benchrun import bench_modules  # noqa: F401
from chromium import browser  # noqa: F401
from pychild import embedding, heap, in_any_mode, in_mode, python  # noqa: F401  (fixtures of the Python-level tests)
from stock import programs  # noqa: F401

SEED = int(os.environ.get("GOALLOC_SEED") or str(random.getrandbits(32)), 0)

# No test may depend on how fast the machine is.
hypothesis.settings.register_profile(
    "any speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any speed")


def pytest_report_header(config):
    return f"GOALLOC_SEED={SEED}"


@pytest.fixture(scope="session")
def seed():
    """Replays a random test when GOALLOC_SEED is set to what the header of the failed run said."""
    return SEED


@pytest.fixture(scope="session")
def builder(tmp_path_factory):
    return cbuild.Builder(tmp_path_factory.mktemp("csrc"))
