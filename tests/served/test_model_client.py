"""A model's client against a real HTTP server: what is asked again, after which wait, and what is not."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

import pytest
from answering_server import Reply, answering, fault, said

from swift_zoomin.served.client import FailedError, ModelClient, RefusedError, open_library
from swift_zoomin.served.keys import Key, Redaction
from swift_zoomin.served.limits import Limits
from swift_zoomin.served.models import Model
from swift_zoomin.served.requests import Paid, Request, picture_part, text_part, user_turn
from swift_zoomin.served.stopping import Stop, StoppedError

KEY = "sk-secret-0123456789"
DATA_URI = "data:image/png;base64,AAAA"
ASKED = Request([user_turn(picture_part(DATA_URI), text_part("What is it?"))], 448 * 448, 100, {"temperature": 0.0})
ANSWER = said("A cat.")


class Clocked(Stop):
    """Keeps the waits that are asked of it, and waits for none."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.waits.append(seconds)


class Asking:
    """A client and what it did."""

    def __init__(self, url: str, retries: int = 3, timeout_s: float = 20) -> None:
        self.stop = Clocked()
        self.limits = Limits(self.stop)
        self.model = Model("m", url, Key(KEY, "the key is that of OPENAI_API_KEY"))
        self.arguments = (self.limits, self.stop, Redaction([url]), retries, timeout_s)

    def run(self, use: Callable[[ModelClient], object]) -> object:
        async def session() -> object:
            async with open_library(self.model) as library:
                return await use(ModelClient([library], self.model, *self.arguments))  # type: ignore[misc]

        return asyncio.run(session())

    def ask(self) -> Paid:
        paid = self.run(lambda client: client.ask(ASKED))
        assert isinstance(paid, Paid)
        return paid


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXPLAIN_API_KEY", "GROUND_API_KEY", "FILTER_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_an_answer_comes_with_its_price_and_the_request_is_what_was_meant() -> None:
    with answering(ANSWER) as server:
        asking = Asking(server.url)
        paid = asking.ask()
    assert (paid.reply, paid.finish_reason, paid.prompt_tokens, paid.completion_tokens) == ("A cat.", "stop", 90, 10)
    assert paid.seconds > 0
    (body,) = server.asked
    picture = {"type": "image_url", "image_url": {"url": DATA_URI}}
    content = [picture, {"type": "text", "text": "What is it?"}]
    expected = {"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 100, "temperature": 0.0}
    assert body == expected
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert (asking.limits.calls, asking.limits.tokens) == (1, 100)


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        *(fault(status, "busy") for status in (408, 409, 429, 500, 502, 503, 504, 529)),
        Reply(body=b"<html>busy</html>"),
        Reply(body=b"[" * 5000),
        Reply(body=b""),
        Reply(body=b'{"choices": []}'),
        Reply(body=b'{"choices": [{"message": {"content": 7}}]}'),
        Reply(body=b'{"choices": [{"message": {"content": [{"type": "text"}]}}]}'),
        Reply(body=b"null"),
        Reply(body=ANSWER.body, cut_after=30),
        Reply(503, b"<h1>Bad gateway</h1>", {"Content-Type": "text/html"}),
    ],
)
def test_what_another_request_may_mend_is_asked_again(answer: Reply) -> None:
    with answering(answer, answer, ANSWER) as server:
        asking = Asking(server.url)
        assert asking.ask().reply == "A cat."
    assert len(server.asked) == asking.limits.calls == 3
    first, second = asking.stop.waits
    assert 1 <= first <= 2  # 1 s, and up to 1 s more by chance
    assert 2 <= second <= 3


def test_waits_grow_and_are_bounded() -> None:
    with answering(fault(500, "broken")) as server:
        asking = Asking(server.url, retries=9)
        with pytest.raises(FailedError, match=r"500 broken \(asked 10 times\)"):
            asking.ask()
    for wait, least in zip(asking.stop.waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert least <= wait <= min(least + 1, 60)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 7.1),
        ({"Retry-After": "0"}, 0, 0.1),
        ({"retry-after-ms": "2500", "Retry-After": "9"}, 2.5, 2.6),
        ({"Retry-After": "soon"}, 1, 2),
        ({"Retry-After": "-3"}, 1, 2),
        ({"Retry-After": "nan"}, 1, 2),
    ],
)
def test_the_wait_that_a_server_asks_for_is_kept(header: dict[str, str], least: float, most: float) -> None:
    with answering(fault(429, "slow down", header), ANSWER) as server:
        asking = Asking(server.url)
        asking.ask()
    (wait,) = asking.stop.waits
    assert least <= wait <= most


def test_a_wait_given_as_a_date_is_kept() -> None:
    with answering(fault(503, "later", {"Retry-After": formatdate(time.time() + 30, usegmt=True)}), ANSWER) as server:
        asking = Asking(server.url)
        asking.ask()
    (wait,) = asking.stop.waits
    assert 25 < wait <= 30.1


def test_a_server_that_wants_an_hour_is_not_waited_for() -> None:
    answer = fault(429, "slow down", {"Retry-After": "3600"})
    with answering(answer) as server, pytest.raises(FailedError, match="asks to wait 3600 s"):
        Asking(server.url).ask()
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_wrong_with_one_image_is_not_asked_again(status: int) -> None:
    answer = fault(status, "unsupported\nimage " + "x" * 1000)
    with answering(answer) as server, pytest.raises(RefusedError) as raised:
        Asking(server.url).ask()
    assert str(raised.value) == f"{status} unsupported image {'x' * 182}..."
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "said_of_it"),
    [
        (fault(401, f"Incorrect API key provided: {KEY}"), "401 Incorrect API key provided: [key]; the key is that of"),
        (fault(402, "Insufficient balance"), "402 Insufficient balance"),
        (fault(403, "no access"), "403 no access; the key is that of OPENAI_API_KEY"),
        (fault(404, "no such model"), "404 no such model; expected the name of one of its models"),
        (fault(429, "You exceeded your quota", code="insufficient_quota"), "429 You exceeded your quota"),
        (Reply(405), "405; expected"),
        (fault(400, "`m` is not in the model_list: `['n']`."), "400 `m` is not in the model_list"),  # swift deploy
        (fault(400, "API key error"), "400 API key error; the key is that of OPENAI_API_KEY"),
    ],
)
def test_what_is_wrong_for_all_stops_the_run_after_one_call(answer: Reply, said_of_it: str) -> None:
    with answering(answer) as server:
        asking = Asking(server.url)
        with pytest.raises(StoppedError):
            asking.ask()
    assert asking.stop.reason is not None
    assert asking.stop.reason.startswith(f"{server.url}: model m: {said_of_it}")
    assert len(server.asked) == 1


def test_an_address_where_nothing_listens_stops_the_run() -> None:
    with answering() as gone:
        pass
    asking = Asking(gone.url)
    with pytest.raises(StoppedError):
        asking.ask()
    assert asking.stop.reason is not None
    assert f"{gone.url}: model m: nothing answers there" in asking.stop.reason
    assert asking.stop.waits == []


def test_silence_is_broken_off_and_asked_again() -> None:
    async def ask_the_silent() -> tuple[Clocked, int]:
        connections = 0

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await reader.read()  # until the other side gives up
            writer.close()

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            asking = Asking(url, retries=1, timeout_s=0.2)
            async with open_library(asking.model) as library:
                client = ModelClient([library], asking.model, *asking.arguments)
                with pytest.raises(FailedError, match=r"no answer within 0.2 s \(asked 2 times\)"):
                    await client.ask(ASKED)
        return asking.stop, connections

    stop, connections = asyncio.run(ask_the_silent())
    assert (len(stop.waits), connections) == (1, 2)


def test_newer_parameter_names_are_learned_once() -> None:
    unsupported = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
    fixed = "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) is supported."
    with answering(fault(400, unsupported), fault(400, fixed), ANSWER) as server:
        asking = Asking(server.url)

        async def ask_twice(client: ModelClient) -> list[Paid]:
            return [await client.ask(ASKED), await client.ask(ASKED)]

        asking.run(ask_twice)
    names = [set(body) - {"model", "messages"} for body in server.asked]
    new = {"max_completion_tokens"}
    assert names == [{"max_tokens", "temperature"}, new | {"temperature"}, new, new]
    assert asking.limits.calls == 4
    assert asking.stop.waits == []


def test_what_a_model_refuses_by_name_is_left_out() -> None:
    sampled = replace(ASKED, sampling={"temperature": 1.0, "top_k": 9, "seed": 7})
    refusals = [fault(422, "Unrecognized request argument supplied: top_k"), fault(400, "Unknown parameter: 'seed'")]
    with answering(*refusals, ANSWER) as server:
        Asking(server.url).run(lambda client: client.ask(sampled))
    given = [{name: body[name] for name in sampled.sampling if name in body} for body in server.asked]
    assert given == [sampled.sampling, {"temperature": 1.0, "seed": 7}, {"temperature": 1.0}]


def test_a_refusal_of_what_was_not_sent_is_about_the_image() -> None:
    with answering(fault(400, "seed of your image is broken")) as server, pytest.raises(RefusedError):
        Asking(server.url).ask()
    assert len(server.asked) == 1


def test_the_first_request_goes_out_alone() -> None:
    with answering(fault(503, "loading"), ANSWER) as server:
        asking = Asking(server.url)
        seen: list[int] = []

        async def ask_many(client: ModelClient) -> None:
            async def first_failed(seconds: float) -> None:
                await asyncio.sleep(0.1)  # the others had time to ask, had they been let
                seen.append(len(server.asked))

            asking.stop.pause = first_failed  # type: ignore[method-assign]
            await asyncio.gather(*(client.ask(ASKED) for _ in range(5)))

        asking.run(ask_many)
    assert seen == [1]
    assert len(server.asked) == 6


def test_after_a_first_question_without_an_answer_the_others_do_not_wait_for_each_other() -> None:
    """A server that is silent about one image would otherwise hold up all, one after the other."""

    async def ask_many(client: ModelClient) -> None:
        all_wait = asyncio.Barrier(4)
        pauses = 0

        async def pause(seconds: float) -> None:
            nonlocal pauses
            pauses += 1
            if pauses > 1:  # the first one is of the question that goes out alone
                await asyncio.wait_for(all_wait.wait(), 20)

        asking.stop.pause = pause  # type: ignore[method-assign]
        ended = await asyncio.gather(*(client.ask(ASKED) for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in ended] == [FailedError] * 5

    with answering(fault(500, "broken")) as server:
        asking = Asking(server.url, retries=1)
        asking.run(ask_many)
    assert len(server.asked) == 10


def test_a_refusal_is_an_answer_and_so_is_none() -> None:
    refusal = said(None)
    texts = [
        refusal.body.replace(b'"content": null', b'"content": null, "refusal": "I cannot."'),
        refusal.body,
        refusal.body.replace(b"null", b'[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]', 1),
        refusal.body.replace(b"null", b'"half \\ud83d"', 1),
    ]
    replies = []
    for text in texts:
        with answering(Reply(body=text)) as server:
            replies.append(Asking(server.url).ask().reply)
    assert replies == ["I cannot.", "", "ab", "half ?"]


@pytest.mark.parametrize("usage", ["null", '"many"', '{"prompt_tokens": true}', '{"prompt_tokens": -1}', "[]"])
def test_tokens_that_are_no_count_are_estimated(usage: str) -> None:
    body = ANSWER.body.replace(b'{"prompt_tokens": 90, "completion_tokens": 10}', usage.encode())
    with answering(Reply(body=body)) as server:
        asking = Asking(server.url)
        paid = asking.ask()
    assert (paid.prompt_tokens, paid.completion_tokens) == (None, None)
    assert asking.limits.tokens == 11 // 3 + 256 + 100  # the prompt's characters, the picture, the room for an answer


def test_no_variable_of_the_library_moves_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj-1",
        "OPENAI_ADMIN_KEY": "admin-key",
        "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer other\nX-Tell: all",
    }.items():
        monkeypatch.setenv(name, value)
    with answering(ANSWER) as server:
        Asking(server.url).ask()
    (headers,) = server.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert not {"openai-organization", "openai-project", "x-tell"} & headers.keys()


def test_a_key_that_a_server_says_again_is_not_kept() -> None:
    whole = said(f"The sign reads {KEY}.").body.replace(b'"stop"', f'"{KEY}"'.encode())
    with answering(Reply(body=whole)) as server:
        paid = Asking(server.url).ask()
    assert (paid.reply, paid.finish_reason) == ("The sign reads [key].", "[key]")
    with answering(fault(400, "x" * 190 + KEY)) as server, pytest.raises(RefusedError) as raised:
        Asking(server.url).ask()
    assert "sk-" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    ["http://secret-user@{place}", "http://user:secret-word@{place}", "http://{place}?api-key=secret%2Fvalue"],
)
def test_what_may_be_a_key_in_an_address_is_not_shown(address: str) -> None:
    with answering(fault(401, "not secret-user, secret-word or secret/value")) as server:
        asking = Asking(address.format(place=server.url.removeprefix("http://")))
        with pytest.raises(StoppedError):
            asking.ask()
    assert asking.stop.reason is not None
    told, _, said_of_it = asking.stop.reason.partition(" model m: ")
    assert "secret" not in told
    assert said_of_it.count("secret") == 2


def test_a_proxy_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    with answering(fault(403, "not through here")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("127.0.0.1", "user:password@127.0.0.1"))
        asking = Asking("http://models.example/v1")
        with pytest.raises(StoppedError):
            asking.ask()
    assert len(proxy.asked) == 1
    assert asking.stop.reason is not None
    assert "; asked by way of the proxy 127.0.0.1, which HTTP_PROXY" in asking.stop.reason
    assert "password" not in asking.stop.reason


def test_an_address_without_a_proxy_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with answering(fault(403, "no access")) as server:
        asking = Asking(server.url)
        with pytest.raises(StoppedError):
            asking.ask()
    assert asking.stop.reason is not None
    assert "proxy" not in asking.stop.reason
