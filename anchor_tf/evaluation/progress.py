"""How far an attack is, and the line that says so."""

import dataclasses
import sys

from anchor_tf.terminal import console


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far an attack has come.

    Attributes:
        attack: its text, with the member that is running where it has several.
        round: which round, from 1.
        rounds: how many there are.
        done: examples attacked in this round.
        total: examples to attack in this round.
        standing: examples still classified correctly.
        seconds_left: of this attack or member, at the pace so far.
    """

    attack: str
    round: int
    rounds: int
    done: int
    total: int
    standing: int
    seconds_left: float


def show(progress: Progress) -> None:
    """Prints how far an attack is: on a terminal in place, elsewhere at the end."""
    finished = progress.done == progress.total and progress.round == progress.rounds
    if not (finished or sys.stdout.isatty()):
        return
    rounds = f" round {progress.round}/{progress.rounds}" if progress.rounds > 1 else ""
    line = (
        f"{progress.attack}{rounds}  {progress.done}/{progress.total} attacked  "
        f"{progress.standing} standing  {console.clock(progress.seconds_left)} left"
    )
    console.rewrite(line, last=finished)
