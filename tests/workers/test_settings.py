"""Settings: read once, named when wrong, handed to children without loss."""

from pathlib import Path

import pytest

from workers.settings import Settings, read_settings
from zoo.specs.errors import InvalidValueError


def test_without_variables_everything_has_its_default() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"HELMHOLTZ_HTTP_PORT": "", "PATH": "/bin"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "web"),
        ("HTTP_PORT", "70000"),
        ("GRPC_PORT", "-1"),
        ("LOG_LEVEL", "loud"),
        ("SYNC_LIMIT_SECONDS", "0"),
        ("GRACE_SECONDS", "inf"),
        ("LEASE_SECONDS", "nan"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_ATTEMPTS", "1.5"),
        ("TRAIN_THREADS", "-2"),
    ],
)
def test_a_bad_value_names_its_variable_and_itself(name: str, value: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        read_settings({f"HELMHOLTZ_{name}": value})
    assert f"HELMHOLTZ_{name}: " in caught.value.detail
    assert repr(value) in caught.value.detail
    assert [error.path for error in caught.value.errors] == [f"HELMHOLTZ_{name}"]


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(InvalidValueError) as caught:
        read_settings({"HELMHOLTZ_HTTP_PORT": "x", "HELMHOLTZ_LEASE_SECONDS": "y"})
    assert {error.path for error in caught.value.errors} == {"HELMHOLTZ_HTTP_PORT", "HELMHOLTZ_LEASE_SECONDS"}


@pytest.mark.parametrize(("name", "value"), [("API_KEY", "tooshort"), ("REDIS_URL", "http://me:secret@host")])
def test_a_secret_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        read_settings({f"HELMHOLTZ_{name}": value})
    assert name in caught.value.detail
    assert value not in caught.value.detail
    assert "secret" not in caught.value.detail


def test_the_key_is_not_shown_by_the_settings() -> None:
    settings = Settings(api_key="0123456789abcdef")
    assert "0123456789abcdef" not in repr(settings)
    assert "0123456789abcdef" not in str(settings)


OTHER = {
    "host": "::1",
    "http_port": 0,
    "grpc_port": 65535,
    "data_dir": Path("some where/data"),
    "database_url": "postgresql+psycopg://host/name",
    "artifact_url": "s3://bucket/prefix",
    "redis_url": "unix:///tmp/socket",
    "api_key": "0123456789abcdef",
    "log_level": "debug",
    "lease_seconds": 0.5,
    "engine_name": "engine-2",
    "max_body_bytes": 2**20,
    "device": "cpu",
}


@pytest.mark.parametrize("settings", [Settings(), Settings.model_validate(OTHER)])
def test_a_child_reads_the_settings_of_its_parent(settings: Settings) -> None:
    environment = settings.environment()
    assert all(isinstance(value, str) for value in environment.values())
    assert read_settings(environment | {"HOME": "/root"}) == settings


def test_every_setting_reaches_a_child() -> None:
    written = Settings.model_validate(OTHER).environment()
    assert {name.removeprefix("HELMHOLTZ_").lower() for name in written} == set(Settings.model_fields)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().http_port = 1  # type: ignore[misc]


def test_the_three_urls_default_to_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/helmholtz.db"
    assert settings.resolved_artifact_url == f"file://{tmp_path}/artifacts"
    with pytest.raises(InvalidValueError, match="HELMHOLTZ_REDIS_URL is not set"):
        _ = settings.resolved_redis_url


@pytest.mark.parametrize(
    ("url", "celery"),
    [("unix:///tmp/a.sock", "redis+socket:///tmp/a.sock"), ("redis://host:6379/0", "redis://host:6379/0")],
)
def test_celery_has_its_own_word_for_a_unix_socket(url: str, celery: str) -> None:
    assert Settings(redis_url=url).celery_broker_url == celery
