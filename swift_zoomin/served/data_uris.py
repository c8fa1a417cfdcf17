"""Pictures as they stand in a request: a lossless PNG in a data URI, so that a server decodes the same pixels."""

import base64
import io

from PIL import Image

# Of an image: what transformers and hosted Qwen models shrink to where nothing else is said. vLLM, ms-swift and the
# models' own files allow more.
MOST_TOKENS = 1280
_FAST = 1  # of zlib's levels: half of the time of the usual 6, for a seventh more bytes


def png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=_FAST)
    return content.getvalue()


def data_uri(content: bytes) -> str:
    """Of a PNG."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
