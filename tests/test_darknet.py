"""Darknet both ways: cfg and .weights become a network that answers as OpenCV does on the same files, and as the exported ONNX does.

PyTorch runs in processes of its own.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.families.signatures.parts import anchors, architectures, cfg
from tests.conftest import environment

TOLERANCE = 1e-5  # of a score, or of a centre as a fraction of the page; of a side, relative to it
EVERY_KIND = """
# grouped, strided, plain and normalised convolutions of every activation; SPP; both poolings of two
[net]
width=96
height = 96
channels=3
burn_in=1000

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=mish
[convolutional]
batch_normalize=1
filters=8
size=3
groups=2
pad=1
activation=leaky
[shortcut]
from=-2
activation=linear
[maxpool]
size=2
stride=2
[convolutional]
filters=8
size=3
padding=1
activation=relu ; a comment
[maxpool]
size=5
[route]
layers = -2
[maxpool]
size=9
[route]
layers = -1, -3, -4
[convolutional]
batch_normalize=1
filters=16
activation=logistic
[maxpool]
size=2
stride=1
[route]
layers=-1
groups=2
group_id=1
[convolutional]
batch_normalize=1
filters=16
size=3
pad=1
stride=2
activation=swish
[convolutional]
filters=12
activation=linear
[yolo]
mask=1,2
anchors=10,12, 20,14, 40,30
classes=1
num=3
scale_x_y=1.2
[route]
layers=12
[upsample]
stride=2
[route]
layers=-1,9
[convolutional]
filters=6
activation=linear
[yolo]
mask=0
anchors=10,12, 20,14, 40,30
classes=1
num=3
scale_x_y=1.05
"""
PROVEN = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from pipelines.families.signatures.fit import SERVED, Served
from pipelines.families.signatures.parts import weights
from pipelines.families.signatures.parts.cfg import for_opencv
from pipelines.families.signatures.parts.darknet import Darknet
from pipelines.families.signatures.predict import RUNTIMES

def random(text):
    "Weights of very different strength, so that many variances are near the epsilon, and the statistics that belong to them."
    torch.manual_seed(0)
    network = Darknet(text)
    for layer in network.convolutions():
        if layer.norm is not None:
            layer.convolution.weight.data *= 10 ** (-2.5 * torch.rand(layer.norm.num_features))[:, None, None, None]
            layer.norm.weight.data.uniform_(0.5, 1.5)
            layer.norm.bias.data.normal_(0, 0.3)
            layer.norm.momentum = 1
    with torch.no_grad():
        network.train()(torch.rand(4, 3, network.height, network.width))
    return network.eval()

def furthest(boxes, others):
    "Of a centre or score, and of a side relative to it."
    apart = np.abs(boxes - others)
    return [float(apart[..., [0, 1, 4]].max()), float((apart[..., 2:4] / others[..., 2:4]).max())]

found = {}
for name in sys.argv[1:]:
    text, folder = Path(f"{name}.cfg").read_text(), Path(name)
    folder.mkdir()
    network = random(text)
    (folder / "network.cfg").write_text(for_opencv(text))
    served, pages = Served(network).eval(), torch.randint(0, 256, (2, network.width, network.width), dtype=torch.uint8)
    names = dict(input_names=["pages"], output_names=["boxes"], dynamic_shapes=({0: "n"},))
    torch.onnx.export(served, (pages,), folder / "model.onnx", dynamo=True, external_data=False, **names)
    with torch.inference_mode():
        boxes = served(pages).numpy()
    manifest = {"files": {file: {"role": role} for file, role in SERVED.items()}}
    weights.write(network, folder / "opencv.weights")
    found[name] = {"unmoved": furthest(RUNTIMES["opencv"](folder, manifest)(pages.numpy()), boxes)}
    weights.write(network, folder / "opencv.weights", for_opencv=True)
    found[name] |= {runtime: furthest(RUNTIMES[runtime](folder, manifest)(pages.numpy()), boxes) for runtime in RUNTIMES}
    found[name]["alone"] = furthest(RUNTIMES["onnxruntime"](folder, manifest)(pages[:1].numpy()), boxes[:1])
print(json.dumps(found))
"""
BUILT = """
import json, random, sys
from pathlib import Path
from pipelines.families.signatures.parts.cfg import BadNetwork
from pipelines.families.signatures.parts.darknet import Darknet

def told(text):
    try:
        Darknet(text)
    except BadNetwork as error:
        return str(error)

def mutated(text, seed):
    "One line goes, comes twice, or its number becomes another."
    lines, draw = text.splitlines(), random.Random(seed)
    at = draw.randrange(len(lines))
    word = draw.choice(["", "0", "-1", "3", "7", "99999999999", "1e9", "nan", "x", ",", "1,2,3", "[net]", "[yolo]", "[route]"])
    key, equals, _ = lines[at].partition("=")
    lines[at : at + 1] = draw.choice([[], [lines[at]] * 2, [key + equals + word], [word]])
    return chr(10).join(lines)

texts = json.loads(Path("texts.json").read_text())
print(json.dumps({"told": [told(text) for text in texts], "fuzzed": sum(told(mutated(texts[0], seed)) is not None for seed in range(400))}))
"""
WEIGHED = """
import json
from pathlib import Path
import torch
from pipelines.families.signatures.parts import architectures, weights
from pipelines.families.signatures.parts.darknet import Darknet

def refused(path, **words):
    before = state()
    try:
        weights.read(network, path, **words)
    except weights.BadWeights as error:
        assert torch.equal(before, state())
        return str(error)

def state():
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])

found = {"sizes": {}}
for name, side in (("yolov4-tiny", 416), ("yolov4", 608)):
    with torch.device("meta"):
        network = Darknet(architectures.described(name, 80, side, None))
    found["sizes"][name] = [sum(value.numel() for value in network.parameters()), weights.size(network)]
    network.layers = network.layers[:137]
    found["sizes"][name] += [weights.size(network)]

torch.manual_seed(0)
network = Darknet(architectures.described("yolov4-tiny", 1, 96, None))
weights.write(network, Path("first"))
weights.write(network, Path("first.opencv"), for_opencv=True)
content = Path("first").read_bytes()
network = Darknet(architectures.described("yolov4-tiny", 1, 96, None))
found["filled"] = [weights.read(network, Path("first"))]
weights.write(network, Path("second"))
found["same"] = Path("second").read_bytes() == content
weights.write(network, Path("second"), for_opencv=True)
found["same_for_opencv"] = [Path("second").read_bytes() == Path("first.opencv").read_bytes(), Path("second").read_bytes() == content]

Path("old").write_bytes(b"\\0\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0\\7\\0\\0\\0" + content[20:])
found["filled"].append(weights.read(network, Path("old")))
weights.write(network, Path("second"))
found["same_old"] = Path("second").read_bytes() == content

part = 20 + 4 * sum(weights._counts(network)[:-4])
Path("backbone").write_bytes(content[:part])
found["part"], found["size"] = part, len(content)
found["refused"] = {"backbone": refused(Path("backbone"))}
fresh = Darknet(architectures.described("yolov4-tiny", 1, 96, None))
before = {name: value.clone() for name, value in fresh.state_dict().items()}
found["filled"].append(weights.read(fresh, Path("backbone"), backbone=True))
equal = [torch.equal(value, network.state_dict()[name]) for name, value in fresh.state_dict().items() if "tracked" not in name]
kept = [torch.equal(value, before[name]) for name, value in fresh.state_dict().items() if "tracked" not in name]
found["taken"] = [equal.index(False), kept.index(True, equal.index(False)) == equal.index(False), all(kept[equal.index(False):])]

ends = {"short": len(content) - 4, "odd": len(content) - 1, "long": len(content) + 4, "tiny": 7, "empty": 0, "within": part + 4}
for name, end in ends.items():
    Path(name).write_bytes((content + b"1234")[:end])
    found["refused"][name] = refused(Path(name), backbone=name == "within")
Path("nan").write_bytes(content[:-4] + b"\\xff" * 4)
found["refused"]["nan"] = refused(Path("nan"))
print(json.dumps(found))
"""
EXCHANGE = """
import io, json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from pipelines import configs, folders
from pipelines.training import records
from pipelines.training import session
from pipelines.models import manifests
from pipelines.datasets import labels
from pipelines.families.signatures import data, exchange, model
from pipelines.families.signatures.examples import Page, load
from pipelines.families.signatures.parts import weights
from pipelines.families.signatures.parts.darknet import Darknet
from pipelines.families.signatures.predict import Predictor

cfg = configs.compose(["family=signatures", "candidate=signatures-letters", "data.sources=[embedded]", "data.limit=12", "model.side=96"])
found = {"refused": {}}

def refused(name, work):
    try:
        work()
    except (exchange.FolderExists, exchange.NothingPacked, model.MissingFile, weights.BadWeights) as error:
        found["refused"][name] = f"{type(error).__name__}: {error}"

out = Path("out")
refused("nothing", lambda: exchange.export(cfg, out))
with folders.replacing(cfg.data_folder) as draft:
    data.prepare(cfg, draft)
found["told"] = exchange.export(cfg, out)
refused("there", lambda: exchange.export(cfg, out))
for split in ("train", "valid"):
    pages, names = load(cfg.data_folder, split).pages, Path(out, f"{split}.txt").read_text().splitlines()
    assert len(names) == len(pages) > 0
    for page, name in zip(pages, names):
        content, label = (out / name).read_bytes(), (out / name).with_suffix(".txt")
        assert content == page.content
        again = labels.read(label.name, label.read_bytes(), page.height, page.width, ["signature"])
        np.testing.assert_allclose(np.reshape(again, (-1, 4)), page.boxes, atol=0.01)
found["files"] = {name: (out / name).read_text() for name in ("obj.data", "obj.names")}
found["backup"] = (out / "backup").is_dir()

seen = io.BytesIO()
Image.fromarray(np.arange(35, dtype=np.uint8).reshape(7, 5)).save(seen, "TIFF")
suffix, content = exchange._readable(Page("a/b.tif", "a", "x", seen.getvalue(), 7, 5, np.zeros((0, 4), np.float32)))
drawn = Image.open(io.BytesIO(content))
found["drawn"] = [suffix, drawn.format, bool((np.asarray(drawn) == np.arange(35).reshape(7, 5)).all())]

text, trained = out / "network.cfg", out / "backup/network_best.weights"
refused("gone", lambda: exchange.take(cfg, text, trained))
network = Darknet(text.read_text())
weights.write(network, trained)
content = bytearray(trained.read_bytes())
content[12:20] = (64_000).to_bytes(8, "little")
trained.write_bytes(content[:-8])
refused("short", lambda: exchange.take(cfg, text, trained))
found["model"] = [cfg.model_folder.exists(), len(content)]
trained.write_bytes(content)
print(exchange.take(cfg, text, trained))
manifest = manifests.verified(cfg.model_folder)
found["recipe"] = manifest["config"]
found["sha256"] = folders.sha256(trained)
found["same"] = (cfg.model_folder / "native/network.weights").read_bytes()[20:] == bytes(content[20:])
found["history"] = session.read_history(cfg.model_folder)[0]["pictures_seen"]
found["answered"] = len(Predictor(cfg.model_folder, "onnxruntime").predict(np.zeros((1, 96, 96), np.uint8)))
records.read(cfg.model_folder)
print(json.dumps(found))
"""
TINY = architectures.described("yolov4-tiny", 1, 128, None)
BAD = {
    "[reorg]\nstride=2\n[convolutional]": r"layer 0, \[reorg\] at line 7: unknown layer. Known are: \[convolutional\], .*\[yolo\]\.",
    "[convolutional]\ngroups=3": r"layer 0, .* groups=3 divides not both the 3 channels that come in and filters=8",
    "[convolutional]\ndilation=2": r"layer 0, \[convolutional\] at line 7: unknown option dilation=2. Known are: activation,",
    "[shortcut]\nfrom=-1\n[convolutional]": r"layer 0, \[shortcut\] at line 7: from=-1 takes layer -1, which is not before it: no layer is",
}
EXCHANGED = {
    "activation=mish": ("activation=gelu", r"layer 0, .* unknown activation=gelu. Known are: leaky, linear, logistic, mish, relu, swish\."),
    "filters=12": ("filters=13", r"layer 14, .* 2 anchors and 1 classes take 12 channels, and 13 come in. Set filters="),
    "mask=1,2": ("mask=1,3", r"layer 14, .* mask=1,3 names others than the anchors 0 to 2"),
    "classes=1": ("classes=one", r"layer 14, .* classes=one is no integer of 1 to 65,536"),
    "num=3": ("num=4", r"layer 14, .* num=4 anchors are 8 numbers, and anchors= has 6"),
    "scale_x_y=1.2": ("scale_x_y=nan", r"layer 14, .* scale_x_y=nan are no numbers above 0"),
    "from=-2": ("from=-9", r"layer 2, .* from=-9 takes layer -7, which is not before it: the layers 0 to 1 are"),
    "layers=12": ("layers=14", r"layer 15, .* layers=14 takes layer 14, which is a \[yolo\] layer"),
    "layers=-1,9": ("layers=-1,3,1", r"layer 17, .* joins layers of different sides: 16 x 24 x 24, 8 x 24 x 24, 8 x 48 x 48"),
    "group_id=1": ("group_id=2", r"layer 11, .* group_id=2 is no integer of 0 to 1"),
    "width=96": ("width=many", r"\[net\] at line 3: width=many is no integer"),
    "burn_in=1000": ("burn_in=1000\nletter_box=1", r"\[net\] at line 3: letter_box=1 is not supported: it changes what the network takes"),
    "channels=3": ("# none", r"\[net\] at line 3: channels= is missing"),
    "filters=16\nactivation": ("filters=16\nsize=63\nactivation", r"layer 9, .* nothing is left of 24 x 24 x 24 under size=63"),
    "[upsample]": ("[convolutional]\nsize=63\npad=1\nfilters=65536\n[upsample]", r"layer 16, .* more than 500,000,000 weights"),
    "[yolo]\nmask=0": ("[yolo]\nnew_coords=1\nmask=0", r"layer 19, .* new_coords=1 is not supported.* Set new_coords=0"),
    "layers = -1, -3, -4\n[convolutional]\nbatch_normalize=1": (
        "layers=1.5\n[convolutional]",
        r"layer 8, .* layers=1.5 are no integers",
    ),
}


def python(folder: Path, *words: str) -> Any:
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_same_weights_give_the_same_boxes_everywhere(tmp_path: Path) -> None:
    """In PyTorch, ONNX Runtime and OpenVINO on the export, and OpenCV on the Darknet files, whose epsilon is another."""
    texts = {"every": EVERY_KIND, "tiny": TINY}
    for name, text in texts.items():
        (tmp_path / f"{name}.cfg").write_text(text)
    for found in python(tmp_path, "-c", PROVEN, *texts).values():
        unmoved, other_forms = found.pop("unmoved"), found
        assert max(unmoved) > 0.01, "the variances are not small enough for the epsilon to matter"
        assert set(other_forms) == {"onnxruntime", "openvino", "opencv", "alone"}
        for name, furthest in other_forms.items():
            assert max(furthest) < (TOLERANCE if name == "alone" else 10 * TOLERANCE), (name, furthest)


@pytest.mark.slow
def test_a_cfg_that_cannot_be_built_is_refused_with_layer_and_line(tmp_path: Path) -> None:
    plain = EVERY_KIND.strip().partition("\n")[2]  # the first line is [net]'s
    texts, words = [EVERY_KIND], [None]
    for start, expected in BAD.items():
        texts.append(plain.replace("[convolutional]", start, 1))
        words.append(expected)
    for before, (after, expected) in EXCHANGED.items():
        assert before in EVERY_KIND
        texts.append(EVERY_KIND.replace(before, after, 1))
        words.append(expected)
    texts.append(plain.partition("[yolo]")[0])
    words.append("the cfg has no \\[yolo\\] layer among its 14")
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    found = python(tmp_path, "-c", BUILT)
    for said, expected in zip(found["told"], words, strict=True):
        assert said == expected or re.search(expected, said), f"{said} is not {expected}"
    assert found["fuzzed"] > 200  # of 400, and nothing else than BadNetwork was raised


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"begins with nothing. It must begin with \[net\]"),
        ("width=3", r"line 1: 'width=3' comes before the first section"),
        ("[convolutional]", r"begins with \[convolutional\] at line 1. It must"),
        ("[net]\nwidth", r"line 2, in \[net\] at line 1: 'width' is not of the form key=value"),
        ("[net]\nwidth=", r"line 2, .* 'width=' is not of the form"),
        ("[net]\n\n# sides\nwidth=3\nwidth = 4", r"line 5, in \[net\] at line 1: width= is repeated; it was 3"),
        ("[net", r"line 1: '\[net' has no closing bracket"),
    ],
)
def test_text_that_is_no_cfg_is_refused_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(cfg.BadNetwork, match=expected):
        cfg.sections(text)


def test_a_file_that_is_no_cfg_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.cfg").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(cfg.BadNetwork, match=r"picture\.cfg is no text .* at byte 0"):
        cfg.read(tmp_path / "picture.cfg")
    (tmp_path / "large.cfg").write_bytes(b"#" * 1_000_001)
    with pytest.raises(cfg.BadNetwork, match=r"large\.cfg has 1000001 bytes; a cfg has at most 1000000"):
        cfg.read(tmp_path / "large.cfg")


def test_marks_of_windows_and_names_of_darknet_are_read(tmp_path: Path) -> None:
    lines = [b"\xef\xbb\xbf[net]", b"width=3 # \xe9\x85tendue", b"[conv]", b"filters=2", b"[max]", b"size=2"]
    (tmp_path / "marked.cfg").write_bytes(b"\r\n".join([lines[0], b"width=3", *lines[2:]]))
    (tmp_path / "latin.cfg").write_bytes(b"\r\n".join([b"[net]", *lines[1:]]))
    for name in ("marked.cfg", "latin.cfg"):
        found = cfg.sections(cfg.read(tmp_path / name))
        assert [(section.name, section.line, section.options) for section in found] == [
            ("net", 1, {"width": "3"}),
            ("convolutional", 3, {"filters": "2"}),
            ("maxpool", 5, {"size": "2"}),
        ]


def test_comments_and_blanks_are_passed_over() -> None:
    found = cfg.sections("# one\n[net] ; two\n width = 3 # three\n\n[yolo]\nmask = 0, 1")
    assert [(section.name, section.line, section.layer) for section in found] == [("net", 2, -1), ("yolo", 5, 0)]
    assert [section.options for section in found] == [{"width": "3"}, {"mask": "0, 1"}]
    assert cfg.sections(cfg.for_opencv(cfg.render(found)))[1].options.items() >= {"mask": "0, 1", "thresh": "0"}.items()


@pytest.mark.slow
def test_weights_go_out_and_come_back(tmp_path: Path) -> None:
    found = python(tmp_path, "-c", WEIGHED)
    assert found["sizes"] == {  # weights learned, bytes of the published .weights, and of yolov4.conv.137
        "yolov4-tiny": [6_056_606, 24_251_276, 24_251_276],
        "yolov4": [64_363_101, 257_717_640, 170_038_676],
    }
    assert found["same"] and found["same_for_opencv"] == [True, False] and found["same_old"]
    assert found["filled"] == [21, 21, 17]
    assert found["taken"][1:] == [True, True]
    size, part = found["size"], found["part"]
    counts = {"backbone": part, "short": size - 4, "odd": size - 1, "long": size + 4, "within": part + 4}
    for name, count in counts.items():
        word = "too long" if name == "long" else "too short"
        assert re.search(
            rf"{name} is {word}: it has {count} bytes, and those of the cfg's 21 convolutions are {size}", found["refused"][name]
        )
    assert "or end where a layer does" in found["refused"]["within"]
    assert "has 7 bytes, fewer than the header" in found["refused"]["tiny"]
    assert "has 0 bytes, fewer than the header" in found["refused"]["empty"]
    assert "weights that are no numbers" in found["refused"]["nan"]


@pytest.mark.parametrize(("classes", "batches", "steps"), [(1, 6000, "4800,5400"), (80, 160_000, "128000,144000")])
@pytest.mark.parametrize("network", architectures.STANDARD)
def test_cfgs_follow_the_number_of_classes(network: str, classes: int, batches: int, steps: str) -> None:
    net, *layers = cfg.sections(architectures.described(network, classes, 224, None))
    assert (net.options["max_batches"], net.options["steps"], net.options["width"]) == (str(batches), steps, "224")
    heads = [index for index, layer in enumerate(layers) if layer.name == "yolo"]
    assert [layers[index].options["classes"] for index in heads] == [str(classes)] * len(heads)
    assert [layers[index - 1].options["filters"] for index in heads] == [str(3 * (5 + classes))] * len(heads)
    assert len(layers) == {"yolov4-tiny": 38, "yolov4": 162}[network]


def test_own_anchors_are_each_taken_once() -> None:
    own = [(float(index), 2.0 * index) for index in range(1, 7)]
    heads = [section for section in cfg.sections(architectures.described("yolov4-tiny", 1, 96, own)) if section.name == "yolo"]
    assert [head.integers("mask") for head in heads] == [[3, 4, 5], [0, 1, 2]]
    assert heads[0].floats("anchors") == [number for anchor in own for number in anchor]
    with pytest.raises(architectures.UnknownNetwork, match="yolov4 has 9 anchors, and 6 were given"):
        architectures.described("yolov4", 1, 96, own)
    with pytest.raises(architectures.UnknownNetwork, match=r"no network 'yolov3' is known. Choose one of: yolov4-tiny, yolov4"):
        architectures.described("yolov3", 1, 96, None)


def test_anchors_are_the_centres_of_the_boxes_small_ones_first() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[200, 30], [20, 10], [60, 40]], np.float32)
    sizes = np.concatenate([centre * random.uniform(0.95, 1.05, (50, 2)) for centre in centres]).astype(np.float32)
    found = anchors.kmeans(sizes, 3, 0)
    np.testing.assert_allclose(found, centres[[1, 2, 0]], rtol=0.03)
    assert found == anchors.kmeans(sizes, 3, 0)
    with pytest.raises(anchors.TooFewBoxes, match="6 anchors cannot be found in 1 different boxes"):
        anchors.kmeans(np.ones((9, 2), np.float32), 6, 0)


@pytest.mark.slow
def test_a_person_trains_with_darknet_and_brings_the_weights_back(tmp_path: Path) -> None:
    found = python(tmp_path, "-c", EXCHANGE)
    assert "train on" in found["told"] and "darknet detector train obj.data network.cfg" in found["told"]
    assert found["files"]["obj.data"].splitlines() == [
        "classes=1",
        "train=train.txt",
        "valid=valid.txt",
        "names=obj.names",
        "backup=backup",
    ]
    assert found["files"]["obj.names"] == "signature\n" and found["backup"]
    assert found["drawn"] == [".png", "PNG", True]
    there, size = found["model"]
    assert not there
    assert "out exists and is not empty" in found["refused"]["there"]
    assert "Ingest first: `dvc repro ingest@signatures`" in found["refused"]["nothing"]
    assert "network_best.weights does not exist" in found["refused"]["gone"]
    assert f"too short: it has {size - 8} bytes, and those of the cfg's 21 convolutions are {size}" in found["refused"]["short"]
    assert found["recipe"]["run"] == "darknet"
    assert found["recipe"]["model"]["weights_sha256"] == found["sha256"]
    assert found["same"] and found["history"] == 64_000 and found["answered"] == 1
