"""A TrOCR to start a training with: untrained, or pretrained from a folder or the hub, which is fetched once and cached."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import transformers  # imports each of its networks on first use, which takes seconds
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn

from pipelines import folders
from pipelines.families.ocr.examples import ALPHABET
from pipelines.families.ocr.settings import Model
from pipelines.training.pretrained import MissingWeights

WEIGHTS = "model.safetensors"
FILES = ["*.json", "*.model", "*.txt", WEIGHTS]  # configuration, tokenizer and weights; never pickled ones
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # tokens 0 to 3 of an untrained network
IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0}
POSITIONS = 512  # positions of an untrained decoder
GREY = 0.5  # mean and deviation of an untrained network's pixels, of 0 to 1


class Initial(NamedTuple):
    """A network, its tokenizer, and the mean and deviation of each channel, of 0 to 1, that it expects."""

    model: Any
    tokenizer: Tokenizer
    mean: list[float]
    deviation: list[float]


def untrained(cfg: Model) -> Initial:
    """A network of random weights; its tokens are characters."""
    size = {"hidden_size": cfg.hidden, "num_hidden_layers": cfg.layers, "num_attention_heads": cfg.heads}
    picture = {"image_size": cfg.side, "patch_size": cfg.patch}
    encoder = transformers.ViTConfig(**size, **picture, intermediate_size=4 * cfg.hidden, hidden_dropout_prob=cfg.dropout)
    words = {"vocab_size": len(SPECIAL) + len(ALPHABET), "max_position_embeddings": POSITIONS, "tie_word_embeddings": False}
    decoder = transformers.TrOCRConfig(**size, **words, **IDS, decoder_ffn_dim=4 * cfg.hidden, dropout=cfg.dropout)
    model = transformers.VisionEncoderDecoderModel(transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
    return Initial(_with_ids(model, IDS), characters(), [GREY] * 3, [GREY] * 3)


def characters() -> Tokenizer:
    """SPECIAL and a token for each character of ALPHABET; a text ends with </s>."""
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate([*SPECIAL, *ALPHABET])}, SPECIAL[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {SPECIAL[2]}", special_tokens=[(SPECIAL[2], 2)])
    return tokenizer


def pretrained(cfg: Model) -> Initial:
    """The network that `weights` names, complete. Raises MissingWeights."""
    path = folder(cfg)
    try:
        return Initial(_network(path), _tokenizer(path), *_normalisation(path))
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise MissingWeights(
            f"model.weights={cfg.weights}: {path} holds no TrOCR that can be read here ({_first_line(error)}). "
            "Name a folder that save_pretrained wrote, with its tokenizer and preprocessor_config.json, 'hub' or 'none'."
        ) from error


def folder(cfg: Model) -> Path:
    """The folder that `weights` names, as save_pretrained writes it. Raises MissingWeights where it is absent or has another hash."""
    from_hub = cfg.weights == "hub"
    found = _fetched(cfg) if from_hub else Path(cfg.weights)
    found = found.parent if found.name == WEIGHTS else found
    path, called = found / WEIGHTS, f"{cfg.hub} at {cfg.revision}" if from_hub else str(found)
    if not path.is_file():
        remedy = "Set model.revision to one that has it, such as refs/pr/1" if from_hub else "Name a folder that save_pretrained wrote"
        raise MissingWeights(f"model.weights={cfg.weights}: {called} has no {WEIGHTS}. {remedy}; pickled weights are not read.")
    if cfg.weights_sha256 and (sha256 := folders.sha256(path)) != cfg.weights_sha256:
        raise MissingWeights(
            f"model.weights={cfg.weights}: {called if from_hub else path} has SHA-256 {sha256}; "
            f"model.weights_sha256 is {cfg.weights_sha256}. Name the one that has it, 'hub' or 'none'."
        )
    return found


def _fetched(cfg: Model) -> Path:
    """The hub's folder in this machine's cache (HF_HOME), fetched where it is not complete there."""
    try:
        return Path(snapshot_download(cfg.hub, revision=cfg.revision, allow_patterns=FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(cfg.hub, revision=cfg.revision, allow_patterns=FILES))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise MissingWeights(
            f"model.weights=hub: {cfg.hub} at {cfg.revision} is not in the cache and could not be fetched ({_first_line(error)}). "
            "Connect to the network (and unset HF_HUB_OFFLINE), set model.weights to a folder that holds it, or to none."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def small(tokenizer: Tokenizer, size: int) -> Tensor:
    """For each token the number of the one in small letters, or its own where there is none."""
    known, numbers = tokenizer.get_vocab(), torch.arange(size)
    for token, number in known.items():
        numbers[number] = known.get(token.lower(), number)
    return numbers


def _network(folder: Path) -> Any:
    """The network in float32, its last layer untied. Raises ValueError where weights are missing."""
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
    model, loading = transformers.VisionEncoderDecoderModel.from_pretrained(folder, **options)
    if missing := [name for name in loading["missing_keys"] if "pooler" not in name]:
        raise ValueError(f"{len(missing)} of its tensors are missing, such as {missing[0]}")
    if model.config.decoder.model_type != "trocr" or not isinstance(model.config.encoder.image_size, int):
        raise ValueError(f"a decoder {model.config.decoder.model_type!r} or pictures of {model.config.encoder.image_size}, not square")
    last, words = model.decoder.output_projection, model.decoder.get_input_embeddings()
    if last.weight is words.weight:
        last.weight, model.config.decoder.tie_word_embeddings = nn.Parameter(words.weight.detach().clone()), False
    return _with_ids(model, _ids(model))


def _with_ids(model: Any, ids: dict[str, int]) -> Any:
    """The model with the tokens that begin and end a text, in every config where transformers look for them."""
    for name, value in ids.items():
        setattr(model.config, name, value)
    model.generation_config = transformers.GenerationConfig(**ids)
    return model


def _ids(model: Any) -> dict[str, int]:
    """The tokens that begin and end a text, from the network's configs. Raises ValueError."""
    configs = (model.generation_config, model.config, model.config.decoder)
    found = {name: next((value for config in configs if (value := getattr(config, name, None)) is not None), None) for name in IDS}
    if not all(isinstance(value, int) for value in found.values()):
        raise ValueError(f"its generation_config.json does not name one token for each of {found}")
    return cast(dict[str, int], found)


def _tokenizer(folder: Path) -> Tokenizer:
    """The folder's tokenizer.json; a tokenizer of sentencepiece, or of a vocabulary and merges, is converted."""
    if not (folder / "tokenizer.json").is_file():
        if any(folder.glob("*.model")) and not find_spec("sentencepiece"):
            raise ImportError("its tokenizer is of sentencepiece: install that with `uv pip install sentencepiece`")
        return cast(Tokenizer, transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _normalisation(folder: Path) -> tuple[list[float], list[float]]:
    """Mean and deviation of the channels; transformers 5 store them in the processor's config."""
    if (folder / "preprocessor_config.json").is_file():
        config = json.loads((folder / "preprocessor_config.json").read_text())
    else:
        config = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    return config["image_mean"], config["image_std"]
