"""Figures of an evaluation, as SVG and PNG for a column of a paper. Matplotlib is imported when one is drawn."""
