"""Key and pace of requests to an embedding service."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from noiseproof.core.errors import InvalidArgument, quoted

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"


class ServiceSettings(BaseModel):
    """Key and pace of the requests to a service; none of it changes the features."""

    model_config = ConfigDict(frozen=True)
    api_key_variable: Annotated[
        str, Field(description="Environment variable with the key of an embedding service (api:...).")
    ] = DEFAULT_KEY_VARIABLE
    requests_at_once: Annotated[
        int, Field(ge=1, le=64, description="Requests that a service works on at a time.")
    ] = 4
    requests_per_minute: Annotated[
        int | None, Field(ge=1, description="Most requests to a service a minute, retries among them.")
    ] = None

    @field_validator("api_key_variable")
    @classmethod
    def _is_the_name_of_a_variable(cls, value: str) -> str:
        if re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", value) is None:
            raise InvalidArgument(
                f"{quoted('api_key_variable')} is no name of an environment variable (its value may be a key "
                "and is not shown); allowed: capitals, digits and '_'. Next: export the key under such a "
                "name, and give the name."
            )
        return value
