"""Logits to token, on logits small enough to reckon by hand."""

import math

import pytest
import torch

from oneseek_runtime.engine.sampling import choose, nucleus

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
