"""How much the libraries may say that a model is loaded with."""

import os

import pytest

from swift_zoomin.detection.quiet import quiet_libraries


@pytest.mark.parametrize(("told", "inside"), [(None, "WARNING"), ("", "WARNING"), ("INFO", "INFO")])
def test_a_level_that_was_asked_for_holds_and_another_does_not_stay(
    monkeypatch: pytest.MonkeyPatch, told: str | None, inside: str
) -> None:
    for name in ("LOG_LEVEL", "VLLM_LOGGING_LEVEL"):
        monkeypatch.delenv(name, raising=False)
        if told is not None:
            monkeypatch.setenv(name, told)
    with quiet_libraries():
        assert (os.environ["LOG_LEVEL"], os.environ["VLLM_LOGGING_LEVEL"]) == (inside, inside)
    assert os.environ.get("LOG_LEVEL") in (None, told)
