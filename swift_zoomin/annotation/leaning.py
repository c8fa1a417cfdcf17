"""Whether an explanation leans on having been told what the image is, instead of on the image.

A model trained on "as stated, the image is generated" learns to argue from an answer that it will not be given. The
phrases below give it away; each stands with an example. Words that speak of the picture ("the label on the bottle", "as
indicated by the shadows") and of the text itself ("as noted above") are none. Not covered: leaning without any of the
phrases ("unsurprisingly for a synthetic picture").
"""

import re

_LABEL = (
    r"(?:an? )?(?:real|authentic|genuine|fake|synthetic|artificial|generated|artificially generated|"
    r"computer[- ]generated|ai|ai[- ](?:generated|made|created|image|photo))\b"
)
_IMAGE = r"(?:image|picture|photo|photograph|scene|it|this)"
_QUOTE = "[\"'“‘]?"
_TOLD = r"(?:stated|indicated|specified|told|labell?ed|instructed|informed|given|requested)"
_SAID_BY_YOU = r"(?:mentioned|told|said|stated|indicated|noted|specified|informed|labell?ed|described|asked|claimed)"
_THE = r"(?:the|your|this|its|my)"
_REQUEST = r"(?:prompt|question|request|task|instructions?|user|premise|ground[- ]truth)"
# After "as stated": what the statement is looked for in, a sign or the shadows, or an earlier sentence.
_IN_THE_PICTURE = (
    r"(?! (?:by|on|in|at|with|for|from|through|throughout|above|below|earlier|before|previously|here|under|along)\b)"
)

_PHRASES = (
    # as stated, the image is real; as previously indicated. Not "as noted": reports note things themselves.
    rf"as (?:it (?:is|was) |was |has been |already |previously |correctly |you )*{_TOLD}\b{_IN_THE_PICTURE}",
    # as stated in the prompt; as indicated by the label
    rf"as (?:already |previously )?(?:{_TOLD}|mentioned|noted|described) (?:by|in|on|with|from|through) {_THE} "
    rf"(?:given |provided )?(?:{_REQUEST}|(?:image )?label(?! (?:on|of the|of a)\b))\b",
    # the given label; its known classification; the correct answer. Not "the correct answer on the blackboard".
    r"(?:the|this|its|your|that) (?:given|provided|stated|assigned|supplied|specified|known|correct|true) "
    r"(?:label|classification|class|verdict|category|status|information|answer|premise)\b"
    rf"(?! (?:on|in|at|above|below|under) (?:the|an?|his|her|their) (?!{_REQUEST}\b))",
    # the label of real; labelled as "generated"
    rf"label (?:of |as |is (?=[\"'“‘])){_QUOTE}{_LABEL}",
    rf"labell?ed (?:as|to be) (?:being )?{_QUOTE}{_LABEL}",
    # the image is labelled generated; it is known to be real
    rf"{_IMAGE} (?:is|was|has been) (?:already |indeed )?"
    r"(?:(?:labell?ed|tagged|annotated) (?:as |to be )?|(?:marked|given|stated|said|known|confirmed) (?:as|to be) )"
    rf"(?:being )?{_QUOTE}{_LABEL}",
    # you mentioned; you've told
    rf"you(?:['’]ve| have| had)? (?:already )?{_SAID_BY_YOU}\b",
    # I was told; I've been informed
    r"(?:i|we)(?:['’](?:m|ve|re)| am| was| were| have| had| are)(?: been)? (?:told|informed|instructed|asked|given)\b",
    # given that this image is AI-generated; knowing it is real
    r"(?:given|knowing|since (?:we|i) know|assuming|considering|we know|i know) (?:that )?(?:the |this )?"
    rf"(?:{_IMAGE} )?(?:is|was) (?:known to be |indeed )?{_LABEL}",
    # according to the prompt; based on your question
    rf"(?:according to|based on|as per|per|following) {_THE} (?:given |provided )?{_REQUEST}\b",
    # the information provided; the hint that you gave
    r"(?:information|label|hint|premise) (?:that )?(?:you |was |were |is )?(?:provided|supplied|given|gave)\b"
    r"(?! (?:by|on)\b)",
    r"ground[- ]truth\b",
)
_LEANING = re.compile(rf"\b(?:{'|'.join(_PHRASES)})", re.IGNORECASE)
_A_LABEL = re.compile(_LABEL, re.IGNORECASE)
_QUOTATION = re.compile(r"[\"“][^\"“”\n]{1,80}[\"”]")


def leaning_phrase(text: str) -> str | None:
    """The words with which a text argues from what its writer was told, or None."""
    found = _LEANING.search(" ".join(_without_quotations(text).split()))
    return found.group() if found else None


def _without_quotations(text: str) -> str:
    """The text without what it quotes from the picture; a label's own words in quotes stay (labelled as "real")."""
    return _QUOTATION.sub(lambda quoted: quoted.group() if _A_LABEL.search(quoted.group()) else "…", text)
