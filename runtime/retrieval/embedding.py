"""Embedding: vectors of questions and passages, by a model that is loaded beside the first."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from runtime.container import second_models
from runtime.container.bundle_file import Bundle
from runtime.container.second_models import EMBEDDER
from runtime.container.text_form import POOLINGS, TextForm
from runtime.errors import ModelError
from runtime.host import resources
from runtime.inference.vectors.text_batches import TextBatches
from runtime.model import model_file
from runtime.model.llama_api import api
from runtime.model.loader import open_stored
from runtime.model.model import Model
from runtime.model.model_file import ModelFile
from runtime.options.registry import Options


class LocalEmbedder:
    """An embedding model in the engine, beside others; safe to use from any thread."""

    def __init__(self, source: ModelFile, form: TextForm, options: Options) -> None:
        """Load `source`, stored as it is, and give it texts in `form`.

        The engine must have been started. Raise AppError if that fails.
        """
        self.form = form
        self._source = source.opened_anew() if options.sleeps else source
        self._options = options
        self.open()
        self.identity = f"{source.fingerprint} {form.identity}"
        """What vectors depend on: those of another identity must not be compared with these."""

    def open(self) -> None:
        """Load the model, at first or after `close`; raise AppError if that fails."""
        source, options, form = self._source, self._options, self.form
        with open_stored(source, options) as file:
            self._model = Model(source, file, options)
        try:
            self.dimensions = int(api.llama_model_n_embd_out(self._model.handle))
            if form.dimensions not in (0, self.dimensions):
                raise ModelError(
                    f"{source.label} makes vectors of {self.dimensions} numbers, not of "
                    f"{form.dimensions}",
                    hint="bundle it again",
                )
            self._batches = TextBatches(
                self._model,
                pooling=POOLINGS[form.pooling],
                width=self.dimensions,
                threads=options.threads_batch or options.threads or resources.physical_cores(),
            )
        except BaseException:
            self._model.close()
            raise

    def query(self, text: str) -> Sequence[float]:
        """Return the vector of a question, of length 1; raise ModelError if the engine fails."""
        return self._vectors(self.form.query, [text])[0]

    def passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """Return the vectors of texts in which answers may be, each of length 1.

        Of a text that is too long for the model, the end is left out. Raise ModelError if the
        engine fails.
        """
        return self._vectors(self.form.passage, texts)

    def close(self) -> None:
        """Free the model; `open` loads it again."""
        self._batches.close()
        self._model.close()

    def _vectors(self, prefix: str, texts: Sequence[str]) -> list[Sequence[float]]:
        tokens = [self._tokens(prefix + text) for text in texts]
        return [_of_length_1(vector) for vector in self._batches.compute(tokens)]

    def _tokens(self, text: str) -> list[int]:
        found = self._model.tokenize(text, beginning=True, special=False)
        if len(found) <= (room := self._batches.room):
            return found
        # What the tokenizer puts behind every text.
        end = self._model.tokenize("", beginning=True)[int(self._model.adds_bos) :]
        return [*found[: room - len(end)], *end]


def open_embedder(bundle: Bundle | None, options: Options) -> LocalEmbedder | None:
    """Return the embedding model of `bundle`, loaded; None if it has none.

    The engine must have been started. Raise AppError if the model cannot be loaded.
    """
    section = second_models.section_of(bundle, EMBEDDER)
    if bundle is None or section is None:
        return None
    form = TextForm.of(section.facts, section.name)
    return LocalEmbedder(model_file.from_section(bundle, section), form, options)


def _of_length_1(vector: Sequence[float]) -> Sequence[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return array("f", [value / length for value in vector] if length else vector)
