"""The configuration of a training run."""

import dataclasses
from typing import Literal

from wavenet_jax.config import check_min, check_share, check_types
from wavenet_jax.errors import ConfigError

MAX_SEED = 2**32 - 1
"""The largest seed that `jax.random.key` takes with all its bits."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The optimiser, its regularisation and the length of the run.

    Attributes:
      num_steps: length of the run, and of the learning rate's schedule.
      optimizer: "adam"; "nadam", which looks a step of momentum ahead; or "muon", which
        makes the updates of the kernels inside the network orthogonal and takes Nadam for all
        other parameters (`optimizer.make_optimizer`).
      learning_rate: the peak of Adam's and Nadam's learning rate.
      matrix_learning_rate: the peak of Muon's.
      warmup_steps: over which it rises from 0 to the peak.
      decay: from the peak to the end, along half a "cosine" or a "linear" ramp.
      end_learning_rate: at the last step.
      clip_norm: largest norm of the gradient; a larger one is scaled down to it.
      beta2: Adam's decay of the squared gradients.
      ema_decay: decay of the exponential moving average of the parameters, which
        sampling and scoring use.
      weight_normalization: whether each kernel is trained as a length and a direction
        for each output channel (Salimans and Kingma, 2016), except the output layers,
        whose kernels begin at zero. The moving average is that of the kernels.
      generation_weight: weight of the bits per sample in the loss of a recognizer, beside
        the bits per frame (or per phone, for CTC); with 0 the bits per sample are neither
        trained on nor computed.
      input_noise: standard deviation of normal noise on the model's input (not on the
        samples it scores), where codes span [-1, 1): it makes the model robust to the
        errors of its own samples.
      input_gain_db: standard deviation of a normal gain of each window's input (not of the samples
        it scores), so that the level of a sample is learned from the conditions and not from the
        past, where errors of it would add up. For models with a local condition alone.
      input_gaps: share of the windows whose input has a silent gap anywhere, at most as long as
        the receptive field: so a model learns to begin sounds by the conditions, where the past
        alone would stay silent. For models with a local condition alone.
      scheduled_sampling: share of the scored samples that the model hears as samples of its own,
        drawn given the recording before them (parallel scheduled sampling with one pass,
        Duckworth et al., 2019), so that it learns to go on after what it generates. The bits of
        recordings rise a little, and what is generated becomes much cleaner; a step takes a
        forward pass longer. Not for recognizers.
      num_microbatches: equal parts of a device's share of each batch, whose gradients are computed
        one after the other and summed before the one update (gradient accumulation), so that a
        batch fits that would not otherwise. The step is that of the whole batch to rounding,
        except for what `input_noise` and its like and dropout draw, which differs.
      fused: how a CPU computes the residual blocks and dense layers: with the fused layers of
        `wavenet_jax.fused`, whose products have operands of "float32", or of "bfloat16" where the
        CPU has instructions for it; or with XLA, "off", as other devices do, and for models that
        the fused layers do not know.
      seed: of the first parameters, dropout, noise and the order of the data.
    """

    num_steps: int
    optimizer: Literal["adam", "nadam", "muon"] = "adam"
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 2e-2
    warmup_steps: int = 100
    decay: Literal["cosine", "linear"] = "cosine"
    end_learning_rate: float = 0.0
    clip_norm: float = 1.0
    beta2: float = 0.999
    ema_decay: float = 0.999
    weight_normalization: bool = False
    generation_weight: float = 1.0
    input_noise: float = 0.0
    input_gain_db: float = 0.0
    input_gaps: float = 0.0
    scheduled_sampling: float = 0.0
    num_microbatches: int = 1
    fused: Literal["off", "float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self):
        owner = "The training"
        check_types(self, owner)
        check_min(self, owner, num_steps=1, warmup_steps=0, end_learning_rate=0)
        check_min(self, owner, num_microbatches=1)
        check_min(self, owner, generation_weight=0, input_noise=0, input_gain_db=0)
        check_seed(self, owner)
        for field in ("learning_rate", "matrix_learning_rate", "clip_norm"):
            if not getattr(self, field) > 0:
                raise ConfigError(owner, field, getattr(self, field), "give a number above 0")
        check_share(self, owner, "beta2", "ema_decay", "input_gaps", "scheduled_sampling")


def check_seed(config, owner: str) -> None:
    """Refuses a seed of which `jax.random.key` would drop bits.

    Raises:
      ConfigError: it is negative, or needs more than 32 bits.
    """
    if not 0 <= config.seed <= MAX_SEED:
        raise ConfigError(owner, "seed", config.seed, f"give a number from 0 to {MAX_SEED}")
