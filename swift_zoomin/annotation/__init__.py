"""From pictures to records: explanations, boxes and their purification, asked of vision-language models."""
