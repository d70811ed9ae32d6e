"""A TrOCR to begin a training with: one that has learned nothing, or a pretrained one from a folder or the hub."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import transformers  # each of its networks is imported when it is named, which takes seconds
from safetensors import SafetensorError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn

from pipelines.families.ocr.examples import ALPHABET
from pipelines.families.ocr.parts import hub
from pipelines.families.ocr.settings import Model
from pipelines.training.pretrained import MissingWeights

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # tokens 0 to 3 of a fresh network
IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0}
POSITIONS = 512  # tokens that a fresh decoder has places for
GREY = 0.5  # mean and deviation of a fresh network's pictures, of 0 to 1


class Beginning(NamedTuple):
    """A network, its tokenizer, and the mean and deviation of each channel, of 0 to 1, that it is used to."""

    model: Any
    tokenizer: Tokenizer
    mean: list[float]
    deviation: list[float]


def fresh(cfg: Model) -> Beginning:
    """A network that has learned nothing; its tokens are characters."""
    size = {"hidden_size": cfg.hidden, "num_hidden_layers": cfg.layers, "num_attention_heads": cfg.heads}
    picture = {"image_size": cfg.side, "patch_size": cfg.patch}
    encoder = transformers.ViTConfig(**size, **picture, intermediate_size=4 * cfg.hidden, hidden_dropout_prob=cfg.dropout)
    words = {"vocab_size": len(SPECIAL) + len(ALPHABET), "max_position_embeddings": POSITIONS, "tie_word_embeddings": False}
    decoder = transformers.TrOCRConfig(**size, **words, **IDS, decoder_ffn_dim=4 * cfg.hidden, dropout=cfg.dropout)
    model = transformers.VisionEncoderDecoderModel(transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
    return Beginning(_told(model, IDS), characters(), [GREY] * 3, [GREY] * 3)


def characters() -> Tokenizer:
    """A token for each character of ALPHABET, after SPECIAL; a text ends with </s>."""
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate([*SPECIAL, *ALPHABET])}, SPECIAL[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {SPECIAL[2]}", special_tokens=[(SPECIAL[2], 2)])
    return tokenizer


def pretrained(cfg: Model) -> Beginning:
    """What `weights` names, whole. Raises MissingWeights."""
    folder = hub.folder(cfg)
    try:
        return Beginning(_network(folder), _tokenizer(folder), *_normalisation(folder))
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        words = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise MissingWeights(
            f"model.weights={cfg.weights}: {folder} holds no TrOCR that can be read here ({words[0][:300]}). "
            "Name a folder that save_pretrained wrote, with its tokenizer and preprocessor_config.json, 'hub' or 'none'."
        ) from error


def small(tokenizer: Tokenizer, size: int) -> Tensor:
    """For each token the number of the same one in small letters; its own where there is none."""
    known, numbers = tokenizer.get_vocab(), torch.arange(size)
    for token, number in known.items():
        numbers[number] = known.get(token.lower(), number)
    return numbers


def _network(folder: Path) -> Any:
    """The network in numbers of 32 bits, none of them made up; its last layer is its own. Raises ValueError."""
    told: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
    model, loading = transformers.VisionEncoderDecoderModel.from_pretrained(folder, **told)
    if made_up := [name for name in loading["missing_keys"] if "pooler" not in name]:
        raise ValueError(f"{len(made_up)} of its tensors are missing, such as {made_up[0]}")
    if model.config.decoder.model_type != "trocr" or not isinstance(model.config.encoder.image_size, int):
        raise ValueError(f"a decoder {model.config.decoder.model_type!r} or pictures of {model.config.encoder.image_size}, not square")
    last, words = model.decoder.output_projection, model.decoder.get_input_embeddings()
    if last.weight is words.weight:
        last.weight, model.config.decoder.tie_word_embeddings = nn.Parameter(words.weight.detach().clone()), False
    return _told(model, _ids(model))


def _told(model: Any, ids: dict[str, int]) -> Any:
    """The tokens that begin and end a text, in every place where transformers look for them."""
    for name, value in ids.items():
        setattr(model.config, name, value)
    model.generation_config = transformers.GenerationConfig(**ids)
    return model


def _ids(model: Any) -> dict[str, int]:
    """The tokens that begin and end a text, as the network's own pages say. Raises ValueError."""
    places = (model.generation_config, model.config, model.config.decoder)
    found = {name: next((value for page in places if (value := getattr(page, name, None)) is not None), None) for name in IDS}
    if not all(isinstance(value, int) for value in found.values()):
        raise ValueError(f"its generation_config.json does not name one token for each of {found}")
    return cast(dict[str, int], found)


def _tokenizer(folder: Path) -> Tokenizer:
    """The folder's own; one of sentencepiece, or of a vocabulary and merges, is converted."""
    if not (folder / "tokenizer.json").is_file():
        if any(folder.glob("*.model")) and not find_spec("sentencepiece"):
            raise ImportError("its tokenizer is of sentencepiece: install that with `uv pip install sentencepiece`")
        return cast(Tokenizer, transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _normalisation(folder: Path) -> tuple[list[float], list[float]]:
    """Mean and deviation of the channels; transformers 5 keep them among the processor's."""
    if (folder / "preprocessor_config.json").is_file():
        page = json.loads((folder / "preprocessor_config.json").read_text())
    else:
        page = json.loads((folder / "processor_config.json").read_text())["image_processor"]
    return page["image_mean"], page["image_std"]
