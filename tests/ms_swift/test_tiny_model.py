"""The sandbox's tiny model: what its file says about it, and its seed."""

import re
from pathlib import Path

import make_model
import pytest
import torch
from safetensors.torch import load_file

VOCABULARY = "model.embed_tokens.weight"  # the output's weights are the same ones


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, torch.Tensor]]:
    """Of one seed, of the same once more, and of another."""
    made = {}
    for name, seed in (("one", 1), ("again", 1), ("another", 2)):
        folder: Path = tmp_path_factory.mktemp(name)
        make_model.make_model(folder, seed=seed)
        made[name] = load_file(folder / "model.safetensors")
    return made


def test_the_same_seed_gives_the_same_weights_and_another_others(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    assert all(torch.equal(weights["one"][name], weight) for name, weight in weights["again"].items())
    assert not torch.equal(weights["one"][VOCABULARY], weights["another"][VOCABULARY])


def test_its_file_says_how_many_parameters_it_has(weights: dict[str, dict[str, torch.Tensor]]) -> None:
    said = re.search(r"(\d\.\d\d) million parameters, of which the vocabulary has (\d\.\d\d)", make_model.__doc__ or "")
    assert said, make_model.__doc__
    counts = (sum(weight.numel() for weight in weights["one"].values()), weights["one"][VOCABULARY].numel())
    assert [round(count / 1e6, 2) for count in counts] == [float(number) for number in said.groups()]
