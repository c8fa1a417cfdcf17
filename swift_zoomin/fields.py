"""What the columns of further fields are called in training, where ms-swift gives some names a meaning."""

_COLUMN_PREFIX = "zoomin_"
_COLUMNS = (  # RowPreprocessor.standard_keys
    *("messages", "images", "videos", "audios", "tools", "objects", "rejected_response", "label", "channel", "margin"),
    *("teacher_prompt", "teacher_images", "chat_template_kwargs", "ref_audios", "audio_codes", "questions", "kinds"),
    *("options", "target_probs", "state", "question_ids", "criteria", "omnijev_column_keys", "omnijev_video"),
)
_TEMPLATE_INPUTS = ("system", "mm_processor_kwargs", "extra_kwargs")
_ROLLOUT_SAMPLE = (
    *("prompt_id", "request_id", "response_token_ids", "response_loss_mask", "rollout_logprobs", "finish_reason"),
    *("is_truncated", "add_eos", "rollout_infos", "routed_experts", "encoded", "extra", "teacher_messages", "rewards"),
    *("advantages", "data_dict"),
)
_REWARD_ARGUMENTS = ("self", "completions", "inputs", "trainer_state", "trajectory_inputs")
_WRITTEN_BY_LOAD_DATASET = ("dataset",)
RESERVED_FIELDS = frozenset(
    (*_COLUMNS, *_TEMPLATE_INPUTS, *_ROLLOUT_SAMPLE, *_REWARD_ARGUMENTS, *_WRITTEN_BY_LOAD_DATASET)
)
_RESERVED_BEGINNINGS = ("rejected_", "positive_", "negative_", "__@", "__#")


def column_name(name: str) -> str:
    """The column of a further field. No two fields share one."""
    is_reserved = name in RESERVED_FIELDS or name.startswith(_RESERVED_BEGINNINGS)
    return _COLUMN_PREFIX + name if is_reserved or name.startswith(_COLUMN_PREFIX) else name
