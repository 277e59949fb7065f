r"""Reading answers out of text: the explicit answer, a number, plain words.

Nothing here parses mathematics (see `expressions.py`); the text is bounded by `MAX_RESPONSE_CHARACTERS`, so nothing
here takes long.
"""

import re
from fractions import Fraction

# Only the end of a response is read. 1,024 new tokens are about 5,000 characters, so nothing real is cut, and neither
# a pipe nor a regular expression ever sees a megabyte.
MAX_RESPONSE_CHARACTERS = 16_384
# What a parser sees: the end of a free text, or an explicit answer (a longer one is not an answer to anything).
MAX_PARSED_CHARACTERS = 2_000

_TAGGED = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_FIRST_BOX = re.compile(r"(?<!\\)\\+(?:boxed|fbox)\s*\{")
_BOX_TOKEN = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)

_SEPARATOR = r"(?:,|\{,\}|\\,|,\\!)"
_DIGITS = rf"(?:\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""(?:(?<![\w.)}}\]])(?P<sign>[-+\u2212]))?      # a sign, not the minus of a subtraction
    (?:\\?\$)?(?<![A-Za-z_\d.])
    (?P<value>{_DIGITS}(?:\.\d+)?|\.\d+)
    (?:(?:[eE]|\s*(?:\\times|\\cdot|[x\u00d7*])\s*10\s*\^\s*)\{{?(?P<exponent>[-+]?\d{{1,3}})(?!\d)\}}?)?
    (?:\s*/\s*(?P<denominator>{_DIGITS}))?""",
    re.VERBOSE,
)
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*(-?\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))")

STYLING = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_STATED = re.compile(r"answer(?:\s+is)?\b\s*:?((?:(?!answer).)+)\Z", re.IGNORECASE)


def extract_answer(response: str) -> str | None:
    r"""The answer the response states explicitly.

    Args:
        response: what the model wrote; only its last `MAX_RESPONSE_CHARACTERS` are read.

    Returns:
        The content of the last `<answer>…</answer>` (of a box inside it, if there is one), else of the last balanced
        `\boxed{…}` or `\fbox{…}`, stripped; None when there is neither.
    """
    text = response[-MAX_RESPONSE_CHARACTERS:]
    tagged = _TAGGED.findall(text) if "</" in text else []  # the pattern is slow where there is nothing to find
    if not tagged:
        return _last_box(text)
    boxed = _last_box(tagged[-1])
    return tagged[-1].strip() if boxed is None else boxed


def _last_box(text: str) -> str | None:
    """The content of the box that closes last, found in one pass; escaped braces do not count."""
    first = _FIRST_BOX.search(text)
    if first is None:
        return None
    content = None
    starts: list[int | None] = []
    for token in _BOX_TOKEN.finditer(text, first.start()):
        if token["box"]:
            starts.append(token.end())
        elif token["open"]:
            starts.append(None)
        elif token["close"] and starts and (start := starts.pop()) is not None:
            content = text[start : token.start()].strip()
    return content


def fold_text(text: str) -> str:
    r"""Words as they are compared: `\text{…}` unwrapped, white space folded, case ignored."""
    return " ".join(STYLING.sub(r"\1", text).split()).casefold()


def is_words(gold: str) -> bool:
    r"""Whether a gold answer is text and nothing else: `\text{Evelyn}`, `\text{June 20}`, `\text{(C)}`."""
    styled = STYLING.fullmatch(gold.strip())
    return styled is not None and any(character.isalpha() for character in styled[1])


def fold_words(text: str) -> str:
    r"""`fold_text` without punctuation: `\text{(C)}` and `c.` are the same words, and so are `A,D` and `A, D`."""
    return " ".join(re.findall(r"\w+", fold_text(text)))


def stated_words(response: str) -> str | None:
    """What follows the last "answer is" (or "answer:") of a response's last line, None when it does not say so."""
    stated = _STATED.search(response[-MAX_PARSED_CHARACTERS:])
    return stated[1] if stated else None


def read_number(text: str) -> Fraction | None:
    """The last number in a text, exactly.

    Thousands separators, currency and percent signs, scientific notation and fractions a/b are understood; signs of
    currency and percent are units and change nothing (`10%` is 10).

    Args:
        text: any text; only its last `MAX_PARSED_CHARACTERS` are read.
    """
    numbers = list(_NUMBER.finditer(_plain_fractions(text)))
    return _number_value(numbers[-1]) if numbers else None


def read_only_number(text: str) -> Fraction | None:
    """The number a text consists of, None when it says anything else beside it."""
    match = _NUMBER.fullmatch(_plain_fractions(text).strip().lstrip("$\\ ").rstrip("$%\\ ."))
    return None if match is None else _number_value(match)


def _plain_fractions(text: str) -> str:
    return _FRACTION.sub(lambda m: f"{m[1] or m[2]}/{m[3] or m[4]}", text[-MAX_PARSED_CHARACTERS:])


def _number_value(match: re.Match[str]) -> Fraction | None:
    """The value of a `_NUMBER` match; a division by zero has none."""
    value = Fraction(re.sub(_SEPARATOR, "", match["value"])) * Fraction(10) ** int(match["exponent"] or 0)
    denominator = int(re.sub(_SEPARATOR, "", match["denominator"] or "1"))
    if denominator == 0:
        return None
    return (-value if match["sign"] in ("-", "\u2212") else value) / denominator
