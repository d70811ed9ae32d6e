"""A signed model: one signature for the store, the release and the model folder; whatever is altered, unsigned or another's is refused."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import configs, folders
from pipelines.ledger import lines as ledger
from pipelines.models import manifests
from pipelines.models import signing as models_signing
from pipelines.registry import promotion, reconcile, releases, signatures, store
from serving.live.champion import Champion
from tests.conftest import embedded_data, evaluate, tiny_model
from tests.test_registry import WORDS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two pairs of keys, digits-adam promoted with the first and released, and digits-sgd trained."""
    folder = tmp_path_factory.mktemp("signed") / "project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv(models_signing.VERIFYING, raising=False)
        patch.setenv(models_signing.SIGNING, str(models_signing.make_keys(Path("keys"))[0]))
        models_signing.make_keys(Path("others"))
        embedded_data()
        tiny_model("digits-adam", 1)
        evaluate("digits-adam", 0.5)
        assert promotion.promote(configs.compose([*WORDS]))["open"]
        releases.release("digits")
        tiny_model("digits-sgd", 2)
    return folder


@pytest.fixture
def signed(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project on a machine that asks for signatures, and cannot sign."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv(models_signing.SIGNING, raising=False)
    monkeypatch.setenv(models_signing.VERIFYING, str(Path("keys", models_signing.KEYS[1])))
    return tmp_path / "project"


def stored() -> Path:
    return store.models("digits")[0]


PLACES: dict[str, Callable[[], Path]] = {
    "store": stored,
    "release": lambda: Path("released/digits"),
    "model folder": lambda: Path("models/digits-adam"),
}


def kept() -> Path:
    return models_signing.path("digits", ledger.read("digits")[0]["digest"])


@pytest.mark.parametrize("place", PLACES)
def test_one_signature_holds_wherever_the_model_is(signed: Path, place: str) -> None:
    models_signing.check(PLACES[place]())


def test_it_names_what_is_served_and_what_names_the_rest(signed: Path) -> None:
    assert models_signing.named(kept()) == {"model.onnx", "model.json"}
    named = manifests.read(Path("models/digits-adam"))["files"]
    assert set(named) == {"model.onnx", "native/weights"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
def test_what_was_altered_is_refused(signed: Path, place: str, name: str) -> None:
    path = PLACES[place]() / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"seed": 1', b'"seed": 2') if name == "model.json" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(models_signing.BadSignature, match=f"{name} is not what was signed.*make sign"):
        models_signing.check(PLACES[place]())


def test_a_manifest_that_was_altered_to_fit_is_refused(signed: Path) -> None:
    """Whoever may write the store can make file, manifest and digest agree, but cannot sign."""
    shutil.copyfile("models/digits-sgd/model.onnx", stored() / "model.onnx")
    manifest = manifests.read(stored())
    manifest["files"]["model.onnx"]["sha256"] = folders.sha256(stored() / "model.onnx")
    folders.write_json(stored() / "model.json", {**manifest, "digest": manifests.digest(manifest)})
    manifests.verified(stored())
    with pytest.raises(models_signing.BadSignature, match="is not what was signed"):
        models_signing.check(stored())


def test_whatever_is_altered_in_a_signature_it_holds_no_more(signed: Path) -> None:
    signature = stored() / models_signing.SIGNATURE
    content = signature.read_bytes()
    for at in range(5, len(content), 97):
        signature.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(models_signing.BadSignature, match="is not valid for"):
            models_signing.check(stored())


def test_a_signature_of_another_model_or_key_is_refused(signed: Path) -> None:
    other = models_signing.sign(Path("models/digits-sgd"), Path("keys", models_signing.KEYS[0]))
    shutil.copyfile(other, stored() / models_signing.SIGNATURE)
    with pytest.raises(models_signing.BadSignature, match="is not what was signed"):
        models_signing.check(stored())
    with pytest.raises(models_signing.BadSignature, match="Key mismatch"):
        models_signing.verified(Path("released/digits"), Path("others", models_signing.KEYS[1]))


def test_a_signature_that_leaves_a_served_file_out_is_refused(signed: Path) -> None:
    """The right key, through OpenSSF's own tool, but over less than is served."""
    from model_signing import hashing, signing

    less = hashing.Config().set_ignored_paths(
        paths=["model.onnx", *(path.name for path in stored().iterdir() if path.name != "model.json")]
    )
    signer = signing.Config().use_elliptic_key_signer(private_key=Path("keys", models_signing.KEYS[0]))
    signer.set_hashing_config(less).sign(stored(), stored() / models_signing.SIGNATURE)
    with pytest.raises(models_signing.BadSignature, match=r"does not cover model\.onnx"):
        models_signing.check(stored())


def test_anybody_can_check_a_release_with_the_tool_of_openssf(signed: Path) -> None:
    from model_signing import verifying

    verifier = verifying.Config().use_elliptic_key_verifier(public_key=Path("keys", models_signing.KEYS[1]))
    verifier.set_ignore_unsigned_files(True)
    verifier.verify(Path("released/digits"), Path("released/digits", models_signing.SIGNATURE))


def test_a_service_serves_what_is_signed_and_refuses_what_is_not(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = Champion("digits")
    evaluate("digits-sgd", 0.9)
    assert promotion.promote(configs.compose([*WORDS, "gate.confidence=0.001", "gate.gain=0"]))["open"]
    champion.poll()
    assert champion.served.pointer["model"]["version"] == 1
    assert [store.has_example(f"digits:{folder.name}") for folder in store.models("digits")] == [True, False], "what is unsigned was loaded"
    refused = champion.rejected
    assert refused and refused["version"] == 2 and "is not signed" in refused["why"] and "make sign family=digits" in refused["why"]
    with pytest.raises(models_signing.Unsigned, match="make sign family=digits"):
        Champion("digits")
    monkeypatch.setenv(models_signing.SIGNING, str(Path("keys", models_signing.KEYS[0])))
    assert [words.split(": ")[1].split()[0] for words in signatures.sign_all("digits")] == [str(kept()), "signed"]
    champion.poll()
    assert champion.served.pointer["model"]["version"] == 2 and champion.rejected is None
    assert Champion("digits").served.pointer["model"]["version"] == 2


def test_without_a_key_nothing_is_asked(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stored() / models_signing.SIGNATURE).unlink()
    kept().unlink()
    with pytest.raises(models_signing.Unsigned):
        models_signing.check(stored())
    monkeypatch.delenv(models_signing.VERIFYING)
    models_signing.check(stored())


def test_another_key_signs_anew(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = (str(Path("others", name)) for name in models_signing.KEYS)
    monkeypatch.setenv(models_signing.SIGNING, private)
    monkeypatch.setenv(models_signing.VERIFYING, public)
    with pytest.raises(models_signing.BadSignature):
        models_signing.check(stored())
    assert "signed" in next(iter([*signatures.sign_all("digits")]))
    models_signing.check(stored())


@pytest.mark.parametrize("key", ["none.pem", "public", "words"])
def test_what_is_no_private_key_is_told(signed: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    Path("words").write_text("no key")
    monkeypatch.setenv(models_signing.SIGNING, str(Path("keys", models_signing.KEYS[1])) if key == "public" else key)
    with pytest.raises(models_signing.BadKey, match="make keys"):
        [*signatures.sign_all("digits")]


def test_an_rsa_key_is_told(signed: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = rsa.generate_private_key(65537, 2048).public_key()
    Path("rsa.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(models_signing.BadKey, match=r"rsa\.pem.*P-256"):
        models_signing.verified(stored(), Path("rsa.pem"))


def test_a_pair_of_keys_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    signatures.keys(Path(".store/keys"))
    private = Path(".store/keys", models_signing.KEYS[0])
    assert private.stat().st_mode & 0o777 == 0o600
    assert f"{models_signing.SIGNING}={private.absolute()}" in capsys.readouterr().out
    with pytest.raises(models_signing.BadKey, match="its signatures would become invalid"):
        signatures.keys(Path(".store/keys"))


def test_reconciling_lays_the_signature_that_git_has(signed: Path) -> None:
    (stored() / models_signing.SIGNATURE).write_text("altered")
    reconcile.reconcile("digits")
    assert (stored() / models_signing.SIGNATURE).read_bytes() == kept().read_bytes()
    json.loads(kept().read_text())


def test_what_no_line_of_the_ledger_names_is_never_signed(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = stored().with_name("v9-evil")
    shutil.copytree("models/digits-sgd", planted)
    monkeypatch.setenv(models_signing.SIGNING, str(Path("keys", models_signing.KEYS[0])))
    assert len([*signatures.sign_all("digits")]) == 1
    assert not (planted / models_signing.SIGNATURE).exists() and len([*models_signing.ROOT.rglob("*.sig")]) == 1
    with pytest.raises(models_signing.Unsigned):
        models_signing.check(planted)


@pytest.mark.parametrize("known", ["a public key", "git's last commit"])
def test_a_damaged_signature_is_not_laid_over_a_good_one(
    signed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: str
) -> None:
    good = kept().read_bytes()
    if known == "git's last commit":
        monkeypatch.delenv(models_signing.VERIFYING)
        for words in ("init -q", "add registry", "-c user.name=test -c user.email=test@localhost commit -qm all"):
            subprocess.run(["git", *words.split()], check=True)
    kept().write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    with pytest.raises(models_signing.BadSignature, match="make verify family=digits"):
        releases.release("digits")
    assert Path("released/digits", models_signing.SIGNATURE).read_bytes() == good
    signatures.install(stored())
    assert (stored() / models_signing.SIGNATURE).read_bytes() == kept().read_bytes() == good
    assert "it is replaced by .store" in capsys.readouterr().err
    models_signing.verified(stored(), Path("keys", models_signing.KEYS[1]))
