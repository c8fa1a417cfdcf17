"""What each reward pays for ways to game it.

    python examples/probe_rewards.py

One image of 1000 x 1000 pixels with three annotated regions; each row is a reply that a policy under pressure may drift
to. The scores come from the reward functions as ms-swift calls them. Eq. 2 (`zoomin_iou`) is the paper's; its variants
`zoomin_iou_unique`, `zoomin_iou_f1` and `zoomin_iou_union` are opt-in (`--reward_funcs`).
"""

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.replies import GENERATED, Reply, render_reply

IMAGE = ImageRef("/probe.png", (1008, 1008), limits=PixelLimits(3136, 1008 * 1008, QWEN2_5_VL))
TRUTH = [[100, 100, 300, 300], [400, 100, 600, 300], [700, 600, 900, 800]]
NEAR, MISS, WHOLE, TINY = [420, 120, 620, 320], [50, 850, 150, 950], [0, 0, 1008, 1008], [190, 190, 194, 194]
EXPLANATION = "The letters on the sign melt into each other and the hand has six fingers."


def reply(boxes: list[list[float]], verdict: str = GENERATED) -> str:
    return render_reply(Reply(verdict, boxes, [""] * len(boxes), EXPLANATION))


PERFECT = reply(TRUTH)
REPLIES = {
    "all three regions": PERFECT,
    "one region of three": reply(TRUTH[:1]),
    "one region and a near one": reply([TRUTH[0], NEAR]),
    "one region, a near one, a miss": reply([TRUTH[0], NEAR, MISS]),
    "nine duplicates and a miss": reply([TRUTH[0]] * 9 + [MISS]),
    "100 duplicates": reply([TRUTH[0]] * 100),
    "one tiny box": reply([TINY]),
    "the whole image": reply([WHOLE]),
    "no region": reply([]),
    "swapped corners": PERFECT.replace("[100, 100, 300, 300]", "[300, 300, 100, 100]"),
    "NaN": PERFECT.replace("[100, 100, 300, 300]", "[NaN, 100, 300, 300]"),
    "two verdicts": PERFECT + "<verdict>real</verdict>",
    "verdict in words": PERFECT.replace("<verdict>generated</verdict>", "It is not real."),
    "cut in the middle": PERFECT[: len(PERFECT) // 2],
    "nothing": "",
}


def pay() -> dict[str, dict[str, float | None]]:
    """Scores by reply and reward, from one call of each reward over all replies."""
    samples = len(REPLIES)
    columns = {
        "images": [[{"bytes": None, "path": str(IMAGE)}]] * samples,
        "label": [GENERATED] * samples,
        "explanation": [EXPLANATION] * samples,
        "boxes": [TRUTH] * samples,
    }
    scores = {name: reward(None)(list(REPLIES.values()), **columns) for name, reward in REWARDS.items()}
    return {reply: {name: scores[name][row] for name in REWARDS} for row, reply in enumerate(REPLIES)}


if __name__ == "__main__":
    names = [name.removeprefix("zoomin_") for name in REWARDS]
    print(f"{'':30}" + "".join(f"  {name}" for name in names))
    for described, scores in pay().items():
        figures = ["-" if score is None else f"{score:.3f}" for score in scores.values()]
        cells = [f"  {figure:>{len(name)}}" for figure, name in zip(figures, names, strict=True)]
        print(f"{described:30}" + "".join(cells))
