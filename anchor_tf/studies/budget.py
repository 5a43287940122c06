"""Equal cost: how many epochs of one method cost as many image passes as another's run.

An image pass is one training example taken once forward and backward through the network.
"""

import dataclasses
from collections.abc import Sequence

from anchor_tf.config import TrainConfig
from anchor_tf.specs import Spec, load
from anchor_tf.terminal.child_process import in_child


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a method costs, in image passes per training example and epoch.

    Attributes:
        training: in training.
        finetune: in fine-tuning.
    """

    training: float
    finetune: float


def equal_epochs(total: float, cost: Cost, finetune_epochs: int) -> int:
    """Epochs that come nearest to a total of image passes; at least 1.

    Args:
        total: image passes per training example, fine-tuning counted.
        cost: of the method to give epochs to.
        finetune_epochs: its epochs of fine-tuning.
    """
    return max(1, round((total - finetune_epochs * cost.finetune) / cost.training))


def costs(methods: Sequence[tuple[Spec, TrainConfig]]) -> list[Cost]:
    """What each method costs, found in a process of its own: they must be built to be asked.

    Args:
        methods: checked specs, each with its attack in training and mode of fine-tuning.

    Raises:
        UserError: a method refuses its arguments.
    """
    return in_child(_built_costs, list(methods))


def _built_costs(methods: Sequence[tuple[Spec, TrainConfig]]) -> list[Cost]:
    return [_cost(method, config) for method, config in methods]


def _cost(spec: Spec, config: TrainConfig) -> Cost:
    """Builds a method on the smallest network there is and asks it."""
    from anchor_tf.backbones.small import small
    from anchor_tf.methods.finetune import image_passes, mode_of
    from anchor_tf.threat import Threat

    method = load(spec, "anchor_tf.methods")(
        small((8, 8, 1), [0.5], [0.25], width=1),
        10,
        Threat(config.norm, config.epsilon),
        attack_steps=config.attack_steps,
        training_attack=config.training_attack,
        weight_perturbation=config.awp,
        **spec.arguments,
    )
    mode = mode_of(method, config.finetune)
    return Cost(method.image_passes, image_passes(method, mode))
