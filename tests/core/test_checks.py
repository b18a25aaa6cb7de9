import math
from typing import Literal

from pydantic import BaseModel, Field

from noiseproof.core.checks import Range, allowed_values


class Settings(BaseModel):
    kind: Literal["one", "two"] = "one"
    count: int = Field(default=1, ge=1)
    share: float = Field(default=0.5, gt=0, le=1)
    free: float = 0.0


def test_the_bounds_of_settings_are_ranges():
    assert allowed_values(Settings) == {
        "kind": ("one", "two"),
        "count": Range(1.0, is_whole=True),
        "share": Range(0.0, 1.0, excludes_low=True),
        "free": Range(-math.inf),
    }
