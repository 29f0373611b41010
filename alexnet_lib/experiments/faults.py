"""Recipes with one fault each, and the letters that they hide behind in chapter 09."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import unknown_name

__all__ = ["FAULTS", "HEALTHY", "LETTERS", "Fault", "find"]


@dataclass(frozen=True)
class Fault:
    """A recipe with one fault.

    name: of the fault. fault: what was done. signs: what in the measurements gives it away.
    remedy: what helps. start: "quick", "faint" (std .01, biases 0) or "printed" (std .01, biases
    1). lr_factor: of the healthy rate. growth: what is added to the velocity for each weight and
    step, in place of the decay. silenced: a layer whose biases start at -1000. frozen: layers that
    the optimizer never gets.
    """

    name: str
    fault: str
    signs: str
    remedy: str
    start: str = "quick"
    lr_factor: float = 1.0
    subtract_mean: bool = True
    shuffle_labels: bool = False
    dropout_at_test: bool = False
    growth: float = 0.0
    silenced: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


HEALTHY = Fault("healthy", "nothing", "the loss falls", "none needed")
FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        HEALTHY,
        Fault(
            "faint",
            "all weights start with std .01 and all biases at 0",
            "The outputs shrink from layer to layer until the last ones hardly depend on the "
            "picture, and so do the gradients. Nothing explodes, nothing moves.",
            "Start wider: a std of sqrt(2 / inputs) in each layer, or batch normalization.",
            start="faint",
        ),
        Fault(
            "printed",
            "all weights start with std .01, and the biases are 1 as printed",
            "Outputs stand near 1, their bias, from conv4 to fc7. But from layer to layer they "
            "differ less from picture to picture: weights this small pass little on. (What "
            "differs in fc7 and fc8 is dropout's own doing.)",
            "A wider std in conv3 to conv5, as in the code of 2012. Without the biases of 1 even "
            "less arrives, as patient E shows.",
            start="printed",
        ),
        Fault(
            "fast",
            "the rate is a hundred times too high",
            "The first step alone moves conv1's weights by a tenth and blows fc8's up to more "
            "than six times their size, and the loss leaps up at once, without end.",
            "Divide the rate by ten until the loss falls, or warm it up.",
            lr_factor=100.0,
        ),
        Fault(
            "brightness",
            "the mean image isn't subtracted",
            "At the first look conv1's outputs have a higher mean than the healthy ones, and yet "
            "from conv2 on they differ less across pictures. Later some of conv1's filters die.",
            "Subtract the mean image, or the mean colour, in training and at test.",
            subtract_mean=False,
        ),
        Fault(
            "labels",
            "the labels are shuffled",
            "Every layer looks healthy: signals, gradients and updates of the right size. But the "
            "training loss stays above chance, because there is nothing to learn.",
            "Look at twenty pictures with their labels before anything else.",
            shuffle_labels=True,
        ),
        Fault(
            "coin",
            "dropout is left on when the network is tested",
            "Training goes as the healthy one does, to the last digit. But the same photos, asked "
            "twice, get other answers, and the loss of the test is higher.",
            "net.eval() before every test, net.train() after it.",
            dropout_at_test=True,
        ),
        Fault(
            "silent",
            "all ReLUs of conv4 are dead",
            "All units of conv4 are dead, so above it no layer can tell one picture from another, "
            "and every weight's gradient is exactly 0. What still moves the weights is the decay "
            "alone: rate times decay, .0005 times .0005, and ten times that with momentum.",
            "Draw the layer's weights and biases anew, lower the rate that killed it, or begin "
            "with a small positive bias, which is what the 1s were for.",
            silenced=("conv4",),
        ),
        Fault(
            "frozen",
            "the optimizer was never given the convolutions",
            "Gradients arrive in conv1 to conv5, but their updates are exactly 0. The test may "
            "look well all the same: the last layers learn from random features.",
            "Give the optimizer all parameters; check that every layer moves in the first step.",
            frozen=("conv1", "conv2", "conv3", "conv4", "conv5"),
        ),
        Fault(
            "growing",
            "the weight decay has the wrong sign, and isn't scaled by the rate",
            "It starts as the healthy one does. But the norm of every layer's weights grows by the "
            "same factor from look to look; eight layers multiply it, and the loss climbs.",
            "v <- .9 v - rate * (g + decay * w): one minus for both, one rate for both.",
            growth=5e-4,
        ),
    )
}  # fmt: skip
#: Which fault hides behind which letter: an order that gives nothing away.
LETTERS: dict[str, str] = dict(
    zip(
        "ABCDEFGHI",
        ("labels", "silent", "fast", "coin", "faint", "frozen", "growing", "brightness", "printed"),
        strict=True,
    )
)


def find(name: str) -> Fault:
    """Return a fault by its name or by its letter; ValueError for others."""
    name = LETTERS.get(name, name)
    if name not in FAULTS:
        raise unknown_name("fault", name, [*FAULTS, *LETTERS])
    return FAULTS[name]
