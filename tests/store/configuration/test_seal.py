"""Encryption of secrets, bound to their owner, and key rotation."""

import base64

import pytest

from relay.domain.errors import RelayError, SealBroken, SettingsError
from relay.store.configuration.seal import Seal, new_key

SECRETS = {"webhook_url": "https://example.com/s3cret", "custom_headers": {"X-Ä": "s3cret"}, "none": None}


def test_a_sealed_value_is_decrypted() -> None:
    seal = Seal(new_key())
    assert seal.open(seal.seal(SECRETS, "slack-critical"), "slack-critical") == SECRETS


def test_a_sealed_value_reveals_nothing_and_never_repeats() -> None:
    seal = Seal(new_key())
    sealed = [seal.seal(SECRETS, "a") for _ in range(50)]
    assert len(set(sealed)) == 50
    assert not any(b"s3cret" in value or b"webhook_url" in value for value in sealed)


def test_it_is_decrypted_by_another_seal_with_the_same_key() -> None:
    key = new_key()
    assert Seal(key).open(Seal(f"  {key} ").seal(SECRETS, "a"), "a") == SECRETS


@pytest.mark.parametrize("owner", ["b", "A", "", "a "])
def test_it_is_not_decrypted_for_another_owner(owner: str) -> None:
    seal = Seal(new_key())
    with pytest.raises(SealBroken, match="belong to another channel"):
        seal.open(seal.seal(SECRETS, "a"), owner)


def test_a_changed_byte_is_detected() -> None:
    seal = Seal(new_key())
    sealed = seal.seal(SECRETS, "a")
    for at in range(len(sealed)):
        with pytest.raises(SealBroken, match="a"):
            seal.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], "a")


def test_an_appended_byte_is_detected() -> None:
    seal = Seal(new_key())
    with pytest.raises(SealBroken, match="were changed"):
        seal.open(seal.seal(SECRETS, "a") + b"\x00", "a")


def test_after_a_rotation_the_new_key_encrypts_and_the_old_one_decrypts() -> None:
    old, new = new_key(), new_key()
    sealed_before = Seal(old).seal(SECRETS, "a")
    rotated = Seal(f"{new}, {old}")
    assert rotated.open(sealed_before, "a") == SECRETS
    sealed_after = rotated.seal(SECRETS, "a")
    assert Seal(new).open(sealed_after, "a") == SECRETS
    with pytest.raises(SealBroken):
        Seal(old).open(sealed_after, "a")


def test_a_missing_key_is_reported_with_its_setting() -> None:
    sealed = Seal(new_key()).seal(SECRETS, "slack-critical")
    with pytest.raises(SealBroken, match=r"slack-critical .* RELAY_SECRET_KEY does not contain"):
        Seal(new_key()).open(sealed, "slack-critical")


def test_a_duplicate_key_is_one_key() -> None:
    key = new_key()
    assert Seal(key).open(Seal(f"{key},{key}").seal(SECRETS, "a"), "a") == SECRETS


def test_new_keys_are_unique_and_have_32_bytes() -> None:
    keys = {new_key() for _ in range(20)}
    assert len(keys) == 20
    assert all(len(base64.urlsafe_b64decode(key)) == 32 for key in keys)


SHORT = base64.urlsafe_b64encode(b"s3cret-but-short").decode()
LONG = base64.urlsafe_b64encode(b"s3cret-" * 5).decode()


@pytest.mark.parametrize("malformed", ["", " ", "s3cret", SHORT, LONG, "s3cret!" * 6, "é" * 44, "\udcff" * 44])
@pytest.mark.parametrize("position", [1, 2])
def test_a_malformed_key_is_reported_by_position_without_its_value(malformed: str, position: int) -> None:
    keys = malformed if position == 1 else f"{new_key()},{malformed}"
    with pytest.raises(SettingsError, match=f"RELAY_SECRET_KEY: key {position} is not 32 bytes") as caught:
        Seal(keys)
    for part in keys.split(","):
        assert not part.strip() or part.strip() not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("garbage", [b"", b"\x01", b"\x02" * 40, b"plain text, never sealed"])
def test_garbage_is_rejected(garbage: bytes) -> None:
    with pytest.raises(RelayError):
        Seal(new_key()).open(garbage, "a")


def test_the_use_of_the_first_key_is_detected() -> None:
    old, new = new_key(), new_key()
    rotated = Seal(f"{new},{old}")
    assert rotated.uses_first_key(rotated.seal(SECRETS, "a"))
    assert not rotated.uses_first_key(Seal(old).seal(SECRETS, "a"))
