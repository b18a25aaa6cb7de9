import pytest

from noiseproof.core import errors
from noiseproof.core.errors import NoiseproofError, invalid, missing_extra

BUILTINS = {
    "InvalidArgument": ValueError,
    "UnknownName": ValueError,
    "BadData": ValueError,
    "MissingFile": FileNotFoundError,
    "MissingExtra": ImportError,
    "DamagedFile": OSError,
    "OtherSchema": OSError,
    "NoSpaceLeft": OSError,
    "CannotWrite": OSError,
    "CheckpointMismatch": ValueError,
    "ServiceError": ConnectionError,
}


def test_every_error_is_in_the_list():
    found = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    family = {name for name, kind in found.items() if issubclass(kind, Exception)}
    assert family == set(BUILTINS) | {"NoiseproofError"}


@pytest.mark.parametrize(("name", "builtin"), BUILTINS.items())
def test_an_error_is_caught_as_ours_and_as_the_builtin(name, builtin):
    kind = getattr(errors, name)
    for caught in (NoiseproofError, builtin):
        with pytest.raises(caught, match="what is wrong"):
            raise kind("what is wrong")


def test_a_bad_argument_is_told_with_value_range_and_next_step():
    told = invalid("rate", 1.5, "a number in [0, 1]", "Next: divide by 100.")
    assert str(told) == "`rate` is 1.5; allowed: a number in [0, 1]. Next: divide by 100."
    assert isinstance(told, ValueError)


def test_without_a_next_step_the_message_ends_at_the_full_stop():
    assert str(invalid("kind", "pear", "a fruit")) == "`kind` is 'pear'; allowed: a fruit."


def test_a_missing_package_is_told_with_the_command_that_brings_it():
    told = missing_extra("timm", "vision", "The backbone 'timm:resnet50'")
    assert str(told) == (
        "The backbone 'timm:resnet50' needs the package `timm`, which is not installed. "
        "Next: pip install 'noiseproof[vision]'."
    )
    assert isinstance(told, ImportError)
