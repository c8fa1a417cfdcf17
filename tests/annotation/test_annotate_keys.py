"""A key from the environment stands in no file and on no stream, whatever a server or the network does with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from annotate_runs import command, draw, run
from scenario import EXPLANATION, Scenario, grounded
from scripted_server import STEPS, Call, Reply, ScriptedServer, completion, fault

KEYS = {
    name: f"sk-proj-{name[:2].lower()}/Zq8+vT=={number}_secret"
    for number, name in enumerate(("EXPLAIN_API_KEY", "GROUND_API_KEY", "FILTER_API_KEY", "OPENAI_API_KEY"))
}
BOX = [140, 210, 280, 350]
pytestmark = pytest.mark.server


# ---- the servers' scripts


def answer_in_text(call: Call) -> Reply:
    """An answer that can be used, with the key in each of its texts."""
    return {
        "explain": completion(f"{EXPLANATION} The sign reads {call.key} in small letters."),
        "ground": grounded(BOX, label=f"key {call.key}"),
        "filter": completion(json.dumps([{"number": 1, "decision": "object", "reason": f"{call.key} is whole"}])),
    }[call.step]


def answer_in_fields(call: Call) -> Reply:
    """The key beside the answer, and in its headers."""
    usual = Scenario().answer(call)
    whole = json.loads(usual.body) | {
        "id": call.key,
        "model": call.key,
        "system_fingerprint": call.key,
        "x": [call.key],
    }
    return replace(usual, body=json.dumps(whole).encode(), headers={"x-request-id": call.key, "Set-Cookie": call.key})


def answer_finishing_oddly(call: Call) -> Reply:
    return completion(EXPLANATION, finish_reason=call.key, refusal=f"no: {call.key}")


def refuse_with(status: int, call: Call) -> Reply:
    said = fault(status, f"Incorrect API key provided: {call.key}. You can find yours at ...", call.key)
    return replace(said, headers={"x-request-id": call.key, "www-authenticate": f"Bearer {call.key}"})


def answer_401(call: Call) -> Reply:
    return refuse_with(401, call)


def answer_403(call: Call) -> Reply:
    return refuse_with(403, call)


def answer_400(call: Call) -> Reply:
    return refuse_with(400, call)


def answer_404(call: Call) -> Reply:
    return refuse_with(404, call)


def answer_429(call: Call) -> Reply:
    return refuse_with(429, call)


def answer_500(call: Call) -> Reply:
    return refuse_with(500, call)


def answer_html(call: Call) -> Reply:
    return Reply(f"<h1>Bad gateway</h1>Authorization: Bearer {call.key}".encode(), 502, content_type="text/html")


def answer_what_is_no_json(call: Call) -> Reply:
    return Reply(f"Bearer {call.key}".encode())


def answer_half(call: Call) -> Reply:
    return Reply(f'{{"choices": [{{"message": {{"content": "{call.key}'.encode() * 3, cut_after=120)


def answer_escaped(call: Call) -> Reply:
    """As JSON may escape it, under a name that tells no reason."""
    escaped = call.key.replace("/", "\\/")
    return Reply(f'{{"error": {{"headers": {{"authorization": "Bearer {escaped}"}}}}}}'.encode(), 500)


def answer_in_retry_after(call: Call) -> Reply:
    return fault(429, "Slow down.", None, Retry_After=call.key)


def redirect(call: Call) -> Reply:
    return Reply(status=307, headers={"Location": f"/v1/chat/completions?key={call.key}"})


GOING_ON = [
    *(answer_in_text, answer_in_fields, answer_finishing_oddly, answer_400, answer_429, answer_500, answer_html),
    *(answer_what_is_no_json, answer_half, answer_escaped, answer_in_retry_after, redirect),
]


def answer_by_image(call: Call) -> Reply:
    """Each image has a failure of its own, which another image survives."""
    return GOING_ON[call.image % len(GOING_ON)](call)


# ---- the tests


def check_unseen(folder: Path, *streams: str) -> None:
    """No key, nor the part of it that is secret, in a file's bytes or name or on a stream."""
    secrets = [form for key in KEYS.values() for form in (key, key.removeprefix("sk-proj-"), key.replace("/", "\\/"))]
    contents = {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    contents |= {f"stream {number}": text.encode() for number, text in enumerate(streams)}
    for name, content in contents.items():
        assert not [secret for secret in secrets if secret.encode() in content or secret in name], name


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("keys") / "images", range(2 * len(GOING_ON)))


@pytest.mark.parametrize("log", ["off", "debug"])
@pytest.mark.parametrize("script", ["answer_by_image", "answer_401", "answer_403", "answer_404"])
def test_a_key_that_a_server_says_again_is_written_nowhere(script: str, log: str, images: Path, tmp_path: Path) -> None:
    with ScriptedServer(f"test_annotate_keys:{script}") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--retries", "1", "--timeout", "5"]
        done = run(arguments, **KEYS, OPENAI_LOG=log)
        used = {(call["step"], call["key"]) for call in server.calls()}
    assert used, "no call was made"
    assert used <= {(step, KEYS[f"{step.upper()}_API_KEY"]) for step in STEPS}
    assert "Traceback" not in done.stderr
    check_unseen(tmp_path, done.stdout, done.stderr)
    if script == "answer_by_image":
        assert (done.returncode, len(used)) == (0, 3)
        assert "[key]" in (tmp_path / "out/audit.jsonl").read_text(), "no server said a key"
