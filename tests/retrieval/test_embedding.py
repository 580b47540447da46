"""Vectors and scores of a second model: many at once are the same as one by one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import gguf
import ggufs
import pytest
from encoders import CONTEXT, WIDTH, write_encoder
from engines import in_child, started

from runtime import bounds
from runtime.container.text_form import TextForm
from runtime.errors import FormatError, ModelError
from runtime.model.model_file import open_file
from runtime.options.registry import Options

OPTIONS = Options(threads=1)
TEXTS = ["the thing", "and the other thing in the world", "x", "zebra " * 9, "the thing"]
MEAN = TextForm("mean")


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "encoder.gguf")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranks") / "ranks.gguf"
    return write_encoder(path, gguf.PoolingType.RANK)


@in_child
def test_many_texts_at_once_are_as_one_by_one(encoder: Path) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    for pooling in ("mean", "cls", "last"):
        form = TextForm(pooling)
        embedder = LocalEmbedder(open_file(encoder), form, OPTIONS)
        texts = [f"{text} {number}" for number in range(30) for text in TEXTS]
        together = embedder.passages(texts)
        assert WIDTH == embedder.dimensions == len(together[0])
        for text, vector in zip(texts, together, strict=True):
            (alone,) = embedder.passages([text])
            assert cosine(alone, vector) == pytest.approx(1, abs=1e-5)
            assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
        embedder.close()


@in_child
def test_a_model_that_also_generates_makes_the_same_vectors_of_many(tmp_path: Path) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    pooled = ggufs.write_model(
        tmp_path / "qwen.gguf", "qwen3", "F32",
        change=lambda writer: writer.add_pooling_type(gguf.PoolingType.LAST),
    )  # fmt: skip
    for pooling in ("last", "mean"):
        embedder = LocalEmbedder(open_file(pooled), TextForm(pooling), OPTIONS)
        texts = [f"{text} {number}" for number in range(8) for text in TEXTS]
        for text, vector in zip(texts, embedder.passages(texts), strict=True):
            assert cosine(embedder.query(text), vector) == pytest.approx(1, abs=1e-4)
        embedder.close()


@in_child
def test_a_model_of_a_short_context_is_used(tmp_path: Path) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    path = write_encoder(tmp_path / "short.gguf", context=5)
    embedder = LocalEmbedder(open_file(path), MEAN, OPTIONS)
    vectors = embedder.passages(["the thing and another", *["x"] * 9])
    assert cosine(vectors[1], vectors[9]) == pytest.approx(1, abs=1e-4)
    embedder.close()


@in_child
def test_vectors_are_those_of_the_server(encoder: Path) -> None:
    from runtime.inference.vectors.embedder import Embedder
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    embedder = LocalEmbedder(open_file(encoder), MEAN, OPTIONS)
    model = embedder._model
    server = Embedder(model, OPTIONS, declared=1, threads=1)
    for text, vector in zip(TEXTS, embedder.passages(TEXTS), strict=True):
        tokens = model.tokenize(text, beginning=True)
        assert vector.tolist() == pytest.approx(server.embed(tokens), abs=1e-3)
    server.close()
    embedder.close()


@in_child
def test_prefixes_are_put_before_texts(encoder: Path) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    plain = LocalEmbedder(open_file(encoder), MEAN, OPTIONS)
    form = TextForm("mean", "query: ", "Instruct: x\nText: ", WIDTH)
    prefixed = LocalEmbedder(open_file(encoder), form, OPTIONS)
    assert plain.query("query: the") == prefixed.query("the")
    assert plain.passages(["Instruct: x\nText: the"]) == prefixed.passages(["the"])
    identities = {plain.identity, prefixed.identity}
    identities.add(LocalEmbedder(open_file(encoder), TextForm("cls"), OPTIONS).identity)
    assert 3 == len(identities)


@in_child
def test_long_texts_are_cut_and_empty_ones_have_a_vector(encoder: Path) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    embedder = LocalEmbedder(open_file(encoder), MEAN, OPTIONS)
    long = "zebra " * 5000
    cut = embedder._tokens(long)
    assert CONTEXT == len(cut)
    assert cosine(*embedder.passages([long, "zebra " * 6000])) == pytest.approx(1, abs=1e-5)
    assert [] == embedder.passages([])


@in_child
def test_another_number_of_dimensions_is_refused(encoder: Path) -> None:
    from runtime.retrieval.embedding import LocalEmbedder

    started()
    form = dataclasses.replace(MEAN, dimensions=1024)
    with pytest.raises(ModelError, match="makes vectors of 32 numbers, not of 1024"):
        LocalEmbedder(open_file(encoder), form, OPTIONS)


@in_child
def test_scores_are_the_same_together_and_alone(ranks: Path) -> None:
    from runtime.retrieval.ranking import LocalRanker

    started()
    ranker = LocalRanker(open_file(ranks), OPTIONS)
    scores = ranker.scores("what is the thing", TEXTS)
    assert scores[0] == pytest.approx(scores[4], abs=1e-3)
    assert 4 == len({round(score, 4) for score in scores})
    for text, score in zip(TEXTS, scores, strict=True):
        assert ranker.scores("what is the thing", [text]) == pytest.approx([score], abs=1e-2)
    long = ranker.scores("why " * 500, ["zebra " * 500, "x"])
    assert 2 == len(long)
    assert [] == ranker.scores("why", [])
    ranker.close()


@in_child
def test_a_pair_is_laid_out_as_the_engines_server_does(ranks: Path, encoder: Path) -> None:
    from runtime.inference.vectors.rank_pair import pair_tokens
    from runtime.retrieval.ranking import LocalRanker

    started()
    ranker = LocalRanker(open_file(ranks), OPTIONS)
    model = ranker._model
    ask, tell = (model.tokenize(text, beginning=False) for text in ("why", "the thing"))
    assert [*ask, *tell] == pair_tokens(model, "why", "the thing", 64)
    assert [*ask[:2], *tell[:2]] == pair_tokens(model, "why", "the thing", 4)
    # Neither text can close the other's place by spelling a token.
    assert len(pair_tokens(model, "<|im_end|>", "x", 64)) > 2
    with pytest.raises(ModelError, match="is no model for reranking"):
        LocalRanker(open_file(encoder), OPTIONS)


@in_child
def test_a_template_for_reranking_is_filled(tmp_path: Path) -> None:
    from runtime.inference.vectors.rank_pair import pair_tokens
    from runtime.retrieval.ranking import LocalRanker

    started()
    template = "Q: {query} D: {document} end"

    def change(writer: gguf.GGUFWriter) -> None:
        writer.add_string("tokenizer.chat_template.rerank", template)

    path = write_encoder(tmp_path / "t.gguf", gguf.PoolingType.RANK, change=change)
    model = LocalRanker(open_file(path), OPTIONS)._model
    expected = model.tokenize("Q: {document} D: the end", beginning=False)
    assert expected == pair_tokens(model, "{document}", "the", 64)
    cut = pair_tokens(model, "why", "the thing " * 200, 64)
    assert 32 < len(cut) <= 64
    assert (
        model.tokenize(" end", beginning=False)
        == cut[-len(model.tokenize(" end", beginning=False)) :]
    )


@pytest.mark.parametrize(
    "facts",
    [{}, {"pooling": "rank"}, {"pooling": "mean", "query_prefix": 5}, {"pooling": ["mean"]},
     {"pooling": "mean", "dimensions": "many"}, {"pooling": "mean", "passage_prefix": ["x"]}],
)  # fmt: skip
def test_facts_that_are_none_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="the facts of the part 'embedder' are none"):
        TextForm.of(facts, "embedder")


def test_a_prefix_beyond_the_bound_is_refused() -> None:
    longest = "x" * bounds.EMBEDDER_PREFIX
    for side in ("query", "passage"):
        facts = {**MEAN.facts(), f"{side}_prefix": longest}
        assert longest == getattr(TextForm.of(facts, "embedder"), side)
        facts[f"{side}_prefix"] += "x"
        with pytest.raises(FormatError, match="the facts of the part 'embedder' are none"):
            TextForm.of(facts, "embedder")


def test_facts_are_a_round_trip() -> None:
    form = TextForm("last", "Instruct: x\nQuery: ", "", 1024)
    assert form == TextForm.of(form.facts(), "embedder")


@in_child
def test_models_that_were_freed_are_loaded_again_without_their_files(
    encoder: Path, ranks: Path, tmp_path: Path
) -> None:
    from runtime.retrieval.embedding import LocalEmbedder
    from runtime.retrieval.helpers import Helpers
    from runtime.retrieval.ranking import LocalRanker

    started()
    sleeping = dataclasses.replace(OPTIONS, sleep_idle_seconds=1)
    files = [tmp_path / "encoder.gguf", tmp_path / "ranks.gguf"]
    for file, original in zip(files, (encoder, ranks), strict=True):
        file.write_bytes(original.read_bytes())
    embedder = LocalEmbedder(open_file(files[0]), MEAN, sleeping)
    ranker = LocalRanker(open_file(files[1]), sleeping)
    helpers = Helpers(embedder, ranker)
    before = embedder.query("the thing"), ranker.scores("the thing", TEXTS)
    for file in files:
        file.unlink()
    for _ in range(2):
        helpers.close()
        helpers.open()
        assert before == (embedder.query("the thing"), ranker.scores("the thing", TEXTS))
    helpers.close()
