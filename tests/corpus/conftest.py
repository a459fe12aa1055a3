"""A small corpus in several languages."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentinfer.corpus import Corpus, Document, build

DOCUMENTS = [
    Document("chad", "Chad - Geography", "Chad is landlocked. Which countries border Chad: Libya, Niger, Cameroon."),
    Document("niger", "Niger - Government", "The capital of Niger is Niamey. The government sits there."),
    Document("sudan", "Sudan - Government", "The capital of Sudan is Khartoum, where the Niles meet."),
    Document("lille", "Hôtel de Ville", "The town hall of Lille; its belfry can be climbed by visitors."),
    Document("7", "Hôtel de ville", "A metro stop in Lyon."),
    Document("tokyo", "東京", "東京は日本の首都である。iPhoneアプリの会社も多い。The capital of Japan."),
    Document("beijing", "北京", "北京是中国的首都，水资源不足。"),
    Document("seoul", "서울", "서울은 대한민국의 수도이다."),
]


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "small.db"
    build(DOCUMENTS, path)
    return path


@pytest.fixture
async def corpus(path: Path) -> AsyncIterator[Corpus]:
    async with Corpus(path) as corpus:
        yield corpus
