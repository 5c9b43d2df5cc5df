"""The cache of answers: off unless asked for, bounded, and only for what is a pure function of its request."""

import numpy as np

from service.response_cache import ResponseCache

PAYLOAD = {"model": "m", "version": 1, "n": 2, "seed": 3, "condition": {"beta": 0.5}, "include": []}


def answer(size: int, value: int = 0) -> list[dict[str, object]]:
    return [{"samples": np.full(size, value, np.int8), "compute_seconds": 0.1}]


def found(cache: ResponseCache, **changes: object) -> list[dict[str, object]] | None:
    return cache.get(cache.key("sample", PAYLOAD | changes))


def put(cache: ResponseCache, parts: list[dict[str, object]], **changes: object) -> None:
    cache.put(cache.key("sample", PAYLOAD | changes), parts)


def test_it_is_off_by_default() -> None:
    assert not ResponseCache(0).keeps("sample")
    assert ResponseCache(1).keeps("sample")


def test_an_equal_question_finds_its_answer_and_no_other_does() -> None:
    cache = ResponseCache(100_000)
    assert found(cache) is None
    put(cache, answer(10))
    assert found(cache) is not None
    for change in ({"seed": 4}, {"version": 2}, {"n": 3}, {"condition": {"beta": 0.6}}, {"include": ["log_prob"]}):
        assert found(cache, **change) is None


def test_given_configurations_are_part_of_the_question() -> None:
    cache = ResponseCache(100_000)
    ones, key = np.ones((2, 2), np.int8), cache.key("log_likelihood", {"samples": np.ones((2, 2), np.int8)})
    assert key == cache.key("log_likelihood", {"samples": ones})
    assert key != cache.key("log_likelihood", {"samples": -ones})
    assert key != cache.key("log_likelihood", {"samples": ones.reshape(4)})
    assert len(key) == 32


def test_estimates_are_made_anew() -> None:
    cache = ResponseCache(100_000)
    assert not any(cache.keeps(operation) for operation in ("free_energy", "reference", "energy"))


def test_the_least_recently_used_goes_first_and_the_size_is_bounded() -> None:
    cache = ResponseCache(10_000)
    for seed in range(3):
        put(cache, answer(2000), seed=seed)
    assert found(cache, seed=0) is not None
    put(cache, answer(2000), seed=3)
    assert found(cache, seed=1) is None
    assert [seed for seed in range(4) if found(cache, seed=seed) is not None] == [0, 2, 3]
    assert cache._bytes <= 10_000


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = ResponseCache(10_000)
    put(cache, answer(1000), seed=1)
    put(cache, answer(10_000), seed=2)
    assert found(cache, seed=2) is None
    assert found(cache, seed=1) is not None
