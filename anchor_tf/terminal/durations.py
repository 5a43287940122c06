"""Durations for people."""


def clock(seconds: float) -> str:
    """Minutes and seconds, 1:05, or hours too, 2:01:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
