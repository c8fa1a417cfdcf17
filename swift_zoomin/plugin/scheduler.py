"""The multi-turn schedulers: `zoomin` trains both replies, `zoomin_query2` rolls the first one out and masks it.

Only what both of ms-swift's drivers call is overridden: the rollout server's, and that of colocated engines, which
ignores `run`. A reply cut by length ends the trajectory, as ms-swift has it.

**Which tokens are trained.** `get_response_token_data` gives the ids and the mask of every reply, also of one that ends
the trajectory: one list a turn, because a trainer counts the lists from the end, and a missing one would hand the first
reply's ids to the second. Under loss is what was sampled, but for the first reply of `zoomin_query2`, and for tokens
that stand for images. The log probabilities of such a reply are dropped: ms-swift wants one for each token under loss,
and forgives a difference of one by shifting them.

What the reward functions get in `rollout_infos`: `replies` (texts, one a turn), `boxes_px` (the first reply's boxes in
pixels of the original), `crops` (how many were cut; 0 when no usable region was named), `images`, and the settings of
`rollout_settings`, which a trainer compares with its own.

Rows of other data sets may be mixed in: each has one turn and none of these.
"""

from typing import Any

from swift.rollout import MultiTurnScheduler

from swift_zoomin import prompts
from swift_zoomin.episode import Episode
from swift_zoomin.families import Frame
from swift_zoomin.images import is_remote
from swift_zoomin.plugin.rollout_settings import allowed_turns, settings_of_rollout
from swift_zoomin.plugin.template import first_image
from swift_zoomin.replies import VERDICTS

_PER_STEP_LOSSES = ("cispo", "dapo", "fipo")  # ms-swift's WINDOW_NORMALIZED_LOSS_TYPES, without importing its trainer


def is_about_record(infer_request: Any) -> bool:
    """Whether a request comes from a record: it has an image, and our first question or a verdict as its label.

    A trainer passes the label along; another client of a rollout server need not. An image on the web is no record's.
    """
    if not infer_request.images or is_remote(infer_request.images[0]):
        return False
    questions = [message["content"] for message in infer_request.messages if message["role"] == "user"]
    label = (infer_request.data_dict or {}).get("label")
    is_asked = any(prompts.query1(frame) in questions for frame in Frame)
    return is_asked or label in VERDICTS


class ZoomInScheduler(MultiTurnScheduler):
    """Asks query 2 with crops of the regions that the first reply names."""

    trains_first_reply = True

    def __init__(self, infer_engine: Any = None, max_turns: int | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(infer_engine, allowed_turns(max_turns), *args, **kwargs)

    async def on_turn_end(self, infer_request: Any, response_choice: Any, current_turn: int) -> dict[str, Any]:
        self._drop_unusable_logprobs(infer_request, response_choice)
        if not is_about_record(infer_request):
            return {"done": True}  # query 2 would answer nothing that the row asked
        replies = [message["content"] for message in infer_request.messages if message["role"] == "assistant"]
        image = first_image(infer_request.images)
        assert image.limits
        settings = settings_of_rollout(self.__class__, self.max_turns, image.limits)
        infos: dict[str, Any] = {"replies": replies, **settings}
        if current_turn == 1:
            infos["boxes_px"] = Episode(image, replies).boxes_px
        return {"rollout_infos": infos}

    def _drop_unusable_logprobs(self, infer_request: Any, response_choice: Any) -> None:
        """Drop the log probabilities of a reply that is not trained whole.

        It happens at the end of the turn, because both drivers read them before they ask for the mask.
        """
        if response_choice.logprobs is None:
            return
        _, mask = self.get_response_token_data(infer_request, response_choice)
        if not all(mask):
            response_choice.logprobs = None

    def step(self, infer_request: Any, response_choice: Any, current_turn: int) -> dict[str, Any]:
        image = first_image(infer_request.images)
        question = Episode(image, [response_choice.message.content]).next_question()
        assert question
        infer_request.messages.append({"role": "user", "content": question.text})
        # An image that is no file has no name to refer to, so it travels on as it came.
        whole = str(image) if image.path else infer_request.images[0]
        infer_request.images = [whole, *map(str, question.images)]
        infos = {"images": list(infer_request.images), "crops": len(question.images)}
        return {"infer_request": infer_request, "rollout_infos": infos}

    def get_response_token_data(
        self, infer_request: Any, response_choice: Any, *args: Any, **kwargs: Any
    ) -> tuple[list[int], list[int]]:
        """The ids of the reply that was appended last, at least one, and 1 for each that is trained."""
        ids, mask = super().get_response_token_data(infer_request, response_choice, *args, **kwargs)
        template = self._template or self.infer_engine.template
        if not ids:
            # Only <|endoftext|> was sampled. TransformersEngine takes it for padding and strips it; vLLM does not.
            ids, mask = [template.tokenizer.pad_token_id], [1]
        if not self.trains_first_reply and _is_first_reply(infer_request):
            return ids, [0] * len(ids)
        return ids, [kept if template.is_text(token) else 0 for token, kept in zip(ids, mask, strict=True)]


def _is_first_reply(infer_request: Any) -> bool:
    """Whether the last message answers query 1. A row of another data set has one turn, which is trained."""
    replies = [message for message in infer_request.messages if message["role"] == "assistant"]
    return len(replies) == 1 and is_about_record(infer_request)


class ZoomInQuery2Scheduler(ZoomInScheduler):
    """The same exchange, with the first reply left out of the loss: rewards of query 2 train query 2 only.

    A first reply that ends the trajectory, because it was cut by length or --max_turns is 1, leaves nothing to train:
    see `unusable_loss`.
    """

    trains_first_reply = False


def unusable_loss(scheduler: type[MultiTurnScheduler] | None, loss_type: str | None) -> str | None:
    """Why a run with this loss could end in weights that are no numbers; None where it cannot."""
    if loss_type not in _PER_STEP_LOSSES:
        return None
    if scheduler is None or not issubclass(scheduler, ZoomInQuery2Scheduler):
        return None
    return (
        f"--loss_type {loss_type} divides by the trained tokens of a step, which are none where every first reply was "
        "cut by length, and --multi_turn_scheduler zoomin_query2 trains no first reply: all weights would become NaN; "
        "expected --loss_type grpo, bnpo, dr_grpo or sapo"
    )
