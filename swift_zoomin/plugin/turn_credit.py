"""Turn-level credit: an opt-in GRPO trainer, beyond the paper. `--custom_register_path swift_zoomin.turn_credit`.

Where one run trains both queries, GRPO gives every token one advantage, made from the sum of all rewards: a good crop
is praised for a bad verdict's sake and the other way round. Here query 1's tokens get the advantage of query 1's
rewards, and query 2's tokens that of query 2's, each with statistics of its own over the group. A reward that belongs
to no query (any that is not ours) counts for both; where all do, this is GRPO exactly.

It overrides one method of ms-swift 4.6's trainer that is no public interface.
"""

from collections.abc import Sequence
from typing import Any

import torch
from swift.rl_core.advantage import compute_advantages
from swift.rlhf_trainers import GRPOTrainer
from swift.rlhf_trainers.utils import get_even_process_data

from swift_zoomin.plugin.template import ZoomInTemplate


class TurnCreditTrainer(GRPOTrainer):
    """GRPO with one advantage for each query. Raises ValueError for settings that it does not know how to split."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.kl_in_reward or self._has_teacher_explicit():
            raise ValueError("swift_zoomin.turn_credit knows neither --kl_in_reward nor teacher models")
        if not isinstance(self.template, ZoomInTemplate) or not self.args.multi_turn_scheduler:
            raise ValueError("swift_zoomin.turn_credit needs --template zoomin and --multi_turn_scheduler zoomin")

    def _postprocess_batch(self, samples: list[Any], batch_encoded_inputs: list[dict[str, Any]]) -> None:
        super()._postprocess_batch(samples, batch_encoded_inputs)
        by_query = torch.stack([self._advantages_of(query) for query in (1, 2)], dim=1)
        for sample, advantages in zip(samples, get_even_process_data(self, by_query), strict=True):
            sample.advantages = advantages
        for batch, encoded in zip(self.split_by_mini_batches(samples), batch_encoded_inputs, strict=True):
            grpo_batch = encoded["grpo_batch"]
            if grpo_batch.teacher_per_token_logps is not None:
                raise ValueError("swift_zoomin.turn_credit knows no teacher; the dataset has a column for one")
            grpo_batch.advantages = per_token(
                torch.stack([sample.advantages for sample in batch]).to(grpo_batch.completion_mask.device),
                [trained_tokens(sample, self.template) for sample in batch],
                grpo_batch.completion_mask,
            )

    def _advantages_of(self, query: int) -> torch.Tensor:
        """Advantages from the rewards of one query alone, by ms-swift's arithmetic: (samples of all processes,)."""
        counts = [getattr(function, "query", query) == query for function in self.reward_funcs]
        weights = self.reward_weights * torch.tensor(counts, device=self.reward_weights.device)
        training = self.model.training
        advantages, _ = compute_advantages(
            self._rewards_per_func,
            weights,
            self.num_generations if training else self.num_generations_eval,
            self.advantage_estimator,
            self.scale_rewards,
        )
        return advantages


def trained_tokens(sample: Any, template: ZoomInTemplate) -> int:
    """How many tokens of a sample's first reply are under loss."""
    if len(sample.response_token_ids) < sample.rollout_infos.get("num_turns", 1):
        return 0  # ms-swift leaves an empty reply out
    sampled = sample.response_token_ids[0]
    mask = sample.response_loss_mask[0] if sample.response_loss_mask else [1] * len(sampled)
    return sum(kept and template.is_text(token) for token, kept in zip(sampled, mask, strict=True))


def per_token(by_query: torch.Tensor, first_reply: Sequence[int], completion_mask: torch.Tensor) -> torch.Tensor:
    """Spread advantages over tokens.

    `by_query` is (samples, 2); `first_reply` says how many tokens under loss each first reply has; the mask (samples,
    tokens) is 1 on tokens under loss. Returns (samples, tokens): the first column of `by_query` up to the first
    reply's last token under loss, the second column after it.
    """
    within_first = completion_mask.cumsum(1) <= torch.tensor(first_reply, device=completion_mask.device).unsqueeze(1)
    return torch.where(within_first, by_query[:, :1], by_query[:, 1:])
