"""Pydantic models with every constraint that Pydantic writes into a JSON schema, and instances."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    field_serializer,
)


class Colour(str, enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Integers(BaseModel):
    least: Annotated[int, Field(ge=3)]
    above: Annotated[int, Field(gt=3)]
    most: Annotated[int, Field(le=9)]
    below: Annotated[int, Field(lt=9)]
    between: Annotated[int, Field(ge=-5, le=5)]
    even: Annotated[int, Field(multiple_of=2)]
    yes: bool


class Fractions(BaseModel):
    share: Annotated[float, Field(ge=0, le=1)]
    above: Annotated[float, Field(gt=0)]
    below: Annotated[float, Field(lt=100)]
    half: Annotated[float, Field(multiple_of=0.5)]
    price: Decimal
    cents: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]


class Strings(BaseModel):
    short: Annotated[str, Field(min_length=2, max_length=5)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d+$")]
    loose: Annotated[str, Field(pattern=r"\d{3}")]
    both: Annotated[str, StringConstraints(pattern=r"^\w+$", max_length=8)]
    free: str


class Choices(BaseModel):
    colour: Colour
    level: Level
    word: Literal["yes", "no"]
    mixed: Literal["a", 1, True, None]
    only: Literal["fixed"]


class Options(BaseModel):
    """What may be left out comes last, as in answers held to a schema."""

    name: str | None
    either: int | str
    any_of: float | bool | list[int] | None
    count: int | None = None
    word: str = "none"


class Address(BaseModel):
    street: str
    town: str = Field(description="A town.", examples=["Rome"])


class Nested(BaseModel):
    home: Address
    work: Address | None
    others: list[Address]


class Lists(BaseModel):
    any_number: list[int]
    some: Annotated[list[str], Field(min_length=1, max_length=3)]
    distinct: set[int]
    frozen: frozenset[Colour]
    pair: tuple[int, str]
    many: tuple[float, ...]
    sequence: Sequence[Literal["x", "y"]]
    table: list[list[int]]


class Maps(BaseModel):
    counts: dict[str, int]
    named: dict[Colour, bool]
    parts: dict[str, Address]
    anything: dict[str, Any]


class Times(BaseModel):
    at: datetime.datetime
    day: datetime.date
    hour: datetime.time
    took: datetime.timedelta


class Texts(BaseModel):
    id: uuid.UUID
    site: HttpUrl
    link: AnyUrl
    # As EmailStr has it, which needs another package.
    mail: Annotated[str, WithJsonSchema({"type": "string", "format": "email"})]
    v4: ipaddress.IPv4Address
    v6: ipaddress.IPv6Address
    path: Path
    secret: SecretStr

    @field_serializer("secret", when_used="json")
    def shown(self, secret: SecretStr) -> str:
        return secret.get_secret_value()


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Pets(BaseModel):
    first: Annotated[Cat | Dog, Field(discriminator="kind")]
    second: Cat | Dog


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Linked(BaseModel):
    value: int
    next: Linked | None


class Closed(BaseModel):
    """A model that forbids other fields, and has names that are not Python's."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    class_name: str = Field(alias="class")
    first_name: str = Field(alias="first-name")


Content = TypeVar("Content")


class Box(BaseModel, Generic[Content]):
    content: Content
    size: int = 1


ANSWERS: dict[str, BaseModel] = {
    "integers": Integers(least=3, above=40, most=9, below=-8, between=-5, even=12, yes=True),
    "fractions": Fractions(
        share=0.25, above=1e-3, below=99.5, half=2.5, price=Decimal("12.50"), cents=Decimal("1.25")
    ),
    "strings": Strings(short="Zoë", code="AB-77", loose="no. 123!", both="word", free='a "b"\n\\'),
    "choices": Choices(colour=Colour.BLUE, level=Level.HIGH, word="no", mixed=None, only="fixed"),
    "options": Options(name=None, count=7, word="w", either="text", any_of=[1, 2]),
    "defaults": Options(name="Ada", either=4, any_of=None),
    "nested": Nested(
        home=Address(street="Via Appia", town="Rome"),
        work=None,
        others=[Address(street="Quai 1", town="Paris")],
    ),
    "lists": Lists(
        any_number=[], some=["one", "two"], distinct={1, 2}, frozen=frozenset({Colour.RED}),
        pair=(5, "five"), many=(0.5,), sequence=["x", "y"], table=[[1], []],
    ),
    "maps": Maps(
        counts={"apples": 3, "pears": 0}, named={Colour.RED: True},
        parts={"old": Address(street="s", town="t")}, anything={"k": [None, 1.5, {"z": "y"}]},
    ),
    "times": Times(
        at=datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        day=datetime.date(2023, 12, 31),
        hour=datetime.time(23, 59, 1, tzinfo=datetime.timezone.utc),
        took=datetime.timedelta(hours=2, minutes=5),
    ),
    "texts": Texts(
        id=uuid.UUID("12345678-1234-4234-9234-123456789abc"), site=HttpUrl("https://example.org/a"),
        link=AnyUrl("ftp://example.org/b"), mail="ada@example.org",
        v4=ipaddress.IPv4Address("10.0.0.1"), v6=ipaddress.IPv6Address("2001:db8::1"),
        path=Path("some/where"), secret=SecretStr("hush"),
    ),
    "union": Pets(first=Dog(kind="dog", tricks=["roll"]), second=Cat(kind="cat", lives=9)),
    "tree": Tree(value=1, children=[Tree(value=2, children=[Tree(value=3)]), Tree(value=4)]),
    "linked": Linked(value=1, next=Linked(value=2, next=None)),
    "closed": Closed(class_name="C", first_name="Ada"),
    "generic": Box[Address](content=Address(street="Lane", town="Bath"), size=2),
}  # fmt: skip
"""By what they show: an instance of each model."""


def as_json(answer: BaseModel) -> str:
    """Return what a model would write."""
    return answer.model_dump_json(by_alias=True)
