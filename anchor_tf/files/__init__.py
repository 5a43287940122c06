"""Files that bear a kill at any moment: whole or not at all, locked, read back with care."""
