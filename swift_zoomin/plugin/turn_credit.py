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
from swift.rollout import multi_turns

from swift_zoomin.plugin.scheduler import ZoomInScheduler
from swift_zoomin.plugin.template import ZoomInTemplate


class TurnCreditTrainer(GRPOTrainer):
    """GRPO with one advantage for each query. Raises ValueError for settings that it does not know how to split."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.kl_in_reward or self._has_teacher_explicit():
            raise ValueError("swift_zoomin.turn_credit knows neither --kl_in_reward nor teacher models")
        scheduler = multi_turns.get(self.args.multi_turn_scheduler)
        asks_twice = scheduler is not None and issubclass(scheduler, ZoomInScheduler)
        if not isinstance(self.template, ZoomInTemplate) or not asks_twice:
            raise ValueError("swift_zoomin.turn_credit needs --template zoomin and --multi_turn_scheduler zoomin")
        if setting := whole_sequence_setting(self.args):
            fault = "all tokens of a sequence would get one advantage, and both queries be trained alike"
            raise ValueError(f"swift_zoomin.turn_credit cannot be used with {setting}: {fault}")

    def _postprocess_batch(self, samples: list[Any], batch_encoded_inputs: list[dict[str, Any]]) -> None:
        super()._postprocess_batch(samples, batch_encoded_inputs)
        by_query = torch.stack([self._advantages_of(query) for query in (1, 2)], dim=1)
        for sample, advantages in zip(samples, get_even_process_data(self, by_query), strict=True):
            sample.advantages = advantages
        for batch, encoded in zip(self.split_by_mini_batches(samples), batch_encoded_inputs, strict=True):
            grpo_batch = encoded["grpo_batch"]
            if grpo_batch.teacher_per_token_logps is not None:
                raise ValueError("swift_zoomin.turn_credit knows no teacher models; a column of the dataset has them")
            grpo_batch.advantages = advantages_of(batch, grpo_batch.completion_mask, self.template)

    def _advantages_of(self, query: int) -> torch.Tensor:
        """Advantages from the rewards of one query alone, by ms-swift's arithmetic: (samples of all processes,)."""
        # A reward that belongs to no query has no such attribute, and counts for both.
        counts = [getattr(function, "query", query) == query for function in self.reward_funcs]
        weights = self.reward_weights * torch.tensor(counts, device=self.reward_weights.device)
        generations = self.num_generations if self.model.training else self.num_generations_eval
        advantages, _ = compute_advantages(
            self._rewards_per_func,
            weights,
            generations,
            self.advantage_estimator,
            self.scale_rewards,
        )
        return advantages


def whole_sequence_setting(args: Any) -> str | None:
    """A setting of the trainer by which one advantage, or one ratio of probabilities, stands for a whole sequence."""
    if args.use_liger_kernel:
        return "--use_liger_kernel true"
    if args.loss_type == "real":
        return "--loss_type real"
    if args.off_policy_sequence_mask_delta is not None:
        return f"--off_policy_sequence_mask_delta {args.off_policy_sequence_mask_delta}"
    if args.importance_sampling_level == "sequence":  # its gradient is the mean advantage's; sequence_token's is not
        return "--importance_sampling_level sequence"
    return None


def advantages_of(samples: Sequence[Any], completion_mask: torch.Tensor, template: ZoomInTemplate) -> torch.Tensor:
    """The advantage of every token, (samples, tokens), on the mask's device.

    Each sample has its two in `advantages`; with sequence parallelism they come from other processes' devices.
    """
    by_query = torch.stack([sample.advantages.to(completion_mask.device) for sample in samples])
    return per_token(by_query, [trained_tokens(sample, template) for sample in samples], completion_mask)


def trained_tokens(sample: Any, template: ZoomInTemplate) -> int:
    """How many tokens of a sample's second reply are under loss; 0 where it has one reply."""
    if sample.rollout_infos.get("num_turns", 1) == 1:
        return 0
    sampled = sample.response_token_ids[-1]
    mask = sample.response_loss_mask[-1] if sample.response_loss_mask else [1] * len(sampled)
    return sum(kept and template.is_text(token) for token, kept in zip(sampled, mask, strict=True))


def per_token(by_query: torch.Tensor, second_reply: Sequence[int], completion_mask: torch.Tensor) -> torch.Tensor:
    """Spread advantages over tokens.

    `by_query` is (samples, 2); `second_reply` says how many tokens under loss each second reply has; the mask (samples,
    tokens) is 1 on tokens under loss. Returns (samples, tokens): the second column of `by_query` on that many tokens
    under loss and on all that lies between them, the first column before. The border is counted from the end, where
    nothing follows the second reply.
    """
    in_second = torch.tensor(second_reply, device=completion_mask.device)
    in_first = completion_mask.sum(1) - in_second
    within_first = completion_mask.cumsum(1) <= in_first.unsqueeze(1)
    return torch.where(within_first, by_query[:, :1], by_query[:, 1:])
