"""Rows to packed batches, with a tokenizer of one token per character."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_runtime.prompt import TemplateRefusedError, prompt_ids, prompt_text, user_message
from oneseek_runtime.train.data import Example, epoch_batches, examples_of, lessons_of, pack

EOS = 0


class Characters:
    """A working tokenizer: code points as tokens."""

    eos_token_id: int | None = EOS
    added_tokens_decoder: ClassVar = {}

    def __init__(self, chat_template: str | None = "yes") -> None:
        self.chat_template = chat_template

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        assert not tokenize
        turns = "".join(f"<{m['role']}>{m['content']}</>" for m in conversation)
        return "<system>be good</>" + turns + "<assistant>" * add_generation_prompt

    def __call__(self, text, *, add_special_tokens):
        return {"input_ids": [1] * add_special_tokens + [ord(c) for c in text]}


def test_the_prompt_is_the_tokenizers_own_template():
    asked = [user_message("Vem är du?")]
    assert prompt_text(Characters(), asked) == "<system>be good</><user>Vem är du?</><assistant>"
    assert prompt_ids(Characters(), asked)[0] == ord("<")


def test_a_rows_input_follows_its_instruction_after_a_blank_line():
    assert user_message("Översätt.", "hej")["content"] == "Översätt.\n\nhej"
    assert user_message("Översätt.", "  ")["content"] == "Översätt."


def test_without_a_template_turns_are_headed_paragraphs_and_the_tokenizer_adds_its_own_start():
    tokenizer = Characters(chat_template=None)
    messages = [{"role": "system", "content": "Kort."}, user_message("Hej")]
    assert prompt_text(tokenizer, messages) == "### System:\nKort.\n\n### User:\nHej\n\n### Assistant:\n"
    assert prompt_ids(tokenizer, messages)[0] == 1


def test_labels_are_the_answer_and_the_end_of_text():
    (example,) = examples_of([{"instruction": "q", "output": "svar"}], Characters(), 500)
    assert example.labels == (*map(ord, "svar"), EOS)
    assert list(example.tokens[: example.prompt_length]) == prompt_ids(Characters(), [user_message("q")])


def test_a_long_row_is_cut_at_the_end_and_one_without_answer_left_out():
    rows = [{"instruction": "q", "output": "x" * 50}, {"instruction": "q" * 60, "output": "x"}]
    (example,) = examples_of(rows, Characters(), 60)
    assert len(example.tokens) == 60
    assert EOS not in example.labels


@pytest.mark.parametrize(
    ("rows", "reason", "words"),
    [
        ([{"instruction": "q"}], names.DATASET_INVALID, "line 1"),
        ([{"instruction": "q", "output": "a"}, {"output": "a"}], names.DATASET_INVALID, "line 2"),
        ([{"instruction": "q" * 99, "output": "a"}], names.DATASET_INVALID, "maximumLength=64"),
        ([], names.DATASET_INVALID, "no row"),
    ],
)
def test_unusable_rows_are_named(rows, reason, words):
    with pytest.raises(JobError, match=words) as caught:
        examples_of(rows, Characters(), 64)
    assert caught.value.reason == reason


def test_a_tokenizer_without_an_end_is_refused():
    tokenizer = Characters()
    tokenizer.eos_token_id = None
    with pytest.raises(JobError, match="end-of-text") as caught:
        examples_of([], tokenizer, 64)
    assert caught.value.reason == names.BASE_INVALID


examples = st.lists(
    st.builds(
        lambda prompt, answer: Example((*prompt, *answer), len(prompt)),
        st.lists(st.integers(1, 3), min_size=1, max_size=6),
        st.lists(st.integers(1, 3), min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=8,
)


@given(examples, st.integers(0, 40))
def test_a_pack_holds_each_row_whole_and_predicts_each_label_from_the_token_before(rows, limit):
    found = []
    for part in pack(rows, limit):
        assert len(part.lengths) == 1 or limit > 0
        assert len(part.token_ids) == part.shared + sum(part.lengths) == len(part.positions)
        labels = iter(zip(part.label_positions, part.label_ids, strict=True))
        end = part.shared
        for length in part.lengths:
            start, end = end, end + length
            tokens = (*part.token_ids[: part.shared], *part.token_ids[start:end])
            places = [*range(part.shared), *range(start, end)]
            assert [part.positions[i] for i in places] == list(range(len(tokens)))
            row = rows[len(found)]
            for index in range(row.prompt_length, len(tokens)):
                assert next(labels) == (places[index - 1], tokens[index])
            found.append(Example(tokens, row.prompt_length))
    assert found == rows


def test_rows_share_the_templates_prefix_once():
    rows = examples_of([{"instruction": "a", "output": "x"}, {"instruction": "b", "output": "y"}], Characters(), 99)
    (part,) = pack(rows, 999)
    assert "".join(map(chr, part.token_ids[: part.shared])) == "<system>be good</><user>"


def test_a_pack_keeps_to_its_length():
    rows = [Example((1, 2, 3, 4), 2)] * 5
    assert [len(part.lengths) for part in pack(rows, 8)] == [2, 2, 1]


def test_every_epoch_holds_every_row_once_in_an_order_of_its_own():
    rows = [Example((i, i), 1) for i in range(10)]
    first = epoch_batches(rows, batch_size=4, seed=7, epoch=0)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(row.tokens[0] for batch in first for row in batch) == list(range(10))
    assert first == epoch_batches(rows, batch_size=4, seed=7, epoch=0)
    assert first != epoch_batches(rows, batch_size=4, seed=7, epoch=1)
    assert first != epoch_batches(rows, batch_size=4, seed=8, epoch=0)


def conversation(*texts, system=None):
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return {"messages": [{"role": "system", "content": system}] * (system is not None) + turns}


def said(tokens):
    return "".join("$" if token == EOS else chr(token) for token in tokens)


class EndsWithEos(Characters):
    """A template whose turns end as answers do, so that a later prompt goes on where an answer ended."""

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        turns = "".join(f"<{m['role']}>{m['content']}\0" for m in conversation)
        return turns + "<assistant>" * add_generation_prompt


def test_every_answer_of_a_conversation_is_learnt_in_one_sequence_and_nothing_else():
    (example,) = examples_of([conversation("a", "b", "c", "d", system="s")], EndsWithEos(), 99)
    assert said(example.tokens) == "<system>s$<user>a$<assistant>b$<user>c$<assistant>d$"
    assert said(example.labels) == "b$d$"
    (part,) = pack([example], 0)
    assert said(part.label_ids) == "b$d$"
    assert [part.token_ids[position + 1] for position in part.label_positions] == part.label_ids


def test_where_a_template_writes_earlier_turns_in_another_form_each_answer_has_a_sequence_of_its_own():
    first, second = examples_of([conversation("a", "b", "c", "d")], Characters(), 99)
    assert (said(first.labels), said(second.labels)) == ("b$", "d$")
    assert said(second.tokens).startswith("<system>be good</><user>a</><assistant>b</><user>c</><assistant>")


def test_rows_are_counted_once_whatever_the_number_of_their_turns():
    rows = [conversation("a", "b", "c", "d"), conversation("a", "b" * 99), conversation("a" * 99, "b")]
    lessons = lessons_of(rows, Characters(), 99)
    assert (lessons.rows, lessons.cut, len(lessons.examples)) == (2, 1, 3)
    assert lessons.left_out == {names.LEFT_OUT_TOO_LONG: 1}


def test_micro_steps_are_those_of_the_rows_that_were_learnt():
    rows = [conversation("a", text) | {"step": step} for text, step in (("b", "w/0"), ("c", "w/0"), ("d", "w/1"))]
    rows.append(conversation("a" * 99, "e") | {"step": "w/3"})
    assert lessons_of(rows, Characters(), 99).micro_steps == {"w/0", "w/1"}


def test_a_conversation_of_which_a_later_turn_does_not_fit_is_cut():
    lessons = lessons_of([conversation("a", "b", "c" * 99, "d")], EndsWithEos(), 40)
    assert (lessons.rows, lessons.cut) == (1, 1)
    (example,) = lessons.examples
    assert said(example.labels) == "b$"
    assert len(example.tokens) == 40


class Alternating(Characters):
    """A template that takes no system turn, as Gemma's."""

    def apply_chat_template(self, conversation, **options):
        if conversation[0]["role"] == "system":
            raise ValueError("System role not supported")
        return super().apply_chat_template(conversation, **options)


def test_rows_that_the_template_refuses_are_left_out_and_counted():
    rows = [conversation("a", "b", system="s"), conversation("a", "b")]
    lessons = lessons_of(rows, Alternating(), 99)
    assert (lessons.rows, lessons.left_out) == (1, {names.LEFT_OUT_TEMPLATE: 1})
    with pytest.raises(JobError, match="no row is left to train on \\(1 TemplateRefused\\); write them in the roles"):
        lessons_of(rows[:1], Alternating(), 99)


class Forgetful(Characters):
    """A template that passes over a role it does not know, without a word."""

    def __init__(self, role):
        super().__init__()
        self.forgets = role

    def apply_chat_template(self, conversation, **options):
        kept = [turn for turn in conversation if turn["role"] != self.forgets]
        return super().apply_chat_template(kept, **options)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_rows_of_which_the_template_leaves_a_turn_out_are_left_out_and_counted(role):
    extra = [{"role": role, "content": f"the {role}'s"}, *conversation("a", "b")["messages"]]
    lessons = lessons_of([{"messages": extra}, conversation("a", "b")], Forgetful(role), 99)
    assert (lessons.rows, lessons.left_out) == (1, {names.LEFT_OUT_TEMPLATE: 1})
    with pytest.raises(TemplateRefusedError, match=f"leaves out what the {role} says"):
        prompt_text(Forgetful(role), extra[:-1])


@given(
    st.lists(st.lists(st.text("ab", min_size=1, max_size=5), min_size=2, max_size=6), min_size=1), st.integers(20, 99)
)
def test_each_row_is_learnt_or_left_out_and_what_is_learnt_is_never_a_question(rows, maximum):
    rows = [conversation(*texts[: len(texts) // 2 * 2]) for texts in rows]
    try:
        lessons = lessons_of(rows, EndsWithEos(), maximum)
    except JobError:
        return
    assert lessons.rows + lessons.left_out.total() == len(rows)
    whole = "".join("".join(turn["content"] + "$" for turn in row["messages"][1::2]) for row in rows)
    learnt = "".join(said(example.labels) for example in lessons.examples)
    assert learnt == whole or lessons.cut or lessons.left_out
