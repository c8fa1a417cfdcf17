"""Whether a text passes for English, by its script and by which languages' common words it holds.

Meant for prose of a few sentences, so that a data set does not become bilingual by accident. Not covered: English mixed
with less than as much of another language, and short texts of languages that are not listed (Finnish, Hungarian,
Vietnamese, ...); a longer text of any language is seen by its lack of English words.
"""

import re
import unicodedata

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

# Common words that are rare in the other languages here, or none of theirs.
_COMMON_WORDS = {
    "English": "the and with that this which from are its has have there these those their of to while but is by it "
    "not or as for would where both each than",
    "German": "der und ist nicht mit ein eine auf das dem den sind wie sich",
    "French": "les des est une dans qui pour avec sont cette sur du aux",
    "Spanish": "el los las una del por como esta son sus y",
    "Italian": "il che di della sono nel gli alla questa",
    "Dutch": "het een van niet zijn deze voor met wordt",
    "Portuguese": "um uma não dos das são com nos pela",
    "Danish, Norwegian, Swedish": "och att som är av på det en og til ikke",
    "Polish": "nie jest się oraz",
    "Turkish": "bir ve bu için",
}
_ENGLISH = set(_COMMON_WORDS["English"].split())
_OTHER = {word for language, words in _COMMON_WORDS.items() if language != "English" for word in words.split()}
_MOST_FOREIGN_LETTERS = 0.2  # a share: names and quoted signs stay below it
_LONG_TEXT_WORDS = 20
_LEAST_ENGLISH = 0.03  # of a longer text's words; in English prose it is over 0.2, in telegraph style over 0.05


def is_english(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    beyond_ascii = [letter for letter in letters if not letter.isascii()]
    foreign_letters = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in beyond_ascii)
    if foreign_letters > _MOST_FOREIGN_LETTERS * len(letters):
        return False
    words = [word.lower() for word in WORD.findall(text)]
    english = sum(word in _ENGLISH for word in words)
    other = sum(word in _OTHER for word in words)
    if other > english:
        return False
    return len(words) < _LONG_TEXT_WORDS or english >= _LEAST_ENGLISH * len(words)
