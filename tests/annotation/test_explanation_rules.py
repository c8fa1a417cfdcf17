"""Which explanations pass, and which lean on having been told, are in another language or decline."""

import pytest
from scripted_dialogue import EXPLANATION

from swift_zoomin.annotation.answers import is_refusal
from swift_zoomin.annotation.explanations import plain_text
from swift_zoomin.annotation.language import is_english
from swift_zoomin.annotation.leaning import leaning_phrase

LEANING = [
    "As stated, the image is generated.",
    "As previously stated, this is a real photograph.",
    "As you mentioned, the picture is fake.",
    "As indicated, the photo is synthetic.",
    "As it was stated, the image is real.",
    "as stated in the prompt, the picture is real",
    "as mentioned in your question, the picture is real",
    "This is real, as indicated by the label.",
    "It is fake, as specified in the given task.",
    "This agrees with the given label.",
    "Consistent with its provided classification, the fur is flawless.",
    "The correct answer is generated.",
    "It agrees with the correct answer, and the hand is wrong.",
    "The label of generated fits the picture.",
    'The image is labelled as "generated".',
    "The photo was labeled AI-generated.",
    "It is known to be real.",
    "Since it has been marked as synthetic, the hand is suspicious.",
    "You told me that the picture is real.",
    "The picture that you've described is fake.",
    "I was told that this is a real photo.",
    "I have been informed of the origin.",
    "Given that this image is AI-generated, the hand is wrong.",
    "Knowing it is real, the noise is natural.",
    "Given the image is an AI image, the hand is wrong.",
    "According to the prompt, the picture is fake.",
    "Based on your question, the picture must be real.",
    "The information provided says that it is real.",
    "This matches the ground truth.",
    "The hand is\nwrong, as\nstated.",
]
NOT_LEANING = [
    "The label on the bottle is smeared, and its letters melt.",
    "The light comes from the left, as indicated by the shadows.",
    "As noted above, the fingers merge.",
    "As mentioned earlier, the sign is garbled.",
    "As noted, the fingers merge, and as described the cup floats.",
    "The given perspective does not fit the horizon.",
    "The price, as stated on the sign, is a garbled 4.",
    "The bottle is labelled as mayonnaise.",
    "A jar labelled 'Real Mayonnaise' has crisp letters.",
    "The label is artificial in its sharpness.",
    "The label provided by the maker is crisp.",
    "The scene is given real depth by the soft background.",
    "You can tell the texture apart at the edge.",
    "The information on the board is legible.",
    "I was able to follow the cable through the picture.",
    'The sign reads "as stated" in crisp letters.',
    "The known laws of optics are broken by this reflection.",
    "Given the direction of the light, the shadow is wrong.",
    "Considering that the lamp is lit, the wall is too dark.",
    "The correct number of fingers, natural noise and wear speak for a camera.",
    "The image is real in every respect: the noise is natural.",
    "The question mark on the sign is well formed.",
    "The correct answer on the blackboard is written in even chalk strokes.",
    "The given information in the table on the poster is garbled.",
]


@pytest.mark.parametrize("text", LEANING)
def test_leaning_on_having_been_told_is_seen(text: str) -> None:
    assert leaning_phrase(text)


@pytest.mark.parametrize("text", [*NOT_LEANING, EXPLANATION])
def test_speaking_of_the_picture_or_of_the_text_itself_is_no_leaning(text: str) -> None:
    assert not leaning_phrase(text)


ENGLISH = [
    EXPLANATION,
    "Six fingers, garbled letters, floating cup.",  # telegraph style
    "The sign says 营业中 and the shop next to it is called La Maison de la Presse.",
    "The crème brûlée on the table casts no shadow, while the café's chairs do.",
    "A street in Köln, with the words 'Der Weg ist das Ziel' painted on the wall in crisp letters of even height.",
]
OTHER_LANGUAGES = [
    "Die Hand hat sechs Finger und der Schatten ist falsch.",
    "La main de gauche a six doigts et les lettres sur le panneau sont illisibles.",
    "La mano izquierda tiene seis dedos y las letras del cartel son ilegibles.",
    "La mano sinistra ha sei dita e le lettere sono illeggibili, che non è naturale nel mondo reale della fotografia.",
    "De hand heeft zes vingers en het bord is niet te lezen.",
    "A mão esquerda tem seis dedos e as letras não são legíveis, com uma sombra errada.",
    "Handen har sex fingrar och bokstäverna på skylten är oläsliga.",
    "Lewa ręka ma sześć palców, a cień nie jest zgodny ze światłem.",
    "У левой руки шесть пальцев, а буквы на вывеске сливаются.",
    "左手有六根手指，招牌上的字母互相融合。",
    "左手には指が六本あり、看板の文字は溶け合っています。",
    "왼손에는 손가락이 여섯 개 있고 간판의 글자가 서로 녹아 있습니다.",
    "اليد اليسرى لها ستة أصابع والحروف على اللافتة غير مقروءة",
    # A language of which no word is listed, seen by its length.
    "Vasemmassa kädessä on kuusi sormea ja kyltin kirjaimet sulavat toisiinsa. Varjot lankeavat väärään suuntaan, eikä "
    "heijastus ikkunassa vastaa huonetta lainkaan, mikä viittaa siihen, että kuva on keinotekoinen.",
]


@pytest.mark.parametrize("text", ENGLISH)
def test_english_with_foreign_names_and_signs_passes(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_another_language_is_seen(text: str) -> None:
    assert not is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, I can’t help with identifying people.",
        "Sorry, this is beyond what I do.",
        "I cannot provide an analysis of this image.",
        "I can't view images.",
        "I'm unable to analyze the picture.",
        "As an AI, I have no eyes.",
        "Unfortunately, I do not see a picture.",
        "I apologize, but no.",
        "I won't continue with this request.",
        "I cannot see this image, so I can give no reasons.",
        "I can't process any pictures.",
        "I'm not able to see a picture.",
        "Unfortunately, I can't see anything here.",
        "Unfortunately, I am not allowed to describe people.",
    ],
)
def test_declining_is_seen(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        EXPLANATION,
        "I cannot find one straight line in the window frame.",
        "The face looks sorry and the hands are fused.",
        "The sign reads 'Sorry, we are closed' in even letters.",
        "The viewer cannot see the feet, which end in mist.",
        "Looking at the wall, we cannot see any seams between its panels.",
        "I cannot see a single straight line that bends near the frame.",
        "I'm unable to find a single seam in the wall.",
        "Unfortunately, I can see that the hand has six fingers.",
        "I cannot see the image of the lamp in the mirror, where it ought to be.",
    ],
)
def test_a_report_that_begins_like_a_refusal_is_none(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("```\nThe hand.\n```", "The hand."),
        ("```text\nThe hand.\n```", "The hand."),
        ("<explanation>The hand.</explanation>", "The hand."),
        ("## Anatomy ##\nThe hand.", "Anatomy:\nThe hand."),
        ("# What is wrong?\nThe hand.", "What is wrong?\nThe hand."),
        ("**Hand:** six fingers", "Hand: six fingers"),
        ("1. The hand.\n2) The sign.\n- The cup.", "The hand.\nThe sign.\nThe cup."),
        ("The hand.\r\n\r\n---\r\nThe sign.  ", "The hand.\nThe sign."),
        ("The \x00hand\x1b.", "The hand."),
        ("# Forensic Examination Report\n\nThe hand.", "The hand."),
        ("**Report**\nThe hand.", "The hand."),
        ("Sure! Here's why the image looks generated:\nThe hand.", "The hand."),
        ("Here is the analysis:\n\n## Anatomy\nThe hand.", "Anatomy:\nThe hand."),
        (
            "The analysis of the hand shows six fingers.\nThe sign.",
            "The analysis of the hand shows six fingers.\nThe sign.",
        ),
        ("5 * 3 ** 2 is painted on the wall", "5 * 3 ** 2 is painted on the wall"),
    ],
)
def test_markup_around_prose_is_taken_off(text: str, plain: str) -> None:
    assert plain_text(text) == plain
    assert plain_text(plain) == plain
