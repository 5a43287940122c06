"""Flags that say where a run computes; none of them changes what comes out beyond rounding."""

from absl import flags

flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one", "mirrored", "multiworker"],
    "Devices: one; mirrored over all GPUs of this machine; multiworker over the machines of "
    "TF_CONFIG or SLURM; auto, whatever is there.",
)
flags.DEFINE_integer(
    "virtual_devices", None, "Split the CPU into this many devices.", lower_bound=1, upper_bound=64
)


@flags.multi_flags_validator(
    ["strategy", "virtual_devices"], "--strategy and --virtual_devices do not fit"
)
def _virtual_devices_fit(values):
    if values["virtual_devices"] and values["strategy"] in ("one", "multiworker"):
        raise flags.ValidationError(
            f"--virtual_devices={values['virtual_devices']} needs --strategy=mirrored or auto"
        )
    return True
