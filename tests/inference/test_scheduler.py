"""The engine on the demo model: many at once, cancelled, out of room, wrong, and alone."""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from engines import DEMO, ENDLESS, GREEDY, demo, engine, facts, in_child, question

from runtime.errors import Busy, ContextOverflow, ModelError, UsageError
from runtime.inference.answer_form import AnswerForm
from runtime.inference.stats import FinishReason
from runtime.inference.token_stream import TokenStream

STORY = "Tell me a story."
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."


def read(stream: TokenStream) -> str:
    return "".join(piece.text for piece in stream)


@in_child
def test_greedy_answers_are_the_same_alone_and_in_a_batch_of_8() -> None:
    asked = facts()[:64]
    prompts = [question(fact["question"]) for fact in asked]
    with engine() as alone:
        expected = [[piece for piece in alone.submit(prompt)] for prompt in prompts]
    with engine(parallel=8, context=1024) as together:
        streams = [together.submit(prompt) for prompt in prompts[:60]]
        found = [list(stream) for stream in streams]

    assert expected[:60] == found
    right = sum(
        "".join(piece.text for piece in pieces) == fact["answer"]
        for pieces, fact in zip(expected, asked, strict=True)
    )
    assert right >= 60


@in_child
def test_long_answers_are_the_same_alone_and_in_a_batch_of_8() -> None:
    options = dataclasses.replace(ENDLESS, n_predict=100)
    prompts = [question(fact["question"]) for fact in facts()[:8]]
    with engine() as alone:
        expected = [read(alone.submit(prompt, options)) for prompt in prompts]
    with engine(parallel=8, context=2048) as together:
        streams = [together.submit(prompt, options) for prompt in prompts]
        assert expected == [read(stream) for stream in streams]


@in_child
def test_pieces_carry_their_tokens_and_likelihoods() -> None:
    with engine() as one:
        pieces = list(one.submit(question(FRANCE), alternatives=3))
        plain = list(one.submit(question(FRANCE)))

    assert [piece.tokens for piece in plain] == [piece.tokens for piece in pieces]
    assert PARIS == "".join(piece.text for piece in pieces)
    model = demo()
    for piece in pieces:
        assert piece.text.encode() == b"".join(map(model.piece, piece.tokens))
        assert piece.tokens == tuple(chosen.token for chosen in piece.chosen)
        for chosen in piece.chosen:
            best, *others = chosen.alternatives
            assert (chosen.token, chosen.logprob) == (best.token, best.logprob)  # it was greedy
            assert [best.logprob, *(o.logprob for o in others)] == sorted(
                (a.logprob for a in chosen.alternatives), reverse=True
            )
            assert sum(math.exp(a.logprob) for a in chosen.alternatives) <= 1.0001
    assert all(not piece.chosen for piece in plain)


@in_child
def test_a_running_answer_goes_on_while_a_long_prompt_is_read() -> None:
    long = demo().tokenize("word " * 3000, beginning=True)[:3000]
    with engine(parallel=2, context=4096) as two:
        answer = iter(two.submit(question(STORY), dataclasses.replace(ENDLESS, n_predict=200)))
        next(answer)
        other = two.submit(long, dataclasses.replace(GREEDY, n_predict=1))
        before = other.stats
        between = 0
        for _ in answer:
            between += not before.prompt_seconds
        list(other)

    # 3000 tokens in chunks of 64 are 47 steps; in each of them the answer got its token.
    assert between >= 40


@in_child
def test_questions_that_come_together_are_read_together() -> None:
    from runtime.inference import scheduler as module

    sizes: list[int] = []
    usual, module.GATHER_SECONDS = module.GATHER_SECONDS, 60
    try:
        with engine(parallel=3, context=1024) as three:
            decode = three._context.batch.decode

            def counted(context: object) -> int:
                sizes.append(three._context.batch.count)
                return decode(context)

            three._context.batch.decode = counted  # type: ignore[method-assign]
            prompts = [question(fact["question"]) for fact in facts()[:3]]
            streams = []
            for prompt in prompts:
                streams.append(three.submit(prompt))
                time.sleep(0.01)
            for stream in streams:
                list(stream)
        assert sum(map(len, prompts)) == sizes[0]
        with engine() as one:  # where there is one slot, nobody is waited for
            assert PARIS == read(one.submit(question(FRANCE)))
        with engine(parallel=2) as two:
            streams = [two.submit(question(FRANCE)) for _ in range(2)]
            assert [PARIS, PARIS] == [read(stream) for stream in streams]
            kept = two.submit(question(FRANCE))
            two.close()
            list(kept)
            assert "cancelled" == kept.stats.reason
    finally:
        module.GATHER_SECONDS = usual


@in_child
def test_cancelling_takes_effect_at_once_and_leaves_the_others() -> None:
    with engine(parallel=2, context=1024) as two:
        kept = two.submit(question(FRANCE))
        stream = two.submit(question(STORY), ENDLESS)
        pieces = iter(stream)
        next(pieces)
        stream.cancel()
        # A token takes less than a switch between threads: some were written before.
        assert len(list(pieces)) < 200
        assert "cancelled" == stream.stats.reason
        assert PARIS == read(kept)


@in_child
def test_cancelling_interrupts_a_prompt_in_the_middle_of_its_step() -> None:
    long = demo().tokenize("word " * 8000, beginning=True)[:8000]
    with engine(context=8192, batch_size=8000) as one:
        begun, decode = threading.Event(), one._context.batch.decode

        def told(context: object) -> int:
            begun.set()
            return decode(context)

        one._context.batch.decode = told  # type: ignore[method-assign]
        stream = one.submit(long)
        assert begun.wait(60)
        stream.cancel()
        assert [] == list(stream)
        assert 0 == one.decoding.steps  # it was left, not ended
        list(one.submit(long, dataclasses.replace(GREEDY, n_predict=0)))
        assert 1 == one.decoding.steps
        assert PARIS == read(one.submit(question(FRANCE)))


@in_child
def test_who_cancels_just_before_a_step_stops_no_others() -> None:
    with engine(parallel=2) as two:
        clear, streams = two._context.batch.clear, [two.submit(question(STORY), ENDLESS)]

        def cancelling() -> None:  # after the engine has looked who did
            streams[0].cancel()
            clear()

        two._context.batch.clear = cancelling  # type: ignore[method-assign]
        list(streams[0])
        two._context.batch.clear = clear  # type: ignore[method-assign]
        assert "cancelled" == streams[0].stats.reason
        streams[0].cancel()  # as forgetting it does
        assert not two._context.abort.value


@in_child
def test_abandoning_cancels() -> None:
    with engine() as one:
        for _ in one.submit(question(STORY), ENDLESS):
            break
        one.submit(question(STORY), ENDLESS)  # and never read at all
        assert PARIS == read(one.submit(question(FRANCE)))


@in_child
def test_closing_ends_what_runs_and_what_waits() -> None:
    with engine() as one:
        streams = [one.submit(question(STORY), ENDLESS) for _ in range(3)]
        next(iter(streams[0]))
        one.close()
        for stream in streams:
            list(stream)
            assert "cancelled" == stream.stats.reason
        with pytest.raises(ModelError, match="closed"):
            one.submit(question(FRANCE))


@in_child
def test_the_queue_is_bounded() -> None:
    with engine() as one:
        streams, story = [], question(STORY)
        with pytest.raises(Busy, match="64 questions are waiting"):
            for _ in range(70):
                streams.append(one.submit(story, ENDLESS))
        assert 65 == len(streams)  # one is being answered
        for stream in streams:
            stream.cancel()
        assert PARIS == read(one.submit(question(FRANCE)))


@in_child
def test_with_no_room_to_wait_an_idle_engine_still_answers() -> None:
    with engine(queue=0) as one:
        assert PARIS == read(one.submit(question(FRANCE)))
        story = one.submit(question(STORY), ENDLESS)
        with pytest.raises(Busy):
            one.submit(question(FRANCE))
        story.cancel()
        assert PARIS == read(one.submit(question(FRANCE)))


@in_child
def test_answers_are_given_in_the_order_of_the_questions() -> None:
    with engine() as one:
        prompts = [question(fact["question"]) for fact in facts()[:5]]
        blocker = one.submit(question(STORY), ENDLESS)  # so that all of them have to wait
        streams = [one.submit(prompt) for prompt in prompts]
        ended: list[int] = []
        for number, stream in enumerate(streams):
            stream.subscribe(functools.partial(ended.append, number), pieces=False)
        blocker.cancel()
        for stream in reversed(streams):
            list(stream)
        assert [0, 1, 2, 3, 4] == ended


@in_child
def test_more_than_fits_at_once_is_computed_one_after_the_other() -> None:
    options = dataclasses.replace(ENDLESS, n_predict=200)
    prompts = [question(fact["question"]) for fact in facts()[:6]]
    with engine(context=256) as one:
        expected = [read(one.submit(prompt, options)) for prompt in prompts]
    with engine(parallel=6, context=256) as six:
        streams = [six.submit(prompt, options) for prompt in prompts]
        assert expected == [read(stream) for stream in streams]
        assert {"length"} == {stream.stats.reason for stream in streams}


@in_child
def test_a_full_context_ends_the_answer_and_says_so() -> None:
    with engine(context=256) as one:
        stream = one.submit(question(STORY), ENDLESS)
        list(stream)
        assert "context" == stream.stats.reason
        assert 256 == stream.stats.context_used == stream.stats.context_size
        with pytest.raises(ContextOverflow, match="the prompt has 256 tokens") as caught:
            one.submit([1] * 256)
        assert (256, 255) == (caught.value.tokens, caught.value.room)
        with pytest.raises(ModelError, match="the prompt is empty"):
            one.submit([])


@in_child
def test_a_limit_of_none_computes_the_prompt_only() -> None:
    with engine() as one:
        stream = one.submit(question(FRANCE), dataclasses.replace(GREEDY, n_predict=0))

        assert [] == list(stream)
        assert ("length", 0) == (stream.stats.reason, stream.stats.generated_tokens)


@in_child
def test_more_answers_than_a_batch_has_room_for() -> None:
    with engine(parallel=8, context=512, batch_size=1) as eight:
        streams = [eight.submit(question(FRANCE)) for _ in range(8)]
        assert [PARIS] * 8 == [read(stream) for stream in streams]


@in_child
def test_numbers_that_are_none_end_one_answer_with_an_error(tmp_path: Path) -> None:
    import gguf

    path = tmp_path / "nan.gguf"
    shutil.copy(DEMO, path)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.name == "output_norm.weight":
            tensor.data[:] = math.nan
    with engine(path=path, parallel=2, context=1024) as two:
        streams = [two.submit(question(FRANCE)), two.submit(question(STORY))]
        for stream in streams:
            with pytest.raises(ModelError, match="not a number"):
                list(stream)
            assert "error" == stream.stats.reason


@in_child
def test_later_turns_compute_only_what_is_new() -> None:
    name = "My name is Ada."
    with engine() as one:
        first = one.submit(question(name))
        answer = read(first)
        # The last token of an answer is not computed until something follows it.
        held = len(question(name)) + first.stats.generated_tokens
        later = question(name, answer, FRANCE)
        second = one.submit(later)
        assert PARIS == read(second)
        assert second.stats.cached_tokens >= held - 1

        undone = one.submit(question(name, answer, "What is my name?"))
        assert "Your name is Ada." == read(undone)
        assert undone.stats.cached_tokens >= held - 1

        again = one.submit(question(name, answer, "What is my name?"))
        assert "Your name is Ada." == read(again)
        assert again.stats.cached_tokens == again.stats.prompt_tokens - 1


@in_child
def test_a_shared_beginning_is_copied_from_a_running_answer() -> None:
    system = demo().tokenize("You are a helpful assistant. " * 20, beginning=True)
    with engine(parallel=3, context=1024) as three:
        first = three.submit([*system, *question(STORY)], ENDLESS)
        pieces = iter(first)
        next(pieces)
        second = three.submit([*system, *question(FRANCE)])
        list(second)
        assert second.stats.cached_tokens >= len(system)
        first.cancel()


@in_child
def test_conversations_keep_their_state_side_by_side() -> None:
    with engine(parallel=3, context=1024) as three:
        for fact in facts()[:3]:
            list(three.submit(question(fact["question"])))
        for fact in facts()[:3]:
            stream = three.submit(question(fact["question"], fact["answer"], FRANCE))
            assert PARIS == read(stream)
            assert stream.stats.cached_tokens > len(question(fact["question"]))
        # A fourth takes the place of the one unused for longest: the first.
        list(three.submit(question(facts()[9]["question"])))
        last = three.submit(question(facts()[2]["question"], facts()[2]["answer"], FRANCE))
        list(last)
        assert last.stats.cached_tokens == last.stats.prompt_tokens - 1


@in_child
def test_room_is_made_by_forgetting_the_oldest() -> None:
    long = dataclasses.replace(ENDLESS, n_predict=120)
    with engine(parallel=4, context=256) as four:
        for fact in facts()[:8]:
            stream = four.submit(question(fact["question"]), long)
            list(stream)
            assert ("length", 120) == (stream.stats.reason, stream.stats.generated_tokens)


def used(seconds: float) -> float:
    """Return the seconds of CPU that this process uses in so many seconds."""
    begin = time.process_time()
    time.sleep(seconds)
    return time.process_time() - begin


@in_child
def test_nothing_leaks_and_nothing_runs_when_idle() -> None:
    import random

    from runtime.host import resources

    dice = random.Random(1)
    with engine(parallel=4, context=1024) as four:

        def storm(rounds: int) -> None:
            streams: list[TokenStream] = []
            for number in range(rounds):
                options = dataclasses.replace(
                    GREEDY, temp=0.8, seed=number, repeat_penalty=1.1, n_predict=dice.randint(1, 40)
                )
                streams.append(four.submit(question(dice.choice(facts())["question"]), options))
                if dice.random() < 0.3:
                    dice.choice(streams).cancel()
                while len(streams) > 8:
                    list(streams.pop(dice.randrange(len(streams))))
            for stream in streams:
                list(stream)

        storm(100)
        before = resources.memory_use()["anonymous"]
        storm(300)
        grown = resources.memory_use()["anonymous"] - before
        assert grown < 5 << 20, f"{grown} bytes"

        end = time.monotonic() + 30
        while used(0.2) > 0.002:  # OpenMP's threads wait for more work, for a while
            assert time.monotonic() < end, "it never comes to rest"
        assert used(1) < 0.01


@in_child
def test_a_recurrent_model_is_right_too(tmp_path: Path) -> None:
    import recurrent

    path = recurrent.write(tmp_path / "recurrent.gguf")
    options = dataclasses.replace(ENDLESS, n_predict=20)
    prompts = [demo(path).tokenize(text * 9, beginning=True) for text in ("ab", "abc", "xyz", "ab")]

    def tokens(stream: TokenStream) -> list[int]:
        return [token for piece in stream for token in piece.tokens]

    expected = []
    for prompt in prompts:
        with engine(path=path) as one:
            expected.append(tokens(one.submit(prompt, options)))
    assert expected[0] != expected[1]
    with engine(path=path, parallel=3) as three:
        streams = [three.submit(prompt, options) for prompt in prompts]
        assert expected == [tokens(stream) for stream in streams]
    with engine(path=path) as one:
        # What goes on is not computed again; what was taken back has to be.
        assert expected[0] == tokens(one.submit(prompts[0], options))
        longer = [*prompts[0], *expected[0], *prompts[2]]
        going_on = one.submit(longer, options)
        found = tokens(going_on)
        assert going_on.stats.cached_tokens >= len(prompts[0])
        again = one.submit(prompts[0], options)
        assert expected[0] == tokens(again)
        assert 0 == again.stats.cached_tokens
        assert found == tokens(one.submit(longer, options))


# In a process of its own: what is looked for is a program that hangs.
STORM = """
import signal, sys
from pathlib import Path
from bundler.targets import here
from runtime.host import library_paths
from runtime.model import llama_api, model, model_file, variant_files
from runtime.weights.stdio_file import RangeFile
from runtime.inference.scheduler import Scheduler
from runtime.options.registry import Options

folder = library_paths.library_folder()
llama_api.load_variant(variant_files.variants(folder)[here().plainest])
llama_api.start()
source = model_file.open_file(Path(sys.argv[1]))
with RangeFile(source.fd, source.offset) as file:
    loaded = model.Model(source, file, Options())
engine = Scheduler(loaded, Options(temp=0.0, n_predict=30), 256)
stream = engine.submit(loaded.tokenize("Tell", beginning=True))
signal.signal(signal.SIGALRM, lambda *_: stream.cancel())
for _ in range(20):
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.00005)
    stream = engine.submit(loaded.tokenize("Tell me a story.", beginning=True))
    list(stream)
    signal.setitimer(signal.ITIMER_REAL, 0)
text = "".join(piece.text for piece in engine.submit(loaded.tokenize("Tell", beginning=True)))
engine.close()
print(text and "alive")
"""


def test_a_signal_that_cancels_may_hit_one_that_does() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STORM, DEMO], capture_output=True, text=True, timeout=60, check=False
    )

    assert "alive\n" == done.stdout, done.stderr


@in_child
def test_a_reader_that_cannot_wait_is_told_of_news() -> None:
    told = threading.Event()
    with engine() as one:
        stream = one.submit(question(FRANCE))
        stream.subscribe(told.set, pieces=True)
        text = ""
        while not stream.ended:
            text += "".join(piece.text for piece in stream.take())
            if not stream.ended:
                assert told.wait(10)
                told.clear()
        assert PARIS == text
        assert [] == stream.take()

        quiet = one.submit(question(FRANCE))
        ends: list[bool] = []
        quiet.subscribe(lambda: ends.append(bool(quiet.stats.reason)), pieces=False)
        while not quiet.stats.reason:
            time.sleep(0.01)
        assert PARIS == "".join(piece.text for piece in quiet.take())
        assert ends in ([], [True])  # it may have ended before anybody listened


@in_child
def test_how_far_a_prompt_is() -> None:
    long = demo().tokenize("word " * 1000, beginning=True)[:1000]
    found = []
    with engine(context=1200, batch_size=100) as one:
        blocker = one.submit(question(STORY), ENDLESS)  # until somebody listens
        stream = one.submit(long, dataclasses.replace(GREEDY, n_predict=1))
        stream.subscribe(lambda: found.append(stream.progress), pieces=True)
        blocker.cancel()
        while not stream.ended:
            stream.take()
            time.sleep(0.001)
    steps = [reading for reading in found if reading]
    assert len(steps) >= 5
    assert all((1000, 0) == (step.total, step.cached) for step in steps)
    assert [step.processed for step in steps] == sorted(step.processed for step in steps)
    assert steps[-1].seconds > 0


@in_child
def test_nothing_is_taken_over_if_that_is_not_wanted() -> None:
    with engine(parallel=2) as two:
        read(two.submit(question(FRANCE)))
        again = two.submit(question(FRANCE), dataclasses.replace(GREEDY, cache_prompt=False))
        assert PARIS == read(again)
        assert again.stats.cached_tokens == 0
        third = two.submit(question(FRANCE))
        assert PARIS == read(third)
        assert third.stats.cached_tokens > 10


@in_child
def test_the_status_tells_who_works() -> None:
    with engine(parallel=2) as two:
        assert [False, False] == [slot.busy for slot in two.status().slots]
        stream = two.submit(question(STORY), ENDLESS)
        next(iter(stream))
        busy = [slot for slot in two.status().slots if slot.busy]
        assert len(busy) == 1 or stream.stats.reason
        stream.cancel()
        assert two.status().steps > 0


@in_child
def test_a_token_ends_an_answer_by_its_number_or_as_a_special_stop_string() -> None:
    number = str(demo().tokenize(" is", beginning=False)[0])
    with engine() as one:
        stream = one.submit(question(FRANCE), dataclasses.replace(GREEDY, stop_token_ids=(number,)))
        assert "The capital of France" == read(stream)
        assert (FinishReason.STOP, " is") == (stream.stats.reason, stream.stats.stopped_by)

        special = demo().token_text(1)
        held = AnswerForm('root ::= "The capital" <[1]> " of"')
        stops = dataclasses.replace(GREEDY, stop=(special,))
        stream = one.submit(question(FRANCE), stops, form=held)
        assert "The capital" == read(stream)
        assert special == stream.stats.stopped_by

        for wrong in ("x", "-1", "1000000"):
            with pytest.raises(UsageError, match="is not a token below"):
                one.submit(question(FRANCE), dataclasses.replace(GREEDY, stop_token_ids=(wrong,)))


@in_child
def test_a_character_that_the_limit_cuts_is_left_out() -> None:
    first = demo().tokenize("😀", beginning=False)
    held = AnswerForm('root ::= "a😀"')
    with engine() as one:
        stream = one.submit(
            question(FRANCE), dataclasses.replace(GREEDY, n_predict=len(first)), form=held
        )
        assert "a" == read(stream)
        assert FinishReason.LENGTH == stream.stats.reason


@in_child
def test_a_retry_that_finds_no_room_postpones_another_answer() -> None:
    from runtime.inference import scheduler as module
    from runtime.inference.kv_cache.context import NO_ROOM

    usual, module.GATHER_SECONDS = module.GATHER_SECONDS, 60  # till all three are there
    with engine(parallel=3, context=1024) as three:
        decode, failures = three._context.batch.decode, [-3, NO_ROOM]
        met: list[int] = []

        def fails(context: object) -> int:
            if failures and (met or len(three._answers.active) == 3):
                met.append(failures.pop(0))
                return met[-1]
            return decode(context)

        three._context.batch.decode = fails  # type: ignore[method-assign]
        asked = facts()[:3]
        streams = [three.submit(question(fact["question"])) for fact in asked]
        assert [fact["answer"] for fact in asked] == [read(stream) for stream in streams]
        assert [-3, NO_ROOM] == met
    module.GATHER_SECONDS = usual


@in_child
def test_a_failure_while_answers_are_admitted_ends_them_and_nothing_else() -> None:
    with engine(parallel=2, context=512) as two:
        acquire = two._slots.acquire

        def fails(*_: object, **__: object) -> object:
            raise RuntimeError("broken")

        two._slots.acquire = fails  # type: ignore[method-assign, assignment]
        with pytest.raises(ModelError, match="the engine failed: RuntimeError: broken"):
            read(two.submit(question(FRANCE)))
        two._slots.acquire = acquire  # type: ignore[method-assign]
        assert PARIS == read(two.submit(question(FRANCE)))
