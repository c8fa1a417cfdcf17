"""The words of both queries and of the one-turn variants. No prompt text stands anywhere else.

`<image>` marks where ms-swift puts an image. Nothing that a model or an annotator wrote ever enters a prompt: the
close-ups of query 2 follow the order of the regions in the first reply, which is still in the conversation.
"""

import hashlib

_TASK = "<image>\nIs this image a real photograph or AI-generated?"
_EXPLANATION = "<explanation>the visual evidence, concretely</explanation>"
_REGIONS = '<regions>[{"bbox_2d": [x1, y1, x2, y2], "label": "what to look at"}]</regions>'
_VERDICT = "<verdict>real or generated</verdict>"
_FORM = "Answer in this form:\n"

QUERY1 = (
    f"{_TASK} Scan the whole image. Explain what you see, mark every region that deserves a closer look "
    f"(pixel coordinates), and give a first verdict. {_FORM}{_EXPLANATION}\n{_REGIONS}\n{_VERDICT}"
)

# One turn: explanation only (E), explanation and grounding (E+G), verdict only. Rows of Table 1 of the paper.
EXPLAIN = f"{_TASK} Explain what you see and give your verdict. {_FORM}{_EXPLANATION}\n{_VERDICT}"
GROUND = (
    f"{_TASK} Explain what you see, mark the regions that show it (pixel coordinates), and give your verdict. "
    f"{_FORM}{_EXPLANATION}\n{_REGIONS}\n{_VERDICT}"
)
VERDICT = f"{_TASK} Give your verdict only. {_FORM}{_VERDICT}"

_SECOND_LOOK = (
    "Compare them with the whole image, correct your first impression where it was wrong, and give the final verdict. "
    f"{_FORM}{_EXPLANATION}\n{_VERDICT}"
)


def query2(crops: int) -> str:
    """Query 2 over `crops` close-ups; with none, a second look at the whole image."""
    if not crops:
        return f"You marked no region. Look at the whole image again, more closely. {_SECOND_LOOK}"
    return f"Close-ups of the regions you marked, in your order:\n{'<image>' * crops}\n{_SECOND_LOOK}"


# Which words a model was trained with; it travels with the checkpoint and changes with any of them.
VERSION = hashlib.sha256("\n".join((QUERY1, EXPLAIN, GROUND, VERDICT, query2(0), query2(1))).encode()).hexdigest()[:8]
