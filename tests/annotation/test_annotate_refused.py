"""A wrong address, key or name of a model ends `zoomin annotate` in one line, with at most one call spent."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from annotate_runs import command, draw, run_fork
from scripted_server import ScriptedServer

pytestmark = pytest.mark.server
KEY = "sk-right-key-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer("scenarios:answer_well", key=KEY) as started:
        yield started


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("refused") / "images", range(40))


def refused(arguments: list[str], **environment: str) -> str:
    """The one line that the command ends with."""
    done = run_fork([*arguments, "--label", "real", "--concurrency", "16"], **environment)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("zoomin: ")
    return line


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("{free}", "{free}"),
        ("http://nowhere.invalid/v1", "nowhere.invalid"),
        ("{host}/v2", "{host}/v2"),
        ("{host}", "{host}"),
        ("https://{place}/v1", "https://{place}/v1"),
        ("{place}/v1", "{place}/v1"),
        ("ftp://{place}/v1", "ftp://"),
        ("", "--explain-url"),
    ],
    ids=["nobody listens", "no such host", "wrong path", "no path", "no TLS there", "no scheme", "ftp", "empty"],
)
def test_a_wrong_address_is_one_line_that_names_it(
    address: str, said: str, server: ScriptedServer, images: Path, tmp_path: Path
) -> None:
    host = server.url.removesuffix("/v1")
    names = {"free": free_address(), "host": host, "place": host.removeprefix("http://")}
    before = server.number()
    done = run_fork(
        [*command(address.format(**names), tmp_path / "out", images), "--label", "real"], OPENAI_API_KEY=KEY
    )
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert said.format(**names) in last
    assert done.returncode == 2 or len(done.stderr.splitlines()) == 1
    assert server.number() - before <= 1


@pytest.mark.parametrize("key", ["sk-wrong-key-0123456789", "", "sk-wrong-key-0123456789\nsecond line", "sk-ключ"])
def test_a_wrong_key_is_one_line_that_says_which_variable(
    key: str, server: ScriptedServer, images: Path, tmp_path: Path
) -> None:
    before = server.number()
    line = refused(command(server, tmp_path / "out", images), OPENAI_API_KEY=key)
    assert "OPENAI_API_KEY" in line
    assert "wrong-key" not in line
    assert server.number() - before <= 1


def test_a_key_with_a_line_end_works(server: ScriptedServer, images: Path, tmp_path: Path) -> None:
    """As `export OPENAI_API_KEY="$(cat key.txt)"` would not leave it, but other tools do."""
    arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--limit", "1"]
    assert run_fork(arguments, OPENAI_API_KEY=f" {KEY}\n").returncode == 0


def test_a_wrong_key_of_a_later_step_is_found_before_all_images_are_explained(
    server: ScriptedServer, images: Path, tmp_path: Path
) -> None:
    before = server.number()
    environment = {"OPENAI_API_KEY": KEY, "GROUND_API_KEY": "sk-wrong-key-0123456789"}
    line = refused(command(server, tmp_path / "out", images), **environment)
    assert "GROUND_API_KEY" in line
    calls = server.calls(before)
    assert len([call for call in calls if call["step"] == "ground"]) <= 1
    assert len(calls) <= 2


@pytest.mark.parametrize("step", ["explain", "ground", "filter"])
def test_a_wrong_name_of_a_model_is_one_line_that_names_it(
    step: str, server: ScriptedServer, images: Path, tmp_path: Path
) -> None:
    before = server.number()
    arguments = [*command(server, tmp_path / "out", images), f"--{step}-model", "gtp-4o"]
    line = refused(arguments, OPENAI_API_KEY=KEY)
    assert "gtp-4o" in line
    calls = server.calls(before)
    assert len([call for call in calls if call["step"] == "gtp-4o"]) <= 1
    assert len(calls) <= 3
