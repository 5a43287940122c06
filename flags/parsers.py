"""Parsers for what absl has no flag type for."""

from absl import flags

flags.disclaim_key_flags()  # a flag defined through this module belongs to the module that asks


class FractionListParser(flags.ArgumentParser):
    """Numbers separated by commas, each a decimal or a fraction such as 8/255, at least 0."""

    syntactic_help = "a number or fraction such as 0.1 or 8/255, or several separated by commas"

    def parse(self, argument):
        if argument is None or isinstance(argument, list):
            return argument
        try:
            values = [self._number(item) for item in argument.split(",")]
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{argument!r} should be {self.syntactic_help}") from error
        if not all(0 <= value < float("inf") for value in values):
            raise ValueError(f"{argument!r} is out of range: at least 0")
        return values

    def flag_type(self):
        return "numbers"

    @staticmethod
    def _number(text: str) -> float:
        numerator, slash, denominator = text.partition("/")
        return float(numerator) / float(denominator) if slash else float(numerator)


def define_fractions(name: str, default: str | None, help_text: str) -> None:
    """Defines a flag that holds a list of floats."""
    parser = FractionListParser()
    flags.DEFINE(parser, name, default, help_text, serializer=flags.CsvListSerializer(","))
