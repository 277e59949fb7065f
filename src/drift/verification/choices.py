"""Reading the option letter, A to J, that a text settles on."""

import re

from drift.verification.answers import STYLING

# A capital "A" (or "I") before a lower-case word is an article (or a pronoun), unless the word gives a reason.
_CAPITAL = r"[A-J](?![\w'\u2019])(?!(?<=[AI])\s+(?!because|since|as\b|and\b|or\b|is\b)[a-z])"
# After a cue a letter may be lower-case; "a" and "i" only where the clause ends.
_CUED = rf"(?P<letter>{_CAPITAL}|[b-hj](?![\w'\u2019])|[ai](?=[\s$*]*(?:[)\]}}.,;:\"]|\Z)))"
_LEADING = r"[\s*_$(\[{\"'\u3010\uff08]*"
_IS = r"(?:\s*(?i:is|was|would\s+be|must\s+be|should\s+be|\u662f|\u4e3a))?\s*[:\uff1a]?"
_NOUN = r"(?i:answer|option|choice|\u7b54\u6848|\u9009\u9879?)"
_VERB = r"(?i:\b(?:choose|pick|select|go\s+with|it\s+is|it['\u2019]s|must\s+be))\s+(?i:option\s+)?"
_PATTERNS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        rf"(?i:correct|right|best|final)\s+{_NOUN}{_IS}{_LEADING}{_CUED}",
        r"(?<![\w'\u2019])(?P<letter>[A-J])[)*\]]*\s+(?i:is|must\s+be)\s+(?i:the\s+)?(?i:correct|right|best)\b",
        rf"{_NOUN}{_IS}{_LEADING}{_CUED}",
        rf"{_VERB}{_LEADING}{_CUED}",
        r"[(\[\u3010\uff08](?P<letter>[A-J])[)\]\u3011\uff09]",
        r"^[\W_]*(?P<letter>[A-J])(?:[\W_]*$|[*_]*[.:)\uff1a](?!\w))",
        r"(?<![\w'\u2019])(?P<letter>[B-HJ])(?![\w'\u2019])",
        r"(?<![\w'\u2019])(?P<letter>[A-J])\W*\Z",
    )
)
_OPENING_LETTER = re.compile(r"[\s$*_(\[{]*(?P<letter>[A-Ja-j])(?:[\s$*_)\]}.:]*\Z|[\s*_]*[)\].:])")
# "A or B" settles on nothing; in an explicit answer neither does "A, B".
_SEVERAL = r"(?<![\w'\u2019])[A-Ja-j](?:[\s)*_$\]}]*(?:\b(?i:and|or)\b|[/&%s])[\s(*_$\[{]*[A-Ja-j](?![\w'\u2019]))+"
_HEDGE = re.compile(_SEVERAL % "")
_EXPLICIT_HEDGE = re.compile(_SEVERAL % ",")


def read_choice(text: str, explicit: bool) -> str | None:
    """The option letter (A to J) a text settles on.

    Args:
        text: an explicit answer or a whole response.
        explicit: whether it is an explicit answer, which may open with a lower-case letter.

    Returns:
        The upper-case letter, else None. The clearest statement wins ("correct answer is B", then "B is correct", then
        "answer is B" or "option B", "I choose B", "(B)", a line that is or starts with "B", a bare letter); of equally
        clear ones the last. One of several ("A or B") settles on none.
    """
    plain = STYLING.sub(r"\1", text).strip()
    if explicit and (opening := _OPENING_LETTER.match(plain)):
        return _unless_hedged(opening, plain, _EXPLICIT_HEDGE)
    for pattern in _PATTERNS:
        if matches := list(pattern.finditer(plain)):
            return _unless_hedged(matches[-1], plain, _EXPLICIT_HEDGE if explicit else _HEDGE)
    return None


def _unless_hedged(match: re.Match[str], text: str, hedge: re.Pattern[str]) -> str | None:
    """The letter of a match, None when it is one of several between which the text does not decide."""
    position = match.start("letter")
    is_hedged = any(several.start() <= position < several.end() for several in hedge.finditer(text))
    return None if is_hedged else match["letter"].upper()
