"""What the mains share: flags refused or made a run's configuration, a model's assessment."""
