"""The base of all parameter models, and the types of their fields."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Strict(BaseModel):
    """A frozen model in which an unknown key, a wrong type or a non-finite number is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    pytorch_only: ClassVar[frozenset[str]] = frozenset()
    """The fields without a twin in Keras; Keras runs must leave them at their defaults."""

    def departures(self) -> dict[str, object]:
        """Return the fields that differ from their defaults; a field without a default always does."""
        return self.model_dump(exclude_defaults=True)
