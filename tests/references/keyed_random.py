"""The pcg4d hash in plain Python integers."""


def pcg4d(*words):
    """Four 32-bit integers, hashed as Jarzynski and Olano 2020 define it."""
    x, y, z, w = ((word * 1664525 + 1013904223) % 2**32 for word in words)
    for turn in range(2):
        x = (x + y * w) % 2**32
        y = (y + z * x) % 2**32
        z = (z + x * y) % 2**32
        w = (w + y * z) % 2**32
        if turn == 0:
            x, y, z, w = (word ^ (word >> 16) for word in (x, y, z, w))
    return x, y, z, w


def uniform(key, count):
    """The first `count` uniform numbers of a key of three words."""
    words = [word for block in range(-(-count // 4)) for word in pcg4d(*key, block)]
    return [(word >> 8) / 2**24 for word in words[:count]]
