"""The flag that names a run's folder."""

from absl import flags

flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run; train's is runs/METHOD_DATASET by default, study's runs/study_DATASET.",
)
