"""Marks in a model's text that a server or a template would take for more than text: they steer a model.

Special tokens as the families write them, and the placeholders that ms-swift and vLLM put pictures and boxes in for.
"""

import re

CONTROL_TOKEN = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<(?:image|video|audio|bbox|ref-object|cot-process|start-image|img_context)>|</?(?:s|img)>",
    re.IGNORECASE,
)


def broken(text: str) -> str:
    """The text with a blank behind the first character of each mark, which then is text to everyone: `< image>`."""
    return CONTROL_TOKEN.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", text)
