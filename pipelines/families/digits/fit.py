"""Train with Keras on TensorFlow, export to ONNX, and prove that both give the same probabilities."""

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from pipelines.configs import Config
from pipelines.families.digits import model as models
from pipelines.families.digits.examples import CONVENTION, LABELS, Split, load
from pipelines.families.digits.predict import THREADS
from pipelines.families.digits.settings import Augment, Fit
from pipelines.models import graphs
from pipelines.models.inference import session
from pipelines.models.manifests import Description, Proof, prove
from pipelines.training import calibration
from pipelines.training.session import Training

TOLERANCE = 1e-4  # of a probability, between Keras and ONNX Runtime
PROOF = 256  # images of the validation split


def fit(cfg: Config, data: Path, out: Path, log: Training) -> Description:
    """Train to `cfg.fit.epochs`, from the last checkpoint if there is one; write model.onnx and native/model.keras. Raises NotProven."""
    keras.utils.set_random_seed(cfg.seed)
    train, valid = load(data, "train"), load(data, "valid")
    model = _train(cfg, train, valid, log)
    (out / "native").mkdir()
    model.save(out / "native/model.keras")
    proof = _export(model, out / "model.onnx", valid)
    return Description(
        served={"model.onnx": "model"},
        native={"native/model.keras": "keras"},
        input={"shape": [None, CONVENTION.side, CONVENTION.side], "dtype": "uint8"},
        output={"kind": "probabilities", "labels": LABELS},
        preprocessing=CONVENTION,
        proof=proof,
    )


def _train(cfg: Config, train: Split, valid: Split, log: Training) -> keras.Model:
    if log.checkpoint:
        model = keras.models.load_model(log.checkpoint / "model.keras")
    else:
        model = _compiled(cfg, len(train.labels) // _batch(cfg.fit, len(train.labels)))
    pixels, labels = tf.constant(train.images), tf.one_hot(train.labels, len(LABELS))
    validation = tf.data.Dataset.from_tensor_slices((_pixels(valid.images), tf.one_hot(valid.labels, len(LABELS)))).batch(1000)
    for epoch in log.remaining(cfg.fit.epochs):
        batches = _batches(cfg, pixels, labels, epoch)
        seen = model.fit(batches, validation_data=validation, shuffle=False, verbose=0, callbacks=[_Bar(cfg, epoch, len(batches))])
        figures = {name.replace("val_", "valid_"): values[0] for name, values in seen.history.items()}
        log.epoch(figures, lambda folder: model.save(folder / "model.keras"))
    return model


def _compiled(cfg: Config, steps: int) -> keras.Model:
    model = models.build(cfg.model)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=cfg.fit.label_smoothing)
    model.compile(_optimizer(cfg.fit, _rate(cfg.fit, steps)), loss, metrics=["accuracy"])
    return model


def _optimizer(fit: Fit, rate: Any) -> keras.optimizers.Optimizer:
    kinds = {
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=fit.weight_decay or None),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=fit.weight_decay),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=fit.weight_decay or None),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, weight_decay=fit.weight_decay or None),
    }
    return kinds[fit.optimizer]()


def _rate(fit: Fit, steps: int) -> Any:
    """The learning rate over all steps: constant, or a linear warm-up, then half a cosine to 0."""
    if fit.schedule == "constant":
        return fit.learning_rate
    warmup = fit.warmup_epochs * steps
    falling = max(1, fit.epochs * steps - warmup)
    start = 0.0 if warmup else fit.learning_rate
    return keras.optimizers.schedules.CosineDecay(start, falling, warmup_target=fit.learning_rate if warmup else None, warmup_steps=warmup)


def _batch(fit: Fit, count: int) -> int:
    return min(fit.batch, count)


def _batches(cfg: Config, pixels: tf.Tensor, labels: tf.Tensor, epoch: int) -> tf.data.Dataset:
    """The batches of an epoch; seed and epoch determine order and distortions, so that a resumed training sees the same."""
    count = int(pixels.shape[0])
    batch = _batch(cfg.fit, count)
    order = np.random.default_rng([cfg.seed, epoch]).permutation(count)[: count // batch * batch].reshape(-1, batch)
    seeds = np.random.default_rng([cfg.seed, epoch, 1]).integers(0, 2**31, (len(order), 2), np.int32)

    def drawn(rows: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = _pixels(tf.gather(pixels, rows))
        return (_distorted(images, cfg.fit.augment, seed) if cfg.fit.augment else images), tf.gather(labels, rows)

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread delays the end of an epoch by up to 10 s
    return tf.data.Dataset.from_tensor_slices((order, seeds)).map(drawn).prefetch(2).with_options(options)


def _pixels(images: Any) -> tf.Tensor:
    return tf.cast(images, tf.float32)[..., None] / CONVENTION.scale


def _distorted(images: tf.Tensor, augment: Augment, seed: tf.Tensor) -> tf.Tensor:
    """Each image [n, 28, 28, 1] distorted by a random affine map about its middle."""
    drawn = tf.random.stateless_uniform([6, tf.shape(images)[0]], seed, -1.0, 1.0)
    angle, shear = drawn[0] * augment.rotation * np.pi / 180, drawn[1] * augment.shear
    wide, high = 1 + drawn[2] * augment.scale, 1 + drawn[3] * augment.scale
    a, b = tf.cos(angle) * wide, (shear - tf.sin(angle)) * high
    c, d = tf.sin(angle) * wide, tf.cos(angle) * high
    middle = (CONVENTION.side - 1) / 2
    x, y = middle * (1 - a - b) + drawn[4] * augment.shift, middle * (1 - c - d) + drawn[5] * augment.shift
    matrix = tf.stack([a, b, x, c, d, y, tf.zeros_like(a), tf.zeros_like(a)], 1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=matrix, output_shape=images.shape[1:3], interpolation="BILINEAR", fill_mode="CONSTANT", fill_value=0.0
    )


class _Bar(keras.callbacks.Callback):
    """A progress bar for an epoch, which ends with its accuracies."""

    def __init__(self, cfg: Config, epoch: int, steps: int) -> None:
        super().__init__()
        self.bar = tqdm(total=steps, desc=f"{cfg.candidate} {epoch}/{cfg.fit.epochs}", unit="batch", mininterval=1)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.set_postfix_str(f"train {logs['accuracy']:.4f} valid {logs['val_accuracy']:.4f}")
        self.bar.close()


def _export(model: keras.Model, path: Path, valid: Split) -> Proof:
    """Write the model with a calibrated softmax as ONNX; compare its probabilities of real images with those of Keras."""
    logits = model.predict(_pixels(valid.images), batch_size=1000, verbose=0)
    sharpness = 1 / calibration.temperature(logits, valid.labels)
    answering = keras.Model(model.input, keras.layers.Softmax(name="probabilities")(model.output * sharpness))
    pixels = np.asarray(_pixels(valid.images[:PROOF]))
    native = np.asarray(answering(pixels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of tf2onnx about NumPy
        answering.export(path, format="onnx", verbose=False)
    graphs.write_canonical(path)
    served = session(path, THREADS)
    return prove(native, served.run(None, {served.get_inputs()[0].name: pixels})[0], TOLERANCE)
