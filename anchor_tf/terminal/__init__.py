"""How the mains start, speak and end: mistakes in one line, signals, a quiet console."""
