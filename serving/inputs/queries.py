"""What is asked for in an address: read once, checked, and refused by name."""

import re

from starlette.datastructures import QueryParams

from serving.problems import Refusal

NUMBER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
SHOWN = 40  # characters of what was asked that a refusal repeats


def one(query: QueryParams, name: str, otherwise: str) -> str:
    """The value of `name`, or `otherwise` where it is not asked for. Raises Refusal 422 where it is asked for twice."""
    values = query.getlist(name)
    if len(values) > 1:
        raise Refusal(422, "bad query", f"{name} is asked for {len(values)} times: {', '.join(values)[:80]!r}. Ask once.")
    return values[0] if values else otherwise


def whole(query: QueryParams, name: str, least: int, most: int, otherwise: int) -> int:
    """The whole number `name` from `least` to `most`, or `otherwise`. Raises Refusal 422 that names both."""
    word = one(query, name, str(otherwise))
    if not NUMBER.fullmatch(word) or not least <= int(word) <= most:
        words = f"{name}={word[:SHOWN]!r} is not a whole number from {least} to {most:,}. Ask for {name}={otherwise}, for example."
        raise Refusal(422, "bad query", words)
    return int(word)
