"""What leaving out search results costs: `python -m benchmarks.compress_hits QUESTIONS --corpus DB`.

Each question is searched for, and the hits are filtered as `Compress` does without a model. Printed is how many of the
documents that hold the answer a search finds, how many of those stay, and how much of the text does.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from agentinfer.compress import Compress
from agentinfer.compress._hits import by_words, hits_of
from agentinfer.compress._lexical import words_of
from agentinfer.corpus import Corpus
from agentinfer.evals import Question, load_questions

HITS = (5, 10, 16)
SHARES = (0.15, 0.3, 0.5)
KEEP = Compress().settings.keep_hits

Hits = list[tuple[str, str, str]]


def measure(searched: Sequence[tuple[Question, Hits]], share: float) -> tuple[int, int, float]:
    """Documents found, those of them that stay, and the share of the text that does."""
    found = stay = 0
    shown = whole = 0
    for question, told in searched:
        kept = by_words(told, words_of(question.question), share=share, least=KEEP).kept
        wanted = {title for _, title, _ in told} & set(question.supporting_titles)
        found += len(wanted)
        stay += len(wanted & {told[at][1] for at in kept})
        whole += sum(len(snippet) for _, _, snippet in told)
        shown += sum(len(told[at][2]) for at in kept)
    return found, stay, shown / max(whole, 1)


async def run(arguments: argparse.Namespace) -> None:
    """Print a row for each setting."""
    questions = load_questions(arguments.questions, split=arguments.split)
    wanted = sum(len(question.supporting_titles) for question in questions)
    print(f"{len(questions)} questions, {wanted} documents that hold their answers\n")
    print("| hits | share | found | stay | of the text |\n|---|---|---|---|---|")
    async with Corpus(arguments.corpus) as corpus:
        for hits in HITS:
            searched = [(one, hits_of(await corpus.search(one.question, hits)) or []) for one in questions]
            for share in SHARES:
                found, stay, text = measure(searched, share)
                print(f"| {hits} | {share} | {found} | {stay} | {text:.0%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compress_hits", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("questions", type=Path, metavar="QUESTIONS")
    parser.add_argument("--corpus", type=Path, required=True, metavar="DB")
    parser.add_argument("--split", choices=["develop", "report"])
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
