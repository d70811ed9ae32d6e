"""The parts of the test suite for several machines."""

import pytest

from tests import tiers


def test_every_file_is_in_one_part_and_the_longest_begins_one() -> None:
    files = [path.name for path in tiers.TIMES.parents[1].glob("tests/test_*.py")]
    parts = tiers.shards((f"tests/{name}" for name in files), 4)
    assert sorted(file for part in parts for file in part) == sorted(f"tests/{name}" for name in files)
    assert tiers.shards({"tests/a.py", "tests/b.py", "tests/test_repro_torch.py"}, 2) == [
        {"tests/test_repro_torch.py"},
        {"tests/a.py", "tests/b.py"},
    ]


@pytest.mark.parametrize("words", ["5/4", "0/4", "1/0", "half"])
def test_a_part_that_there_is_not_is_refused(words: str) -> None:
    with pytest.raises(pytest.UsageError, match=f"--shard {words} is no part"):
        tiers._shard(words, set())
