"""Eq. 1 to 4 of the paper and ROUGE-L by hand arithmetic, how Eq. 2 and its variants are gamed, BLEU as sacrebleu's."""

import math
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import sacrebleu
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from swift_zoomin.boxes import iou
from swift_zoomin.replies import Reply, parse_reply
from swift_zoomin.scoring import (
    accuracy_reward,
    bleu,
    bleu_reward,
    format_reward,
    iou_f1_reward,
    iou_reward,
    iou_union_reward,
    iou_unique_reward,
    readable_boxes,
    rouge_l,
    signature,
)

A, B, C = [0, 0, 100, 100], [200, 0, 300, 100], [0, 300, 190, 500]  # annotated; C has 190 * 200 = 38,000 pixels
NEAR_B = [242, 0, 342, 100]  # 58 of 100 columns shared: 5800 / (10000 + 10000 - 5800) = 58 / 142 = 0.408
MISS = [700, 700, 800, 800]
IMAGE = [0, 0, 1000, 1000]
HALF_A, OTHER_HALF_A = [0, 0, 60, 100], [40, 0, 100, 100]  # 6,000 pixels each, 2,000 of them shared; together A
Reward = Callable[[list, list | None], float | None]
VARIANTS: list[Reward] = [iou_unique_reward, iou_f1_reward, iou_union_reward]


@pytest.mark.parametrize(
    ("verdict", "label", "form", "accuracy"),
    [
        ("real", "real", 1.0, 1.0),
        ("real", "generated", 1.0, 0.0),  # Eq. 1 asks for a verdict, Eq. 3 for the right one
        ("generated", "generated", 1.0, 1.0),
        ("generated", "real", 1.0, 0.0),
        (None, "real", 0.0, 0.0),  # wrong, not missing
        (None, "generated", 0.0, 0.0),
    ],
)
def test_format_and_accuracy_follow_eq_1_and_eq_3(
    verdict: str | None, label: str, form: float, accuracy: float
) -> None:
    assert format_reward(Reply(verdict)) == form
    assert accuracy_reward(Reply(verdict), label) == accuracy


@pytest.mark.parametrize("label", [None, "", "cat", "Real", "not real", 1, 0.5, ["real"], {"real": 1}])
@pytest.mark.parametrize("verdict", [None, "real", "generated"])
def test_a_label_that_is_no_verdict_makes_accuracy_not_applicable(verdict: str | None, label: Any) -> None:
    assert accuracy_reward(Reply(verdict), label) is None


@pytest.mark.parametrize(
    ("predicted", "annotated", "expected"),
    [
        ([[0, 0, 10, 10]], [[0, 0, 10, 10]], 1.0),
        ([[0, 0, 10, 10]], [[5, 0, 15, 10]], 1 / 3),  # 50 / (100 + 100 - 50)
        ([[0, 0, 10, 10]], [[0, 0, 20, 20]], 0.25),  # 100 / 400, contained
        ([[0, 0, 10, 10]], [[5, 5, 15, 15]], 1 / 7),  # 25 / (100 + 100 - 25)
        ([[0, 0, 10, 10]], [[10, 0, 20, 10]], 0.0),  # an edge has no area
        ([[0, 0, 10, 10]], [[0, 0, 20, 20], [0, 0, 10, 20]], 0.5),  # the best one, 100 / 200, not the sum
        ([[0, 0, 10, 10], [50, 50, 60, 60]], [[0, 0, 10, 10]], 0.5),  # (1 + 0) / 2
        ([[0, 0, 10, 10], [5, 0, 15, 10]], [[0, 0, 10, 10]], 2 / 3),  # (1 + 1/3) / 2
        # Faults of peers
        ([[0, 0, 10, 10]], [[20, 20, 30, 30]], 0.0),  # -10 * -10 is no intersection
        ([[5, 5, 5, 5]], [[5, 5, 5, 5]], 0.0),  # no area, no division by zero
        ([[0, 5, 10, 5]], [[0, 0, 10, 10]], 0.0),
        ([[0.5, 0, 1.5, 1]], [[0, 0, 1, 1]], 1 / 3),  # not only whole numbers: 0.5 / 1.5
    ],
)
def test_iou_reward_follows_eq_2(predicted: list, annotated: list, expected: float) -> None:
    assert iou_reward(predicted, annotated) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([A], 1.000),  # one safe box: the two others go unpunished
        ([A, NEAR_B], 0.704),  # (1 + 0.408) / 2
        ([A, NEAR_B, MISS], 0.469),  # 1.408 / 3
        ([A] * 4, 1.000),
        ([A] * 9 + [MISS], 0.900),  # duplicates dilute a miss
        ([IMAGE], 0.038),  # the largest annotated box, C: 38,000 / 1,000,000
        ([A, B, C], 1.000),  # all of it earns no more than one
    ],
)
def test_what_eq_2_pays_for_is_known(predicted: list, expected: float) -> None:
    assert iou_reward(predicted, [A, B, C]) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("predicted", "annotated", "unique", "f1", "union"),
    [  # without repetitions; twice the matched IoU by the number of boxes; common area by that of either side
        ([A], [A, B, C], 1, 2 / 4, 10_000 / 58_000),  # A, B and C have 10,000 + 10,000 + 38,000 pixels
        ([A, B, C], [C, A, B], 1, 1, 1),
        ([A, NEAR_B], [A, B, C], (1 + 58 / 142) / 2, 2 * (1 + 58 / 142) / 5, 15_800 / 62_200),  # 4,200 beside B
        ([A, NEAR_B, MISS], [A, B, C], (1 + 58 / 142) / 3, 2 * (1 + 58 / 142) / 6, 15_800 / 72_200),
        ([A] * 4, [A, B, C], 1, 2 / 7, 10_000 / 58_000),
        ([A] * 9 + [MISS], [A, B, C], 1 / 2, 2 / 13, 10_000 / 68_000),  # the miss counts as one of two
        ([A, MISS, A], [A], 1 / 2, 2 / 4, 10_000 / 20_000),  # not only the one before is repeated
        ([IMAGE], [A, B, C], 0.038, 2 * 0.038 / 4, 0.058),
        ([A], [A, A], 1, 2 / 3, 1),  # an annotation may say something twice
        ([HALF_A, OTHER_HALF_A], [A], 0.6, 2 * 0.6 / 3, 1),  # shared pixels count once
        ([A], [HALF_A, OTHER_HALF_A], 0.6, 2 * 0.6 / 3, 1),
        ([[50, 50, 150, 150]], [A], 1 / 7, 1 / 7, 1 / 7),  # one box each: Eq. 2; 2,500 of 17,500
        ([[0, 0, 10, 10], [0, 0, 10, 9]], [[0, 0, 10, 10]], 1, 2 / 3, 1),  # IoU 0.9: a repetition
        ([[0, 0, 100, 100], [0, 0, 100, 89]], [A], 1.89 / 2, 2 / 3, 1),  # 0.89: none
        ([[0, 0, 10, 9], [0, 0, 10, 10]], [[0, 0, 10, 10]], 0.9, 2 / 3, 1),  # the first one stays
        # The best pairs, 0.9 and 0.52, are not the best matching, 0.8 and 0.8
        ([[0, 0, 90, 9], [20, 0, 100, 9]], [[0, 0, 100, 9], [0, 0, 72, 9]], 0.85, 2 * 1.6 / 4, 1),
        # No area: nothing to match and nothing covered
        ([[5, 5, 5, 5]], [[5, 5, 5, 5]], 0, 0, 0),
        ([A, [5, 5, 5, 5], [0, 50, 100, 50]], [A], 1 / 3, 2 / 4, 1),
        ([[200, 0, 300, 100]], [[300, 0, 400, 100]], 0, 0, 0),  # a common edge
    ],
)
def test_variants_of_eq_2_follow_hand_arithmetic(
    predicted: list, annotated: list, unique: float, f1: float, union: float
) -> None:
    assert [variant(predicted, annotated) for variant in VARIANTS] == pytest.approx([unique, f1, union])


def test_f1_pays_more_for_a_box_over_two_regions_if_it_is_repeated() -> None:
    left, right, both = [0, 0, 100, 100], [100, 0, 200, 100], [0, 0, 200, 100]
    assert iou_f1_reward([both], [left, right]) == pytest.approx(1 / 3)  # 2 * 0.5 / 3
    assert iou_f1_reward([both, both], [left, right]) == 0.5  # 2 * (0.5 + 0.5) / 4
    assert iou_f1_reward([left, right], [left, right]) == 1.0  # still the best answer by far


@pytest.mark.parametrize("reward", [iou_reward, *VARIANTS])
@pytest.mark.parametrize(
    ("predicted", "annotated", "expected"),
    [
        *[([], [], 1.0), ([], [A], 0.0), ([A], [], 0.0), ([A], None, None), ([], None, None)],
        *[(None, [], 0.0), (None, [A], 0.0), (None, None, None)],  # no reply that can be read
    ],
)
def test_nothing_annotated_is_not_the_same_as_no_annotation(
    reward: Reward, predicted: list | None, annotated: list | None, expected: float | None
) -> None:
    assert reward(predicted, annotated) == expected


@pytest.mark.parametrize(
    ("boxes", "verdict", "expected"),
    [
        ([A], "real", [A]),
        ([A], None, [A]),  # cut before its verdict, and still it named a region
        ([], "real", []),  # it says that there is none
        ([], None, None),  # it says nothing
        (None, "real", None),  # whose boxes are not known
        (None, None, None),
    ],
)
def test_a_reply_with_neither_boxes_nor_a_verdict_named_no_region(
    boxes: list | None, verdict: str | None, expected: list | None
) -> None:
    assert readable_boxes(boxes, verdict) == expected


interval = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda t: (t[0], t[0] + t[1]))
boxes = st.tuples(interval, interval).map(lambda t: [t[0][0], t[1][0], t[0][1], t[1][1]])


@given(boxes, boxes)
def test_iou_equals_that_of_exact_polygons(a: list[int], b: list[int]) -> None:
    p, q = shapely.box(*a), shapely.box(*b)
    assert iou_reward([a], [b]) == pytest.approx(p.intersection(q).area / p.union(q).area)


some_boxes = st.lists(boxes, max_size=6)
floats = st.floats(0, 1e150) | st.floats(0, 1000) | st.floats(0, 1e-150)  # beyond, an area is no finite number
float_interval = st.tuples(floats, floats).map(sorted)
float_boxes = st.tuples(float_interval, float_interval).map(lambda t: [t[0][0], t[1][0], t[0][1], t[1][1]])


@pytest.mark.slow
@pytest.mark.parametrize("reward", [iou_reward, iou_f1_reward, iou_union_reward])
@given(some_boxes, some_boxes, st.randoms())
@settings(deadline=None)  # the first call imports scipy
def test_iou_rewards_are_a_share_and_ignore_order(reward: Reward, predicted: list, annotated: list, rng: Any) -> None:
    share = reward(predicted, annotated)
    assert share is not None
    assert 0 <= share <= 1
    shuffled = rng.sample(predicted, len(predicted)), rng.sample(annotated, len(annotated))
    assert reward(*shuffled) == pytest.approx(share)


@pytest.mark.slow
@pytest.mark.parametrize("reward", [iou_reward, *VARIANTS])
@given(st.lists(float_boxes, max_size=4), st.lists(float_boxes, max_size=4))
@settings(deadline=None)
def test_iou_rewards_are_a_share_of_any_area(reward: Reward, predicted: list, annotated: list) -> None:
    with warnings.catch_warnings(action="error"):
        assert 0 <= reward(predicted, annotated) <= 1 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("reward", [iou_reward, *VARIANTS])
@given(st.lists(boxes, min_size=1, max_size=6), st.randoms())
@settings(deadline=None)
def test_the_annotation_itself_earns_one_in_any_order(reward: Reward, annotated: list, rng: Any) -> None:
    assert reward(rng.sample(annotated, len(annotated)), annotated) == pytest.approx(1)


@given(some_boxes, some_boxes)
def test_without_repetitions_unique_is_eq_2(predicted: list, annotated: list) -> None:
    assume(all(iou(a, b) < 0.9 for index, a in enumerate(predicted) for b in predicted[:index]))
    assert iou_unique_reward(predicted, annotated) == iou_reward(predicted, annotated)


@given(some_boxes, some_boxes, st.lists(st.integers(0, 5), max_size=5))
def test_repetitions_leave_unique_as_it_is(predicted: list, annotated: list, repeated: list[int]) -> None:
    more = [*predicted, *(predicted[index] for index in repeated if index < len(predicted))]
    assert iou_unique_reward(more, annotated) == iou_unique_reward(predicted, annotated)


@given(st.lists(boxes, min_size=1, max_size=6), some_boxes)
@settings(deadline=None)
def test_a_repetition_never_raises_f1_where_it_marks_one_region(predicted: list, annotated: list) -> None:
    assume(sum(iou(predicted[0], truth) > 0 for truth in annotated) <= 1)
    before, after = (iou_f1_reward([*predicted, *more], annotated) for more in ([], predicted[:1]))
    assert after < before or after == before == 0


@given(st.lists(boxes, min_size=1, max_size=6), st.lists(boxes, min_size=1, max_size=6))
def test_union_equals_that_of_exact_polygons(predicted: list, annotated: list) -> None:
    p, q = (shapely.unary_union([shapely.box(*box) for box in side]) for side in (predicted, annotated))
    assert iou_union_reward(predicted, annotated) == pytest.approx(p.intersection(q).area / p.union(q).area)


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("the cat", "the cat", 1.0),
        ("cat", "cat", 1.0),  # effective order: a single word has no bigram
        ("the cat sat", "the cat sat on the mat", math.exp(-1)),  # all right but short: exp(1 - 6 / 3)
        ("cat the", "the cat", math.sqrt(0.5)),  # words 2/2; bigrams 0/1, smoothed to 1 / (2 * 1)
        (
            "the the the",
            "the cat",
            math.sqrt(1 / 3 * 1 / 4),
        ),  # words 1/3, clipped; bigrams 0/2, smoothed to 1 / (2 * 2)
        ("the cat sat here", "the cat sat", math.sqrt(3 / 4 * 2 / 3)),  # words 3/4, bigrams 2/3, long enough
        ("It melts.", "It melts .", 1.0),  # 13a parts punctuation from words
        ("It melts", "it melts", 0.5),  # case counts: words 1/2; bigrams 0/1, smoothed to 1 / (2 * 1)
        ("dog", "cat", 0.0),
        ("", "the cat", 0.0),
        ("the cat", "", 0.0),
    ],
)
def test_bleu_follows_hand_arithmetic(candidate: str, reference: str, expected: float) -> None:
    assert bleu(candidate, reference) == pytest.approx(expected)


words = st.lists(
    st.sampled_from(["the", "sign", "hand", "melts", ".", ",", "It's", "<image>", "ü", "12.5"]), max_size=12
).map(" ".join)


@given(words | st.text(), words | st.text(), st.integers(1, 4))
def test_bleu_is_sacrebleus_own_number_and_a_share(candidate: str, reference: str, order: int) -> None:
    score = BLEU(max_ngram_order=order, effective_order=True).sentence_score(candidate, [reference]).score
    assert bleu(candidate, reference, order) == pytest.approx(score / 100)
    assert 0 <= bleu(candidate, reference, order) <= 1


@given(words | st.text(), st.integers(1, 2))
def test_a_text_that_has_a_token_is_its_own_best_match(text: str, order: int) -> None:
    assume(Tokenizer13a()(text.rstrip()).split())
    assert bleu(text, text, order) == 1.0


@pytest.mark.parametrize("text", ["", " ", "\n", "<skipped>"])
def test_a_text_that_tokenises_to_nothing_matches_nothing(text: str) -> None:
    assert bleu(text, text) == 0.0


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("the cat", "the cat", 1.0),
        ("police kill the gunman", "police killed the gunman", 0.75),  # Lin 2004: LCS 3 of 4 and 4
        ("the gunman kill police", "police killed the gunman", 0.5),  # Lin 2004: "the gunman", LCS 2 of 4 and 4
        ("the cat sat", "the cat sat on the mat", 2 / 3),  # LCS 3: P 3/3, R 3/6, F 2 * 1/2 / (3/2)
        ("the cat sat on the mat", "the cat sat", 2 / 3),  # P 3/6, R 3/3: F favours neither side
        ("a sign on a wall melts", "a wall sign melts", 0.6),  # "a sign melts", LCS 3: P 3/6, R 3/4, F 3/4 / (5/4)
        ("the the the", "the cat", 0.4),  # LCS 1, a word matches once: P 1/3, R 1/2, F 1/3 / (5/6)
        ("b c.\na.", "a.\nb c.", 2 / 3),  # "b c", LCS 2 of 3 and 3: a text is one sequence, not one a line or sentence
        ("It MELTS!", "it melts", 1.0),  # neither case nor punctuation counts
        ("it's", "its", 0.0),  # "it s": an apostrophe parts words
        ("it melted", "it melts", 0.5),  # no stemming: LCS 1 of 2 and 2
        ("a café", "a caf", 1.0),  # letters outside a to z part words as well
        ("dog", "cat", 0.0),
        ("", "the cat", 0.0),
        ("the cat", "", 0.0),
        ("...", "...", 0.0),  # no word at all
        ("手", "手", 0.0),
    ],
)
def test_rouge_l_follows_hand_arithmetic(candidate: str, reference: str, expected: float) -> None:
    assert rouge_l(candidate, reference) == pytest.approx(expected)
    assert isinstance(rouge_l(candidate, reference), float)


@settings(deadline=None)  # the first call imports rouge-score
@given(words | st.text(), words | st.text())
def test_rouge_l_is_a_share_and_favours_neither_side(candidate: str, reference: str) -> None:
    score = rouge_l(candidate, reference)
    assert 0 <= score <= 1
    assert rouge_l(reference, candidate) == pytest.approx(score)
    assert rouge_l(candidate + " end", candidate + " end") == 1.0


def test_tags_and_boxes_do_not_count_as_words() -> None:
    text = '<explanation>The sign melts.</explanation><regions>[{"bbox_2d": [1, 2, 3, 4]}]</regions>'
    assert bleu_reward(parse_reply(text), "The sign melts.") == 1.0
    assert bleu_reward(parse_reply("The sign melts. [1, 2, 3, 4]"), "The sign melts.") == 1.0


@pytest.mark.parametrize(("reference", "expected"), [(None, None), ("", None), ("The sign melts.", 0.0)])
def test_no_reference_is_not_the_same_as_no_explanation(reference: str | None, expected: float | None) -> None:
    assert bleu_reward(Reply("real"), reference) == expected


def test_the_signature_says_how_scores_are_made() -> None:
    text = signature()
    assert text.startswith("bleu2:")
    sacrebleus = f"version:{sacrebleu.__version__}"
    for part in (
        "tok:13a",
        "case:mixed",
        "smooth:exp",
        "eff:yes",
        "nrefs:1",
        sacrebleus,
        f"rougeL:[rouge-score:{version('rouge-score')}|stem:no]",
        "iou:eq2",
        f"zoomin:{version('swift-zoomin')}",
    ):
        assert part in text
    assert text == signature()
