"""Random texts of receipts: amounts, dates, times, codes, telephone numbers, addresses, names, items; and any characters."""

from collections.abc import Callable

import numpy as np

from pipelines.families.ocr.parts import words

LONGEST = 50  # characters
ALPHABET = "".join(map(chr, range(32, 127)))
DIGITS, CAPITALS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvwyz"
CURRENCY = ("", "", "", "", "RM", "RM ", "$", "MYR ", "USD ", "S$", "EUR ", "-", "RM-", "@", "x")

Random = np.random.Generator


def text(random: Random) -> str:
    """A line of 1 to 50 characters of ALPHABET, without spaces at its ends or twice."""
    kind = KINDS[int(random.choice(len(KINDS), p=SHARES))]
    found = " ".join(_cased(kind(random), random).split())[:LONGEST].strip()
    return _cut(found, random) if found else text(random)


def letters(random: Random) -> str:
    """A line of words with few signs, 8 characters or more."""
    return _cased(_name(random) + " " + _words(random, 1, 3), random)[:LONGEST].strip()


def _cut(found: str, random: Random) -> str:
    """One text of twenty is cut, as by a box that is too small."""
    if len(found) < 4 or random.random() > 0.05:
        return found
    start = int(random.integers(0, len(found) - 2))
    return found[start : start + int(random.integers(1, 20))].strip() or found


def _cased(found: str, random: Random) -> str:
    draw = random.random()
    return found.upper() if draw < 0.55 else found.title() if draw < 0.78 else found if draw < 0.93 else found.capitalize()


def _pick(random: Random, words: list[str]) -> str:
    return words[int(random.integers(len(words)))]


def _digits(random: Random, low: int, high: int) -> str:
    """`low` to `high` - 1 digits."""
    return _of(random, DIGITS, low, high)


def _of(random: Random, characters: str, low: int, high: int) -> str:
    return "".join(characters[row] for row in random.integers(0, len(characters), int(random.integers(low, high))))


def _amount(random: Random) -> str:
    whole = int(10 ** random.uniform(0, 3.6)) - int(random.random() < 0.15)
    cents = f"{int(random.integers(0, 100)):02}"
    number = f"{whole:,}.{cents}" if random.random() < 0.8 else f"{whole}.{cents}0" if random.random() < 0.15 else f"{whole}.{cents}"
    return CURRENCY[int(random.integers(len(CURRENCY)))] + number + _tail(random)


def _tail(random: Random) -> str:
    draw = random.random()
    return " SR" if draw < 0.06 else "SR" if draw < 0.08 else "-" if draw < 0.1 else " T" if draw < 0.12 else " ZRL" if draw < 0.13 else ""


def _number(random: Random) -> str:
    draw = random.random()
    if draw < 0.3:
        return _digits(random, 1, 4)
    return f"{_digits(random, 1, 3)}%" if draw < 0.5 else f"({_digits(random, 1, 3)}%)" if draw < 0.55 else _digits(random, 4, 14)


def _date(random: Random) -> str:
    day, month, year = int(random.integers(1, 32)), int(random.integers(1, 13)), int(random.integers(2008, 2027))
    short = f"{year % 100:02}" if random.random() < 0.4 else str(year)
    mark = "/-./-"[int(random.integers(5))]
    if random.random() < 0.15:
        return f"{day}{mark if random.random() < 0.3 else ' '}{_pick(random, words.MONTHS)} {year}"
    first, second = (f"{day:02}", f"{month:02}") if random.random() < 0.8 else (str(month), str(day))
    return mark.join([first, second, short] if random.random() < 0.92 else [str(year), f"{month:02}", f"{day:02}"])


def _time(random: Random) -> str:
    hour, minute, second = (int(random.integers(top)) for top in (24, 60, 60))
    found = f"{hour:02}:{minute:02}" if random.random() < 0.5 else f"{hour:02}:{minute:02}:{second:02}"
    if random.random() < 0.35:
        half = ("AM", " AM", "PM", " PM", "pm", " am")[int(random.integers(6))]
        return f"{hour % 12 or 12}{found[2:]}{half}"
    return found


def _moment(random: Random) -> str:
    day = f"{_pick(random, words.DAYS)}, " if random.random() < 0.08 else ""
    return f"{day}{_date(random)} {_time(random)}"


def _code(random: Random) -> str:
    """Letters and digits of invoices, machines and goods."""
    draw = random.random()
    if draw < 0.3:
        return _of(random, CAPITALS, 1, 4) + _digits(random, 3, 11)
    if draw < 0.55:
        return f"{_of(random, CAPITALS, 1, 4)}-{_of(random, CAPITALS + DIGITS, 1, 4)}-{_digits(random, 3, 8)}"
    if draw < 0.7:
        return f"{_digits(random, 4, 8)}-{_of(random, CAPITALS, 1, 2)}"
    return (
        _of(random, CAPITALS + DIGITS * 3, 3, 14)
        if draw < 0.85
        else f"{_digits(random, 1, 5)}/{_digits(random, 2, 5)}/{_digits(random, 3, 7)}"
    )


def _telephone(random: Random) -> str:
    draw = random.random()
    start = ("03", "07", "012", "016", "019", "04", "+603", "+60", "603", "1800")[int(random.integers(10))]
    if draw < 0.6:
        return f"{start}-{_digits(random, 7, 9)}"
    return (
        f"{start}-{_digits(random, 3, 5)} {_digits(random, 4, 5)}"
        if draw < 0.85
        else f"({start}) {_digits(random, 4, 5)} {_digits(random, 4, 5)}"
    )


def _registration(random: Random) -> str:
    opened = ("(", "(co. reg : ", "(company no : ", "(co. no. ", "(gst id : ", "co-reg:", "")[int(random.integers(7))]
    return f"{opened}{_digits(random, 5, 13)}-{_of(random, CAPITALS, 1, 2)}{')' if opened[:1] == '(' else ''}"


def _address(random: Random) -> str:
    number = f"{_digits(random, 1, 4)}{_of(random, '-,&/ABG', 0, 2)}{_digits(random, 0, 3)}"
    house = f"{_digits(random, 0, 3)}{_of(random, '/ ', 0, 2)}{_digits(random, 0, 2)}"
    street = f"{_pick(random, words.STREETS)} {_words(random, 1, 3)} {house}".strip()
    found = f"{'no.' if random.random() < 0.4 else ''}{number},{' ' if random.random() < 0.7 else ''}{street}"
    return found + (("", ",", ".")[int(random.integers(3))])


def _town(random: Random) -> str:
    post = f"{_digits(random, 5, 6)} " if random.random() < 0.7 else ""
    more = f", {_pick(random, words.TOWNS)}" if random.random() < 0.5 else ""
    return f"{post}{_pick(random, words.TOWNS)}{more}{('', ',', '.')[int(random.integers(3))]}"


def _words(random: Random, low: int, high: int) -> str:
    """`low` to `high` - 1 words, some of them random syllables."""
    return " ".join(
        _pick(random, words.WORDS) if random.random() < 0.72 else _syllables(random) for _ in range(int(random.integers(low, high)))
    )


def _syllables(random: Random) -> str:
    found = "".join(
        _of(random, CONSONANTS, 1, 2) + _of(random, VOWELS, 1, 2) + _of(random, CONSONANTS, 0, 2) for _ in range(int(random.integers(1, 4)))
    )
    return found if random.random() < 0.8 else _of(random, CAPITALS.lower(), 2, 8)


def _name(random: Random) -> str:
    return " ".join(_pick(random, words.NAMES) for _ in range(int(random.integers(2, 4))))


def _shop(random: Random) -> str:
    return f"{_words(random, 1, 4)} {_pick(random, words.ENDINGS)}"


def _item(random: Random) -> str:
    size = f" {_digits(random, 1, 4)}{_pick(random, words.UNITS)}" if random.random() < 0.35 else ""
    sold = f" {_digits(random, 1, 3)} {'xX@*'[int(random.integers(4))]} {_amount(random)}" if random.random() < 0.15 else ""
    code = f"{_digits(random, 1, 7)} " if random.random() < 0.15 else ""
    return f"{code}{_words(random, 1, 5)}{size}{sold}"


def _headed(random: Random) -> str:
    mark = (":", " :", ": ", " : ", "", ".", "#", " #", " ", "=")[int(random.integers(10))]
    value = VALUES[int(random.integers(len(VALUES)))](random) if random.random() < 0.55 else ""
    return f"{_pick(random, words.HEADS)}{mark}{' ' if random.random() < 0.3 else ''}{value}"


def _phrase(random: Random) -> str:
    found = _pick(random, words.PHRASES)
    mark = ("*", "**", "***", "-", "--", "=", "~", "(", "[", "<")[int(random.integers(10))]
    closed = mark.translate(str.maketrans("([<", ")]>"))
    return f"{mark}{found}{closed}" if random.random() < 0.2 else found + ("", "", ".", "!", " !")[int(random.integers(5))]


def _address_of_web(random: Random) -> str:
    host = f"{_syllables(random)}{_pick(random, words.WORDS)}"
    end = (".com", ".com.my", ".net", ".org", ".my", ".co.uk")[int(random.integers(6))]
    draw = random.random()
    return f"www.{host}{end}" if draw < 0.4 else f"http://www.{host}{end}" if draw < 0.6 else f"{_syllables(random)}@{host}{end}"


def _any(random: Random) -> str:
    """Any characters, the rare ones too."""
    return _of(random, ALPHABET, 1, 16)


def _single(random: Random) -> str:
    return _of(random, CAPITALS + DIGITS * 2 + "$%#&*:x@", 1, 3)


def _marked(random: Random) -> str:
    """A row of the same sign after a word, or numbers in brackets and quotes."""
    if random.random() < 0.4:
        return f"{_pick(random, words.HEADS)}{'.-*=_'[int(random.integers(5))] * int(random.integers(3, 16))}"
    left, right = ("[]", "()", "<>", "{}", '""', "''", "##", "**", "||", "//")[int(random.integers(10))]
    return f"{left}{VALUES[int(random.integers(len(VALUES)))](random)}{right} {_words(random, 0, 3)}"


Kind = Callable[[Random], str]
VALUES: tuple[Kind, ...] = (_amount, _amount, _amount, _number, _number, _date, _time, _moment, _code, _telephone)
CHOICES: dict[Kind, float] = {
    _amount: 0.19, _headed: 0.17, _item: 0.13, _moment: 0.05, _date: 0.04, _time: 0.03, _number: 0.05, _code: 0.07, _telephone: 0.03,
    _registration: 0.03, _address: 0.04, _town: 0.03, _shop: 0.04, _name: 0.01, _phrase: 0.03, _address_of_web: 0.01, _any: 0.03,
    _single: 0.01,    _marked: 0.02,
}  # fmt: skip
KINDS = tuple(CHOICES)
SHARES = np.array(list(CHOICES.values())) / sum(CHOICES.values())
