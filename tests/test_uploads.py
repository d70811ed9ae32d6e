"""What the page's uploads may take, of one sender, of all and of the disk."""

from pathlib import Path

import pytest

from serving.inputs import senders
from serving.ocr import uploads
from serving.ocr.uploads import Uploads
from serving.problems import Refusal
from tests.people import Clock

ADA, EVE = "user ada", "address 192.0.2.1"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Uploads, Clock]:
    """At most 10 bytes of one sender, and 25 of all."""
    monkeypatch.setattr(uploads, "OWN_MB", 1e-5)
    monkeypatch.setattr(uploads, "ALL_MB", 2.5e-5)
    monkeypatch.setattr(uploads, "FREE_MB", 0)
    return Uploads(tmp_path, 3600, clock := Clock()), clock


def stored(limits: Uploads, sender: str, size: int) -> None:
    limits.admit(sender, size)
    (limits.folder / f"{len(list(limits.folder.iterdir()))}.png").write_bytes(bytes(size))


def refused(limits: Uploads, sender: str, size: int) -> int:
    with pytest.raises(Refusal) as caught:
        limits.admit(sender, size)
    return caught.value.status


def test_one_sender_has_a_share_until_its_files_are_deleted(own: tuple[Uploads, Clock]) -> None:
    limits, clock = own
    stored(limits, EVE, 6)
    assert refused(limits, EVE, 5) == 429
    stored(limits, EVE, 4)
    stored(limits, ADA, 10)
    clock.now += 3600
    limits.admit(EVE, 5)


def test_all_together_have_a_bound_whoever_sends_and_whichever_process_counted(own: tuple[Uploads, Clock]) -> None:
    limits, clock = own
    for number in range(5):
        stored(limits, f"address 192.0.2.{number}", 5)
    assert refused(limits, ADA, 1) == 507
    with pytest.raises(Refusal):
        Uploads(limits.folder, 3600, clock).check(1)
    for path in limits.folder.iterdir():
        path.unlink()
    clock.now += uploads.FRESH
    limits.admit(ADA, 1)


def test_some_of_the_disk_is_left_alone(own: tuple[Uploads, Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "FREE_MB", 10**12)
    with pytest.raises(Refusal, match="would be free on the disk") as caught:
        own[0].admit(ADA, 1)
    assert caught.value.status == 507


SENDERS = {
    "user ada": {"state": {"user": "ada"}, "client": ("192.0.2.1", 1)},
    "address 192.0.2.1": {"state": {}, "client": ("192.0.2.1", 1)},
    "address 2001:db8:1:2::/64": {"client": ("2001:db8:1:2:3::4", 1)},
    "address unknown": {"client": None},
}


@pytest.mark.parametrize(("name", "scope"), SENDERS.items())
def test_a_sender_is_a_user_or_an_address(name: str, scope: dict[str, object]) -> None:
    assert senders.of(scope) == name
