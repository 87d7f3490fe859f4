"""Logits to token, on logits small enough to reckon by hand."""

import math

import pytest
import torch

from oneseek_runtime.engine.sampling import LogitShift, choose, likeliest, nucleus

LOGITS = torch.log(torch.tensor([0.1, 0.6, 0.3]))


def test_greedy_takes_the_likeliest_and_reports_its_probability() -> None:
    token, logprob = choose(LOGITS, temperature=0, top_p=1, generator=None)
    assert token == 1
    assert logprob == pytest.approx(math.log(0.6), abs=1e-6)


def test_the_probability_is_the_untempered_one() -> None:
    token, logprob = choose(LOGITS, temperature=0.01, top_p=1, generator=torch.Generator().manual_seed(1))
    assert token == 1
    assert logprob == pytest.approx(math.log(0.6), abs=1e-6)


def test_the_same_seed_draws_the_same_tokens() -> None:
    def draws(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [choose(LOGITS, temperature=1, top_p=1, generator=generator)[0] for _ in range(50)]

    assert draws(7) == draws(7) != draws(8)
    assert set(draws(7)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("top_p", "kept"), [(1.0, [0, 1, 2]), (0.87, [1, 2]), (0.61, [1, 2]), (0.6, [1]), (0.0, [1])], ids=str
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, kept: list[int]) -> None:
    probabilities = torch.tensor([0.125, 0.6, 0.275], dtype=torch.float64)
    assert nucleus(probabilities, top_p).nonzero().flatten().tolist() == kept


def test_bf16_logits_are_summed_in_full_precision() -> None:
    _, logprob = choose(torch.zeros(50_000, dtype=torch.bfloat16), temperature=0, top_p=1, generator=None)
    assert logprob == pytest.approx(-math.log(50_000), rel=1e-5)


def test_a_top_p_of_zero_is_greedy_at_any_temperature() -> None:
    tied = torch.tensor([0.5, 2.0, 2.0, 1.0])
    drawn = {choose(tied, temperature=2, top_p=0, generator=torch.Generator().manual_seed(n))[0] for n in range(20)}
    assert drawn == {1}


@pytest.mark.parametrize("temperature", [1e-4, 1e-6, 1e-40, 5e-324])
def test_however_cold_it_is_asked_a_token_is_drawn(temperature: float) -> None:
    logits = torch.tensor([0.5, 2.0, 1.9, 1.0])
    shift = torch.tensor([0.0, -100.0, 0.0, 100.0])
    assert choose(logits, temperature=temperature, top_p=1, generator=torch.Generator().manual_seed(1))[0] == 1
    drawn = choose(logits, temperature=temperature, top_p=0.5, generator=torch.Generator().manual_seed(1), shift=shift)
    assert drawn[0] == 3


@pytest.mark.parametrize(
    ("bias", "frequency", "presence"),
    [({}, 0.5, 1.5), ({}, -0.3, 0.0), ({}, 0.0, -2.0), ({3: -100.0, 5: 2.5}, 0.0, 0.0), ({2: 7.0}, 0.7, 0.1)],
)
def test_penalties_and_biases_are_openai_s_formula_token_for_token(
    bias: dict[int, float], frequency: float, presence: float
) -> None:
    """Against the formula, written out for every token of the vocabulary at every step."""
    steps = torch.randn(200, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    shift = LogitShift(bias.items(), frequency=frequency, presence=presence)
    drawn: list[int] = []
    for logits in steps:
        wanted = [
            float(logits[j]) + bias.get(j, 0.0) - drawn.count(j) * frequency - float(drawn.count(j) > 0) * presence
            for j in range(8)
        ]
        added = shift.of(logits)
        assert added is not None
        assert (logits + added).tolist() == pytest.approx(wanted, abs=1e-5)
        token, logprob = choose(logits, temperature=0, top_p=1, generator=None, shift=added)
        assert token == max(range(8), key=wanted.__getitem__)
        assert logprob == pytest.approx(float(torch.log_softmax(logits.float(), 0)[token]), abs=1e-6)
        shift.count(token)
        drawn.append(token)


def test_a_penalty_moves_what_is_drawn_by_chance_too() -> None:
    shift = LogitShift((), frequency=0, presence=2)
    added = shift.of(LOGITS)
    shift.count(1)
    generator = torch.Generator().manual_seed(1)
    draws = [choose(LOGITS, temperature=1, top_p=1, generator=generator, shift=added)[0] for _ in range(4000)]
    left = 0.6 * math.exp(-2)
    assert draws.count(1) / 4000 == pytest.approx(left / (left + 0.4), abs=0.03)


def test_a_request_that_asks_for_neither_adds_nothing() -> None:
    shift = LogitShift((), frequency=0, presence=0)
    assert shift.of(LOGITS) is None
    shift.count(1)
    assert shift.of(LOGITS) is None


@pytest.mark.parametrize("count", [0, 1, 3, 5, 20])
def test_the_likeliest_tokens_are_those_of_a_whole_sort(count: int) -> None:
    logits = torch.randn(500, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)  # with many equal ones
    logprobs = torch.log_softmax(logits.float(), 0).tolist()
    by_hand = sorted(range(500), key=lambda token: (-logprobs[token], token))[:count]
    assert likeliest(logits, count) == tuple((token, logprobs[token]) for token in by_hand)


def test_of_equal_tokens_the_one_that_greedy_draws_comes_first() -> None:
    logits = torch.zeros(50)
    assert choose(logits, temperature=0, top_p=1, generator=None)[0] == likeliest(logits, 1)[0][0] == 0


def test_tokens_that_cannot_be_are_not_among_the_likeliest() -> None:
    logits = torch.tensor([0.0, -math.inf, 1.0])
    assert [token for token, _ in likeliest(logits, 3)] == [2, 0]
    assert len(likeliest(LOGITS, 20)) == 3
