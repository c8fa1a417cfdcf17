"""What other detectors write -> predictions: one reader a format, named in `formats.py`.

A reader yields rows of the prediction format, each with its `file:line`, or a ValueError that says what is wrong with
one. It never guesses: an answer that does not say one of the two verdicts is no verdict, and what only a user can know
(which class a 1 means, above which score an image is generated) is asked for.
"""
