"""The command `zoomin attention`."""

import argparse
from contextlib import closing
from io import BytesIO
from pathlib import Path

from swift_zoomin import arguments
from swift_zoomin.attention.explaining import MOST_WORDS, SMOOTHING, Attention
from swift_zoomin.attention.gradients import LAYER, Smoothing
from swift_zoomin.attention.picture import Explained
from swift_zoomin.detection.quiet import quiet_libraries
from swift_zoomin.images import ImageRef
from swift_zoomin.outputs import make_folder, write_output
from swift_zoomin.records import RecordError

_HELP = """\
show from where in an image a model said its words: heat maps by gradients (LLaVA-CAM, appendix B of the ZoomIn paper)

The exchange is run once. Then, for the verdict, the regions (query 1) and words of the explanation, each image token is
as hot as what it adds to the logit of that word: its states at a decoder layer times the gradient there, summed over
channels, without what is negative, averaged over noisy copies of the image. For query 2 the heat of the crops lies
where they were cut. A heat map says what a word was read from, not that it is true.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("image", type=arguments.path, help="image file")
    parser.add_argument(
        "--model", required=True, type=arguments.text, help="model folder, LoRA adapter, or a hub's name"
    )
    parser.add_argument("--out", required=True, type=arguments.path, help="the picture to write, as PNG")
    parser.add_argument("--query", type=int, choices=(1, 2), default=2, help="the reply to look into (2)")
    parser.add_argument(
        "--words",
        type=arguments.text,
        help=f"words of the explanation, as 'letters melt'; else the {MOST_WORDS} said most from the image",
    )
    layer_help = f"decoder layer whose incoming states are looked at, from 0 ({LAYER}); a later one needs less memory"
    parser.add_argument("--layer", type=int, default=LAYER, help=layer_help)
    parser.add_argument(
        "--copies", type=arguments.count, default=SMOOTHING.copies, help=f"noisy copies ({SMOOTHING.copies})"
    )
    noise_help = f"standard deviation of their noise, as a share of the image's range of values ({SMOOTHING.noise})"
    parser.add_argument("--noise", type=_noise, default=SMOOTHING.noise, help=f"{noise_help}; 0 for none")
    parser.add_argument("--max-new-tokens", type=arguments.count, default=1024, help="tokens a reply may have")


def _noise(value: str) -> float:
    return 0.0 if value == "0" else arguments.share(value)


def run(options: argparse.Namespace) -> int:
    _check_out(options.out, options.image)
    ImageRef.of(options.image)  # a file that is no image is said before a model is loaded
    smoothing = Smoothing(options.copies, options.noise)
    words = options.words.replace(",", " ").split() if options.words else ()
    with quiet_libraries(), closing(_open(options, smoothing)) as attention:
        explained = attention.heat_of(str(options.image), options.query, words)
    written = BytesIO()
    explained.picture().save(written, "PNG", optimize=True)
    write_output(options.out, written.getvalue())
    print(_said(explained))
    return 0


def _open(options: argparse.Namespace, smoothing: Smoothing) -> Attention:
    return Attention(options.model, options.layer, smoothing, options.max_new_tokens)


def _check_out(out: Path, image: Path) -> None:
    """Raises RecordError where the picture would be written over the image, OSError where it cannot be written."""
    make_folder(out.parent)
    if out.exists() and image.exists() and out.samefile(image):
        raise RecordError(f"{out}: the same file as the image; choose another --out")


def _said(explained: Explained) -> str:
    """A line for each heat: what was said, how much of its logit the image adds, and the crops' share of that."""
    lines = [f"{'heat':>10}{'crops':>8}  said"]
    for part in explained.heats:
        share = f"{part.heat.crop_share:.0%}" if len(part.heat.shown) > 1 else "-"
        lines.append(f"{part.heat.total:10.3g}{share:>8}  {part.said}")
    return "\n".join(lines)
