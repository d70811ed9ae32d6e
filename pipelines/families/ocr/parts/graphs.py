"""TrOCR as two ONNX graphs: the encoder runs once, the decoder once a token, with cached keys and values."""

from pathlib import Path
from typing import Any, Protocol

import torch
import transformers  # imports each of its networks on first use, which takes seconds
from torch import Tensor, nn

from pipelines.models import exports

SEEN = 3  # past tokens of the traced example: neither 0 nor 1, which the exporter would take for constants


class EncoderDecoder(Protocol):
    """A network of transformers with its normalisation. Tensors of the graph are named after its attributes, such as network.mean."""

    model: Any

    def pixels(self, pictures: Tensor) -> Tensor:
        """Bytes [n, side, side] -> channels [n, 3, side, side]."""


def write(network: EncoderDecoder, pictures: Tensor, encoder: Path, decoder: Path) -> None:
    """Write both graphs, traced on a few lines [n, side, side]."""
    looking, writing = Looking(network).eval(), Writing(network).eval()
    with torch.inference_mode():
        seen = looking(pictures)
    memory = [part.clone() for part in seen]
    past, looked, present = ([f"{name}.{part}" for part in range(len(memory))] for name in ("past", "memory", "present"))
    exports.write(looking, (pictures,), encoder, ["pictures"], looked)
    given = (torch.zeros(len(pictures), 1, dtype=torch.long), [part[:, :, :SEEN] for part in memory], memory)
    shapes = ({0: "n"}, [{0: "n", 2: "t"}] * len(memory), [{0: "n"}] * len(memory))
    exports.write(writing, given, decoder, ["tokens", *past, *looked], ["logprobs", *present], shapes)


class Looking(nn.Module):
    """Lines [n, side, side] of bytes -> keys and values [n, heads, patches, size] of each cross-attention layer."""

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> list[Tensor]:
        model = self.network.model
        seen = model.encoder(pixel_values=self.network.pixels(pictures)).last_hidden_state
        seen = model.enc_to_dec_proj(seen) if hasattr(model, "enc_to_dec_proj") else seen
        layers = [layer.encoder_attn for layer in model.decoder.model.decoder.layers]
        return [_heads(part(seen), layer) for layer in layers for part in (layer.k_proj, layer.v_proj)]


class Writing(nn.Module):
    """A token of each line [n, 1], keys and values of those before it and of the image -> log-probabilities of the next, and its own."""

    def __init__(self, network: EncoderDecoder) -> None:
        super().__init__()
        self.decoder = network.model.decoder

    def forward(self, tokens: Tensor, past: list[Tensor], memory: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        cache = transformers.EncoderDecoderCache(_cache(past), _cache(memory))
        cache.is_updated = dict.fromkeys(range(len(memory) // 2), True)  # the image's are cached: they are not computed again
        width = self.decoder.config.cross_attention_hidden_size or self.decoder.config.hidden_size
        unused = memory[0].new_zeros(len(tokens), memory[0].shape[2], width)
        said = self.decoder(input_ids=tokens, encoder_hidden_states=unused, past_key_values=cache, use_cache=True)
        present = [part for layer in cache.self_attention_cache.layers for part in (layer.keys, layer.values)]
        return said.logits[:, -1].log_softmax(1), present


def _cache(parts: list[Tensor]) -> "transformers.DynamicCache":
    """Keys and values of each layer as a cache of transformers."""
    cache = transformers.DynamicCache()
    for layer, (keys, values) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        cache.update(keys, values, layer)
    return cache


def _heads(values: Tensor, attention: Any) -> Tensor:
    """[n, patches, heads * size] -> [n, heads, patches, size]."""
    return values.view(len(values), -1, attention.num_heads, attention.head_dim).transpose(1, 2)
