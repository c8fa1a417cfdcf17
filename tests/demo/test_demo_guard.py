"""Who may ask the demo: names of this machine, its own page, and who has the token where there is one."""

import argparse
import asyncio
import json
from typing import Any

import pytest

from swift_zoomin.demo.command import listening, token_for
from swift_zoomin.demo.guard import Guard, is_loopback
from swift_zoomin.records import RecordError

TOKEN = "a-token-of-24-characters"
LOCAL = {"host": "127.0.0.1:7860"}


def asked(path: str, headers: dict[str, str], token: str | None = None) -> tuple[int, Any]:
    """The status and the error of the answer; 200 and None where the application behind the guard was asked."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"error": null}'})

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": lines}
    asyncio.run(Guard(application, token, frozenset({"/"}))(scope, None, send))  # type: ignore[arg-type]
    start, body = sent
    policy = dict(start["headers"])[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none';")  # whatever the answer is
    return start["status"], json.loads(body["body"])["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:9", "[::1]:7860", "127.8.9.1"])
def test_this_machine_may_be_called_by_its_names_and_any_port(host: str) -> None:
    assert asked("/", {"host": host})[0] == 200


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "[::1"])
def test_another_name_that_leads_here_is_refused_even_the_page(host: str) -> None:
    status, error = asked("/", {"host": host})
    assert status == 421
    assert error.startswith("this demo is reached as localhost or 127.0.0.1")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:9999"}, 403),  # another server on this machine
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_only_its_own_page_may_ask(headers: dict[str, str], status: int) -> None:
    assert asked("/look", LOCAL | headers)[0] == status


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        ("", "no token; open the address that the demo printed at its start"),
        (f"Basic {TOKEN}", "no token; open the address that the demo printed at its start"),
        (f"Bearer {TOKEN[:-1]}", "the token is not this demo's; is it of an earlier start?"),
        (f"Bearer {TOKEN}\xe9", "the token is not this demo's; is it of an earlier start?"),
        (f"Bearer {TOKEN}", None),
        (f"bearer {TOKEN}", None),
    ],
)
def test_where_there_is_a_token_it_is_asked_for(authorization: str, error: str | None) -> None:
    headers = {"host": "demo.example", "authorization": authorization}
    assert asked("/look", headers, TOKEN) == (401 if error else 200, error)
    assert asked("/", {"host": "demo.example"}, TOKEN)[0] == 200


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *(("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)),
        *(("192.168.1.4", False), ("demo.example", False), ("", False)),
    ],
)
def test_only_loopback_addresses_are_this_machine_alone(host: str, is_local: bool) -> None:
    assert is_loopback(host) == is_local


def test_elsewhere_a_token_is_made_and_one_that_is_given_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOOMIN_DEMO_TOKEN", raising=False)
    assert token_for(is_local=True) == (None, False)
    made, is_made = token_for(is_local=False)
    assert is_made
    assert len(made or "") == 32
    assert token_for(is_local=False)[0] != made
    monkeypatch.setenv("ZOOMIN_DEMO_TOKEN", TOKEN)
    assert token_for(is_local=True) == token_for(is_local=False) == (TOKEN, False)


@pytest.mark.parametrize("given", ["short", "sixteen letters ä", "with a space in it", "sixteen-letters-\n"])
def test_a_token_that_can_be_guessed_or_not_sent_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ZOOMIN_DEMO_TOKEN", given)
    with pytest.raises(RecordError, match="ZOOMIN_DEMO_TOKEN: expected at least 16 letters"):
        token_for(is_local=False)


def test_a_port_that_is_taken_is_said_before_a_model_is_looked_at(zoomin: Any) -> None:
    with listening("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        status, _, errors = zoomin("demo", "--model", "no/such/model", "--port", port)
    assert status == 1
    assert errors == f"zoomin: 127.0.0.1:{port}: Address already in use\n"


def test_a_missing_package_is_one_line_that_names_the_extra(zoomin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = argparse.Namespace(loader=None)
    monkeypatch.setattr("swift_zoomin.demo.command.find_spec", lambda name: None if name == "uvicorn" else found)
    status, _, errors = zoomin("demo", "--model", "no/such/model")
    assert (status, errors) == (1, 'zoomin: demo needs uvicorn; pip install "swift-zoomin[demo]"\n')
