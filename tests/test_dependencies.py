"""The ranges of pyproject.toml and the exact versions that are installed."""

import tomllib
from importlib.metadata import requires, version

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STACKS = ("cpu", "gpu")


def requirements(stack: str) -> list[Requirement]:
    """What the package and the extra of a stack ask for."""
    return [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"][stack]]


def exact(stack: str) -> dict[str, str]:
    lines = (ROOT / f"constraints-{stack}.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): pinned for name, pinned in pins}


@pytest.mark.parametrize("stack", STACKS)
def test_every_dependency_has_an_exact_version_within_its_range(stack: str) -> None:
    versions = exact(stack)
    for wanted in requirements(stack):
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), wanted


@pytest.mark.parametrize("stack", STACKS)
def test_no_dependency_is_bound_to_one_version(stack: str) -> None:
    assert [str(wanted) for wanted in requirements(stack) if "==" in str(wanted.specifier)] == []


def test_our_ranges_admit_what_ms_swift_demands_of_the_same_packages() -> None:
    ours = {wanted.name: wanted for wanted in requirements("cpu")}
    demands = [Requirement(text) for text in requires("ms-swift") or []]
    shared = {demand.name: demand for demand in demands if demand.name in ours and not demand.marker}
    assert {"datasets", "transformers"} <= set(shared)
    for name, demand in shared.items():
        assert demand.specifier.contains(version(name)), name
        assert ours[name].specifier.contains(version(name)), name
