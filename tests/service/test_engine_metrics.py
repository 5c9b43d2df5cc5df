"""Metrics of several engines in one text that Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from service.engine_metrics import exposition

TEXT = """# HELP helmholtz_engine_tiles_total Tiles computed
# TYPE helmholtz_engine_tiles_total counter
helmholtz_engine_tiles_total{operation="sample",rows="32"} %d.0
# HELP helmholtz_engine_step_seconds Computing time of a step
# TYPE helmholtz_engine_step_seconds histogram
helmholtz_engine_step_seconds_bucket{le="1.0"} 2.0
helmholtz_engine_step_seconds_bucket{le="+Inf"} 3.0
helmholtz_engine_step_seconds_count 3.0
helmholtz_engine_step_seconds_sum 5.0
"""


def test_each_sample_names_its_engine_and_each_family_comes_once() -> None:
    text = exposition({"one": TEXT % 4, "two": TEXT % 5}).decode()
    assert text.count("# TYPE helmholtz_engine_tiles_total counter") == 1
    tiles, seconds = sorted(text_string_to_metric_families(text), key=lambda family: family.name, reverse=True)
    assert {sample.labels["engine"]: sample.value for sample in tiles.samples} == {"one": 4.0, "two": 5.0}
    assert all(sample.labels["operation"] == "sample" for sample in tiles.samples)
    assert len(seconds.samples) == 8


def test_without_engines_there_is_nothing() -> None:
    assert exposition({}) == b""
