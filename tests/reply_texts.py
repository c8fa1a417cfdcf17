"""A reply as it is taught, one in Qwen's own tokens, and the pieces that hostile replies are made of."""

CANONICAL = """<explanation>The letters on the sign melt.</explanation>
<regions>[{"bbox_2d": [120, 88, 260, 190], "label": "sign"}, {"bbox_2d": [1, 2, 3, 4], "label": "entrée"}]</regions>
<verdict>generated</verdict>"""
TOKENS = "<|object_ref_start|>sign<|object_ref_end|><|box_start|>(120,88),(260,190)<|box_end|>"
PIECES = ["<", "</", ">", "verdict", "regions", '"', "\\", "{", "}", "[1, 2, 3, 4]", "```", "<image>", "<|im_end|>"]
