"""What the page of a run costs: writing it, opening it, and using it, with 500 predictions of photographs.

    python tests/benchmarks/run_page.py                  # makes 500 photographs, about a minute
    python tests/benchmarks/run_page.py --keep made      # and keeps them, with the page, to look at

Photographs are imitated by smoothed noise of 1024 x 768 pixels, with two to four regions each. Opening is measured in
headless Chromium, from the navigation to the first picture of the page on the screen and to the end of loading.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter, ImageOps
from playwright.sync_api import Page, sync_playwright

from swift_zoomin.predictions import CANNOT_TELL, read_predictions
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.run_page import write_run_page

SIZE = (1024, 768)
SCALES = (1.024, 0.768, 1.024, 0.768)
THINGS = ("a sign of garbled letters", "a melting finger", "a second shadow", "a repeated face", "a bent railing")
# Of a family that writes boxes in thousandths.
MADE_BY = (
    "model big (weights 47db0093b3a7)|regions first|family Qwen3-VL|pixels 4096-262144|tokens 512|prompts 0|zoomin 0"
)


def photographs(folder: Path, images: int) -> None:
    rng = random.Random(0)
    noise = Image.effect_noise(SIZE, 70)
    tiles = [ImageOps.autocontrast(noise.filter(ImageFilter.GaussianBlur(blur))) for blur in (2, 4, 8, 16)]
    for number in range(images):
        Image.merge("RGB", rng.choices(tiles, k=3)).save(folder / f"{number:04}.jpg", quality=90)


def prediction(number: int, rng: random.Random) -> dict[str, Any]:
    boxes, found = [], []
    for _ in range(rng.randint(2, 4)):
        x, y = rng.randint(0, 700), rng.randint(0, 700)
        label = rng.choice(THINGS)
        found.append({"bbox_2d": [x, y, x + 200, y + 250], "label": label})
        boxes.append([round(side * scale, 2) for side, scale in zip(found[-1]["bbox_2d"], SCALES, strict=True)])
    first, last = rng.choice((REAL, GENERATED)), rng.choice((REAL, GENERATED))
    reasons = " ".join(f"There is {thing}, lit from two sides." for thing in rng.choices(THINGS, k=3))
    replies = [
        f"<explanation>{reasons}</explanation>\n<regions>{json.dumps(found)}</regions>\n<verdict>{first}</verdict>",
        f"<explanation>{reasons}</explanation>\n<verdict>{last}</verdict>",
    ]
    return {
        "image": f"{number:04}.jpg",
        "verdict": last if number % 50 else None,
        "initial_verdict": first,
        "boxes": boxes,
        "box_labels": [region["label"] for region in found],
        "explanation": reasons,
        "initial_explanation": reasons,
        "replies": replies,
        "width": SIZE[0],
        "height": SIZE[1],
        "seconds": 1.9,
        "error": None if number % 50 else "reply 2 was cut by the length limit",
        "made_by": MADE_BY,
        "score": round(rng.betavariate(0.6, 0.6), 3),
        "decision": rng.choice((REAL, GENERATED, CANNOT_TELL)),
        "decision_reason": None,
    }


def make(folder: Path, images: int) -> Path:
    """A predictions file and its images."""
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    photographs(folder, images)
    rows = [json.dumps(prediction(number, rng)) for number in range(images)]
    (folder / "predictions.jsonl").write_text("\n".join(rows) + "\n")
    return folder / "predictions.jsonl"


def milliseconds(page: Page, action: str) -> float:
    """How long it takes from an action of the page's script to the picture after it, the longest of five."""
    script = f"""async () => {{
      const begun = performance.now();
      {action};
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - begun;
    }}"""
    return max(float(page.evaluate(script)) for _ in range(5))


def processor_seconds(page: Page) -> float:
    """What the page's process has taken since it began, whatever else the machine does."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "ProcessTime")


def measure(file: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for _ in range(3):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            begun = time.perf_counter()
            page.goto(file.absolute().as_uri())
            loaded = time.perf_counter() - begun
            page.screenshot()
            painted = time.perf_counter() - begun
            first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0") / 1000
            times = f"first paint {first:.2f} s, loaded {loaded:.2f} s, on a screenshot {painted:.2f} s"
            print(f"opened: {times}; {processor_seconds(page):.2f} s of a processor")
        actions = {
            "next image": "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}))",
            "sort by score": "byId('sort').value = byId('sort').value === 'lowest' ? 'highest' : 'lowest'; update()",
            "search": "byId('by-text').value = byId('by-text').value ? '' : 'railing'; update()",
            "to the end": "scrollTo(0, document.body.scrollHeight)",
        }
        for name, action in actions.items():
            print(f"{name}: at most {milliseconds(page, action):.0f} ms")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="folder for the images and the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        file = make(folder, options.images)
        begun = time.process_time()
        held = write_run_page(read_predictions(file).values(), folder, folder / "run.html", title=file.name)
        taken = time.process_time() - begun
        print(f"{held}: written in {taken:.1f} s of a processor, {(folder / 'run.html').stat().st_size / 1e6:.1f} MB")
        measure(folder / "run.html")


if __name__ == "__main__":
    main()
