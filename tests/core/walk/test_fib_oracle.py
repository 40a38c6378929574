"""Rules, tables and the reverse path against the kernel: `ip route get` on thousands of random cases."""

from __future__ import annotations

import random

import pytest

from tests.core.walk.oracle import agreed, ask_kernel, ask_walk, make_questions, make_surroundings, view_of
from warren.model.prefix import FAMILIES, Family

CASES = range(20)
QUESTIONS = 150


@pytest.mark.lab
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.word)
@pytest.mark.parametrize("seed", CASES)
def test_walk_routes_as_the_kernel_does(seed: int, family: Family) -> None:
    """Every packet takes the same route, gets the same source, or is refused alike."""
    chance = random.Random(seed)
    surroundings = make_surroundings(chance, family)
    questions = make_questions(chance, family, QUESTIONS)
    view = view_of(surroundings)

    kernel = [agreed(answer) for answer in ask_kernel(surroundings, family, questions)]
    walk = [ask_walk(view, family, question)[0] for question in questions]

    assert list(zip(questions, walk, strict=True)) == list(zip(questions, kernel, strict=True)), f"seed {seed}"
