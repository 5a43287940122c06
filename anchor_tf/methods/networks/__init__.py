"""Networks that train themselves: what every method is built on."""
