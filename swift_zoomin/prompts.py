"""The words of both queries and of the one-turn variants. No prompt text stands anywhere else.

`<image>` marks where ms-swift puts an image. Nothing that a model or an annotator wrote ever enters a prompt: the
close-ups of query 2 follow the order of the regions in the first reply, which is still in the conversation. A question
that asks for regions says in which frame: the one that the model's family was taught.
"""

import hashlib

from swift_zoomin.families import Frame

_TASK = "<image>\nIs this image a real photograph or AI-generated?"
_EXPLANATION = "<explanation>the visual evidence, concretely</explanation>"
_REGIONS = '<regions>[{"bbox_2d": [x1, y1, x2, y2], "label": "what to look at"}]</regions>'
_VERDICT = "<verdict>real or generated</verdict>"
_FORM = "Answer in this form:\n"

_COORDINATES = {
    Frame.ABSOLUTE: "pixel coordinates",
    Frame.NORM1000: "coordinates from 0 to 1000 along each side of the image",
}


def query1(frame: Frame) -> str:
    return (
        f"{_TASK} Scan the whole image. Explain what you see, mark every region that deserves a closer look "
        f"({_COORDINATES[frame]}), and give a first verdict. {_FORM}{_EXPLANATION}\n{_REGIONS}\n{_VERDICT}"
    )


# One turn: explanation only (E), explanation and grounding (E+G), verdict only. Rows of Table 1 of the paper.
EXPLAIN = f"{_TASK} Explain what you see and give your verdict. {_FORM}{_EXPLANATION}\n{_VERDICT}"
VERDICT = f"{_TASK} Give your verdict only. {_FORM}{_VERDICT}"


def ground(frame: Frame) -> str:
    return (
        f"{_TASK} Explain what you see, mark the regions that show it ({_COORDINATES[frame]}), and give your verdict. "
        f"{_FORM}{_EXPLANATION}\n{_REGIONS}\n{_VERDICT}"
    )


def one_turn(name: str, frame: Frame) -> str:
    """The question of a one-turn variant: explain, ground or verdict."""
    return {"explain": EXPLAIN, "ground": ground(frame), "verdict": VERDICT}[name]


_SECOND_LOOK = (
    "Compare them with the whole image, correct your first impression where it was wrong, and give the final verdict. "
    f"{_FORM}{_EXPLANATION}\n{_VERDICT}"
)


def query2(crops: int) -> str:
    """Query 2 over `crops` close-ups; with none, a second look at the whole image."""
    if not crops:
        return f"You marked no region. Look at the whole image again, more closely. {_SECOND_LOOK}"
    return f"Close-ups of the regions you marked, in your order:\n{'<image>' * crops}\n{_SECOND_LOOK}"


def version(frame: Frame) -> str:
    """Which words a model was trained with; it travels with the checkpoint and changes with any of them."""
    texts = (query1(frame), EXPLAIN, ground(frame), VERDICT, query2(0), query2(1))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
