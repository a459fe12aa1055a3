"""How well a text fits what is looked for, by its words alone."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["scores", "words_of"]

_WORD = re.compile(r"[^\W_]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_COMMON_WORDS = (
    "a an the of in on at to for from by with and or is are was were be been as it its that this which who whom whose "
    "what when where how many much did does do has have had not no"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def words_of(text: str) -> list[str]:
    """The words that tell something, folded, without a plural's s; pairs of characters where a script has no blanks."""
    words = []
    for word in _WORD.findall(text.casefold()):
        if _CJK.search(word):
            words += [word[at : at + 2] for at in range(max(len(word) - 1, 1))]
        elif word not in _COMMON:
            words.append(word.removesuffix("s") if len(word) > 3 else word)
    return words


def scores(texts: Sequence[str], wanted: Iterable[str]) -> list[float]:
    """How well each text fits the wanted words, 0 and more: rare words count, common ones hardly."""
    wanted = set(wanted)
    bags = [Counter(words_of(text)) for text in texts]
    holding = Counter(word for bag in bags for word in wanted & bag.keys())
    weight = {word: math.log(1 + len(bags) / count) for word, count in holding.items()}
    return [
        sum(weight[word] * (1 + math.log(bag[word])) for word in wanted & bag.keys()) / math.sqrt(8 + bag.total())
        for bag in bags
    ]
