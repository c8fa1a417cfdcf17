"""The command `zoomin demo`: a page to try a model on, served from this machine."""

import argparse
import os
import secrets
import socket
from contextlib import closing, suppress
from importlib.util import find_spec
from typing import Any, cast

from swift_zoomin import arguments
from swift_zoomin.arguments import complain
from swift_zoomin.boxes import model_size
from swift_zoomin.checkpoints import Checkpoint, differences
from swift_zoomin.demo.guard import is_loopback
from swift_zoomin.demo.renewing import Renewing
from swift_zoomin.detection import Detector
from swift_zoomin.detection.command import (
    add_engine_arguments,
    check_model_options,
    made_by_of,
    open_engine,
    open_model,
)
from swift_zoomin.detection.quiet import quiet_libraries
from swift_zoomin.detection.served_model import ServedModel
from swift_zoomin.drawing import BOX_COLOURS
from swift_zoomin.episode import CHOOSERS, Engine
from swift_zoomin.memory_files import check_memory_files
from swift_zoomin.pictures import MEGAPIXELS, most_pixels
from swift_zoomin.records import RecordError

_PACKAGES = ("fastapi", "uvicorn", "jinja2")
_TOKEN = "ZOOMIN_DEMO_TOKEN"
_LEAST_TOKEN = 16  # characters
_TOKEN_BYTES = 24
_MEGAPIXELS = "50"  # of a picture, unless the environment says otherwise; decoded, one of that size fills 200 MB
_ANY_SIZE = (56, 56)
_REGIONS = [name for name in CHOOSERS if name != "random"]  # which moves boxes: they have no number on the page
_CLOSING_S = 1  # for open connections, when the demo is ended
_NO_HEAT = "No heat maps: they need the model's gradients, which --engine {} does not give; --engine transformers does."
_HELP = f"""\
serve a page to try a model on

A picture is dropped, pasted or chosen there; the page shows the regions when the first look ends, then the verdict.
Pictures stay in memory, each until its visitor leaves, and at most 10 minutes after its verdict. One of more than
{_MEGAPIXELS} megapixels is refused ({MEGAPIXELS} can change that).

It listens on this machine alone, unless --host says otherwise. There, and where {_TOKEN} is set, a token
is asked for: that one, or one that is made and printed at the start. What is sent is not encrypted: from elsewhere,
come through an SSH tunnel, or a proxy that speaks HTTPS.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.formatter_class = _HELP, argparse.RawDescriptionHelpFormatter
    add_engine_arguments(parser)
    parser.add_argument("--max-new-tokens", type=arguments.count, default=1024, help="tokens a reply may have")
    parser.add_argument("--regions", choices=_REGIONS, default="first", help="which marked regions to look at again")
    parser.add_argument("--host", type=arguments.text, default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=7860, help="and its port, 0 for any that is free (7860)")
    parser.add_argument(
        "--max-megabytes", type=arguments.count, default=20, metavar="MB", help="of a picture's file (20)"
    )
    parser.add_argument("--queue", type=arguments.count, default=64, help="pictures held at a time (64)")
    parser.set_defaults(one_turn=None)  # made_by_of asks for it


def _port(value: str) -> int:
    return 0 if value == "0" else arguments.count(value, 65_535)


def run(options: argparse.Namespace) -> int:
    check_packages()
    check_model_options(options)
    token, is_made = token_for(is_loopback(options.host))
    most_pixels()  # an environment that says something else than a number is told first
    with listening(options.host, options.port) as listener:  # a port that is taken is said before a model is loaded
        checkpoint = open_model(options)
        for difference in differences(checkpoint.settings):
            complain(f"{options.model}: {difference}")
        os.environ.setdefault(MEGAPIXELS, _MEGAPIXELS)
        with quiet_libraries(), closing(_engine(options, checkpoint)) as engine:
            app = _app(options, checkpoint, engine, token)
            model_size(_ANY_SIZE, engine.limits)  # loads what the first visitor would wait for else
            listener.listen()  # so that who reads the address can go there
            print(_invitation(options.host, listener, token, is_made), flush=True)
            serve(app, listener)
    return 0


def _engine(options: argparse.Namespace, checkpoint: Checkpoint | ServedModel) -> Engine:
    if isinstance(checkpoint, ServedModel):
        return Renewing(lambda: open_engine(options, checkpoint))
    return open_engine(options, checkpoint)


def check_packages() -> None:
    """Raises RecordError for what is missing here."""
    for name in _PACKAGES:
        if find_spec(name) is None:
            raise RecordError(f'demo needs {name}; pip install "swift-zoomin[demo]"')
    check_memory_files()


def token_for(is_local: bool) -> tuple[str | None, bool]:
    """The token that is asked for, and whether it is made here. Raises RecordError for one that can be guessed."""
    given = os.environ.get(_TOKEN)
    if not given:
        return (None, False) if is_local else (secrets.token_urlsafe(_TOKEN_BYTES), True)
    if len(given) < _LEAST_TOKEN or not given.isascii() or not given.isprintable() or " " in given:
        expected = f"expected at least {_LEAST_TOKEN} letters, digits or signs, without spaces"
        raise RecordError(f"{_TOKEN}: {expected}; or leave it out, and one is made")
    return given, False


def listening(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises OSError, which names it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    return listener


def _app(options: argparse.Namespace, checkpoint: Checkpoint | ServedModel, engine: Engine, token: str | None) -> Any:
    from swift_zoomin.attention.explaining import Attention
    from swift_zoomin.demo.app import Settings, make_app
    from swift_zoomin.demo.further import Further
    from swift_zoomin.demo.visits import Visits

    choose = CHOOSERS[options.regions]
    detector = Detector(engine=engine, choose=choose)
    attention: Attention | str = _NO_HEAT.format(options.engine)
    if options.engine == "transformers":
        attention = Attention(cast(Any, engine), choose=choose)  # SwiftEngine, which is not imported without ms-swift
    most_bytes = options.max_megabytes * 1_000_000
    made_by = made_by_of(options, checkpoint)
    visits = Visits(detector, made_by, options.concurrency, options.queue, most_bytes)
    heat_fault = attention if isinstance(attention, str) else None
    settings = Settings(checkpoint.name_with_hash(), most_bytes, most_pixels() / 1e6, tuple(BOX_COLOURS), heat_fault)
    return make_app(visits, Further(engine, choose, attention), settings, token)


def _invitation(host: str, listener: socket.socket, token: str | None, is_made: bool) -> str:
    """Where to go. A token that was made stands behind the address's #, which browsers send to nobody."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown_name = f"[{name}]" if ":" in name else name
    address = f"http://{shown_name}:{listener.getsockname()[1]}/"
    if is_made:
        return f"open {address}#token={token}"
    return f"open {address}" + (f" (it asks for the token in {_TOKEN})" if token else "")


def serve(app: Any, listener: socket.socket) -> None:
    """Until Ctrl+C, which is how a demo ends."""
    import uvicorn

    # Without a log of requests, and without lifespan events and WebSockets, which the guard would have to let through.
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_CLOSING_S,
    )
    with suppress(KeyboardInterrupt):  # which uvicorn raises once more when it has ended
        uvicorn.Server(config).run(sockets=[listener])
    print("ended; nothing of any picture is kept")
