"""All scenarios. Image number N is annotated by scenario N modulo their number."""

from itertools import chain

from marked_images import OBJECT, SIZE
from scenario import Scenario
from scenarios_boxes import FILTERED, FORMS, GROUNDED, VALUES
from scenarios_explained import EXPLAINED_SCENARIOS
from scenarios_service import SERVICE
from scripted_server import Call, Reply, fault

from swift_zoomin.boxes import Size, scale_box


def _planted(size: Size, orientation: int = 1) -> Scenario:
    """The server finds the object in the picture that it is sent; the record has it in pixels of the original."""
    return Scenario(size=size, orientation=orientation, boxes=(scale_box(OBJECT, SIZE, size),))


PLANTED = {
    "an object in a photograph": _planted((1600, 1200)),
    "an object in a photograph on its side": _planted((1200, 1600), 6),
    "an object in a photograph on its other side": _planted((1501, 1013), 8),
    "an object in a photograph upside down": _planted((801, 601), 3),
    "an object in a mirrored photograph": _planted((640, 480), 2),
    "an object in a tiny picture": _planted((64, 48)),
    "an object in a tall picture": _planted((200, 1777)),
    "an object in a wide picture": _planted((1777, 200)),
}
_GROUPS = (SERVICE, EXPLAINED_SCENARIOS, FORMS, VALUES, GROUNDED, FILTERED, PLANTED)
SCENARIOS: dict[str, Scenario] = dict(chain.from_iterable(group.items() for group in _GROUPS))
NAMES = list(SCENARIOS)


def of_image(number: int) -> Scenario:
    return SCENARIOS[NAMES[number % len(NAMES)]]


def answer(call: Call) -> Reply:
    """The script of a server."""
    return of_image(call.image).answer(call)


def answer_well(call: Call) -> Reply:
    """The script of a server that answers every image well."""
    return _WELL.answer(call)


def answer_at_the_second(call: Call) -> Reply:
    """The script of a server that fails once before each answer."""
    return fault(500, "Once.", retry_after_ms="1") if call.attempt == 1 else answer_well(call)


def answer_the_first_alone(call: Call) -> Reply:
    """The script of a server that never answers about any image but number 0."""
    return answer_well(call) if call.image == 0 else Reply(delay_s=3600)


_WELL = Scenario()
