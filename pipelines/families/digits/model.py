"""A small convolutional network: a stage for each scale, halved by pooling in between."""

import keras
from keras import layers

from pipelines.families.digits.settings import Model


def build(cfg: Model) -> keras.Model:
    """Images [n, 28, 28, 1] of 0 to 1 -> logits [n, 10]."""
    pixels = keras.Input((28, 28, 1), name="pixels")
    x = _stage(pixels, cfg.widths[0], 1)
    for width in cfg.widths[1:]:
        x = layers.MaxPooling2D()(x)
        x = _stage(x, width, cfg.convolutions)
    x = layers.Dropout(cfg.dropout)(layers.Flatten()(x))
    return keras.Model(pixels, layers.Dense(10, name="logits")(x))


def _stage(x: keras.KerasTensor, width: int, convolutions: int) -> keras.KerasTensor:
    for _ in range(convolutions):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return x
