"""What all tests share: synthetic models, and an environment without models of the user's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

import synthetic_models
from latrans.engine import select
from latrans.models.model import Model

# Machines that run tests are shared and slow at times; what a test finds must not depend on luck.
settings.register_profile("latrans", deadline=None, derandomize=True)
settings.load_profile("latrans")


@pytest.fixture(scope="session", autouse=True)
def no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATRANS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("LATRANS_MODEL_PATH", raising=False)
        yield


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    """A synthetic model of each kind."""
    return {kind: synthetic_models.make_model(kind) for kind in synthetic_models.KINDS}


@pytest.fixture(scope="session")
def thorough() -> bool:
    """Whether the compiled engine runs, so that tests can afford their full counts."""
    return select().name == "native"


@pytest.fixture
def always_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the model's frame even where the fallback's would be smaller."""
    monkeypatch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
