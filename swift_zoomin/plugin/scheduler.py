"""The multi-turn schedulers: `zoomin` trains both replies, `zoomin_query2` rolls the first one out and masks it.

Only `on_turn_end` and `step` are overridden, because colocated engines call nothing else; sampled token ids, log
probabilities and a first reply cut by length stay ms-swift's affair. What the reward functions get in `rollout_infos`:
`replies` (texts, one a turn), `boxes_px` (the first reply's boxes in pixels of the original), `crops` (how many were
cut; 0 when no usable region was named), `images`, and how the replies were made, which a trainer compares with its own
settings: `pixels` (the model's limits), `scheduler` and `max_turns`.

Rows of other data sets may be mixed in: each has one turn and none of these.
"""

from typing import Any

from swift.rollout import MultiTurnScheduler

from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.episode import Episode
from swift_zoomin.images import is_remote
from swift_zoomin.plugin.template import first_image
from swift_zoomin.replies import VERDICTS

_TURNS = 2


def made_by(scheduler: type[MultiTurnScheduler], max_turns: int | None, limits: PixelLimits) -> dict[str, Any]:
    """What must be the same where replies are made and where they are trained on."""
    turns = min(max_turns or _TURNS, _TURNS)
    return {"pixels": str(limits), "scheduler": scheduler.__name__, "max_turns": turns}


def is_ours(infer_request: Any) -> bool:
    """Whether a request comes from a record: it has an image, and our first question or a verdict as its label.

    A trainer passes the label along; another client of a rollout server need not. An image on the web is no record's.
    """
    if not infer_request.images or is_remote(infer_request.images[0]):
        return False
    asked = [message["content"] for message in infer_request.messages if message["role"] == "user"]
    label = (infer_request.data_dict or {}).get("label")
    return prompts.QUERY1 in asked or label in VERDICTS


class ZoomInScheduler(MultiTurnScheduler):
    """Asks query 2 with crops of the regions that the first reply names."""

    trains_first_reply = True

    def __init__(self, infer_engine: Any = None, max_turns: int | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(infer_engine, min(max_turns or _TURNS, _TURNS), *args, **kwargs)

    async def on_turn_end(self, infer_request: Any, response_choice: Any, current_turn: int) -> dict[str, Any]:
        if not is_ours(infer_request):
            return {"done": True}  # query 2 would answer nothing that the row asked
        replies = [message["content"] for message in infer_request.messages if message["role"] == "assistant"]
        image = first_image(infer_request.images)
        assert image.limits
        infos: dict[str, Any] = {"replies": replies, **made_by(self.__class__, self.max_turns, image.limits)}
        if current_turn == 1:
            infos["boxes_px"] = Episode(image, replies).boxes_px
        return {"rollout_infos": infos}

    def step(self, infer_request: Any, response_choice: Any, current_turn: int) -> dict[str, Any]:
        image = first_image(infer_request.images)
        question = Episode(image, [response_choice.message.content]).next_question()
        assert question
        infer_request.messages.append({"role": "user", "content": question.text})
        whole = str(image) if image.path else infer_request.images[0]
        infer_request.images = [whole, *map(str, question.images)]
        infos = {"images": list(infer_request.images), "crops": len(question.images)}
        result = {"infer_request": infer_request, "rollout_infos": infos}
        if not self.trains_first_reply:
            sampled = list(response_choice.token_ids)
            response_choice.logprobs = None  # ms-swift wants log probabilities of trained tokens only
            result.update(response_token_ids=sampled, response_loss_mask=[0] * len(sampled))
        return result


class ZoomInQuery2Scheduler(ZoomInScheduler):
    """The same exchange, with the first reply left out of the loss: rewards of query 2 train query 2 only."""

    trains_first_reply = False
