"""Flags of what the attacker may do, and of the seed."""

from absl import flags

from anchor_tf.flags.parsers import define_fractions

flags.DEFINE_integer("seed", 0, "Seed of every random draw.", lower_bound=0, upper_bound=2**31 - 1)
flags.DEFINE_list(
    "norm",
    "linf",
    "Norm of the attack: linf or l2; evaluation takes several, by default that of the run.",
)
define_fractions(
    "epsilon",
    None,
    "Radius of the attack for pixels in [0, 1]; evaluation takes several, by default that of the "
    "run or, with --model, of the data set; benchmark takes 8/255 by default.",
)


@flags.multi_flags_validator(["norm", "epsilon"], "--norm and --epsilon do not fit")
def _radius_fits(values):
    if not values["norm"]:
        raise flags.ValidationError("--norm is empty: choose linf or l2")
    for norm in values["norm"]:
        if norm not in ("linf", "l2"):
            raise flags.ValidationError(f"--norm={norm} is unknown: choose linf or l2")
    for epsilon in values["epsilon"] or ():
        # Without --norm it is that of the run in an evaluation.
        if epsilon > 1 and "linf" in values["norm"] and flags.FLAGS["norm"].present:
            raise flags.ValidationError(
                f"--epsilon={epsilon:g} is out of range: pixels lie in [0, 1], write 8/255 for "
                "eight grey levels"
            )
    return True
