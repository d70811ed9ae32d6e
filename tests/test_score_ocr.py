"""What ocr is judged by, counted by hand; what its network's steps say; and what a training of it sees. No training framework."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.families.ocr import examples, score
from pipelines.families.ocr.parts import batches, ctc, edits
from pipelines.families.ocr.parts.distortion import distorted
from pipelines.families.ocr.picture import Convention

COUNTED = {  # text, what was read: edits and number of characters, edits and number of words, as they are compared
    "the same": ("TOTAL 1.00", "TOTAL 1.00", (0, 10, 0, 2)),
    "small letters and spaces": ("TOTAL  1.00", " total 1.00 ", (0, 10, 0, 2)),
    "one other character": ("TOTAL 1.00", "TOTAL 1.80", (1, 10, 1, 2)),
    "a space missed": ("TOTAL 1.00", "TOTAL1.00", (1, 10, 2, 2)),
    "nothing read": ("TOTAL 1.00", "", (10, 10, 2, 2)),
    "too much": ("A", "ABCD", (3, 1, 1, 1)),
    "words where nothing is": ("", "AB C", (4, 0, 2, 0)),
}


@pytest.mark.parametrize(("text", "said", "counts"), COUNTED.values(), ids=COUNTED)
def test_edits_are_those_counted_by_hand(text: str, said: str, counts: tuple[int, ...]) -> None:
    found = edits.counted([edits.plain(text)], [edits.plain(said)])
    assert tuple(int(values[0]) for values in found) == counts


def test_rates_are_of_all_lines_together() -> None:
    texts, said = zip(*[(text, read) for text, read, _ in COUNTED.values()], strict=True)
    found = score.metrics(score.compared(list(texts), list(said), np.linspace(0, 1, len(texts))))
    assert found["cer"] == pytest.approx((1 + 1 + 10 + 3 + 4) / (5 * 10 + 1))
    assert found["wer"] == pytest.approx((1 + 2 + 2 + 1 + 2) / (5 * 2 + 1))
    assert found["exact"] == pytest.approx(2 / 7)
    assert found["raw_exact"] == pytest.approx(1 / 7)
    assert found["raw_cer"] > found["cer"] > found["cer_low"]
    assert found[score.HEADLINE] == 1 - found["cer"]


def test_an_alignment_names_what_was_missed_and_added() -> None:
    assert edits.pairs("AB1", "AC12") == [("A", "A"), ("B", "C"), ("1", "1"), ("", "2")]
    assert ("B", "") in edits.pairs("AB", "A")
    assert edits.pairs("", "X") == [("", "X")]


PATHS = {  # characters step by step, "." for none: what they say
    "repeats are one": ("AAB.", "AB"),
    "a blank between makes two": ("A.AB", "AAB"),
    "spaces at the ends are dropped": (" A B ", "A B"),
    "nothing": ("....", ""),
    "spaces alone": (" .  ", ""),
}


def steps(path: str, sure: list[float]) -> np.ndarray:
    """Log-probabilities [1, steps, 1 + characters] whose likeliest path this is."""
    found = np.full((1, len(path), 1 + len(examples.ALPHABET)), np.log(1e-6))
    for step, (character, probability) in enumerate(zip(path, sure, strict=True)):
        found[0, step, 0 if character == "." else 1 + examples.ALPHABET.index(character)] = np.log(probability)
    return found.astype(np.float32)


@pytest.mark.parametrize(("path", "text"), PATHS.values(), ids=PATHS)
def test_the_best_path_is_read_as_ctc_has_it(path: str, text: str) -> None:
    reading = ctc.decoded(steps(path, [0.9] * len(path)), examples.ALPHABET)[0]
    assert reading.text == text
    assert reading.confidence == pytest.approx(0.9 if text else 0.0, abs=1e-6)


def test_confidence_is_the_geometric_mean_of_the_surest_steps() -> None:
    reading = ctc.decoded(steps("AAB", [0.5, 0.8, 0.2]), examples.ALPHABET)[0]
    assert reading.confidence == pytest.approx((0.8 * 0.2) ** 0.5)


def lines(count: int) -> list[batches.Line]:
    random = np.random.default_rng(0)
    return [batches.Line(np.full((32, 64 * int(random.integers(1, 6))), 255, np.uint8), str(number), True) for number in range(count)]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 255, 256, 257, 600])
def test_every_line_comes_out_once_in_full_batches(count: int) -> None:
    found = list(batches.batches(iter(lines(count)), 16, np.random.default_rng(1)))
    assert sorted(int(text) for batch in found for text in batch.texts) == list(range(count))
    assert len(found) == -(-count // 16)


def test_a_line_on_its_head_says_nothing() -> None:
    picture = np.full((32, 128), 255, np.uint8)
    picture[2:8, 4:60] = 0
    turned = batches.upside_down(batches.Line(picture, "TOTAL", True))
    assert turned.text == ""
    assert (turned.picture[24:30, :56] == 0).all()
    assert batches.is_oriented(batches.Line(picture, "TOTAL PAY", True))
    assert not batches.is_oriented(batches.Line(picture, "80.08 NOO1", True))


def test_distortion_keeps_both_ends_of_a_line() -> None:
    grey = np.full((40, 300), 255, np.uint8)
    grey[10:30, 3:9] = grey[10:30, -9:-3] = grey[10:30, 140:150] = 0
    random = np.random.default_rng(0)
    for _ in range(200):
        dark = (distorted(grey, random).astype(int) < 190).sum(0) >= 6
        groups = np.flatnonzero(np.diff(np.r_[0, dark.astype(int)]) == 1)
        assert len(groups) >= 3


def test_length_groups_are_those_of_the_card(tmp_path: Path) -> None:
    texts = ["A" * length for length in (1, 4, 5, 16, 17, 40)]
    rows = score.tables(None, None, score.compared(texts, texts, np.ones(len(texts))))["classes"]  # type: ignore[arg-type]
    assert [(row["class"], row["examples"]) for row in rows] == [
        ("1 to 4 characters", 2),
        ("5 to 8 characters", 1),
        ("9 to 16 characters", 1),
        ("17 to 32 characters", 1),
        ("33 and more characters", 1),
    ]


def test_a_square_convention_takes_all_of_the_line() -> None:
    square = Convention(height=64, widest=64, step=64, stretched=True)
    grey = np.full((20, 400), 230, np.uint8)
    grey[5:15, 380:395] = 10
    assert square.from_grey(grey).shape == (64, 64)
    assert (square.from_grey(grey)[:, 58:] < 128).any()
