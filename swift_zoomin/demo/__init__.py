"""A page to try a model on, for pictures that are dropped or pasted there. Nothing of them is written or kept."""
