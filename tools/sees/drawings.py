"""Draw one shape, or two beside or above each other, and say what is drawn."""

import colorsys
import io
import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

HUES = {
    "red": (0.0, 8.0),  # the middle, and how far a hue may lie from it, in degrees
    "orange": (30.0, 5.0),
    "yellow": (56.0, 5.0),
    "green": (125.0, 18.0),
    "blue": (222.0, 16.0),
    "purple": (285.0, 10.0),
}
DEEP = ("red", "green", "blue", "purple")  # keep their names when they are darker
COLOURS = tuple(HUES)
SHAPES = ("circle", "square", "triangle", "star")
RELATIONS = ("above", "to the left of")
HELD_OUT_SHARE = 0.1  # of the pairs, which no drawing for training shows
SIDES = (48, 420)  # pixels
ASPECT = 1.5  # the longest side over the shortest
RADII = (0.17, 0.42)  # of a single thing, of the shortest side
PAIR_RADII = (0.17, 0.26)
STRETCH = (0.88, 1.0)  # of the height of some things: drawn by hand, no square is one
NOTCHES = (0.36, 0.5)  # of a star: how far from the middle it is between its points
JPEG_SHARE = 0.15  # of the drawings: colours run at the edges there

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """One shape of one colour."""

    colour: str
    shape: str

    def __str__(self) -> str:
        article = "an" if self.colour == "orange" else "a"
        return f"{article} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """What a drawing shows: a thing, and perhaps where it is of another."""

    first: Thing
    relation: str | None = None
    second: Thing | None = None

    @property
    def things(self) -> tuple[Thing, ...]:
        """The one or two things."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def caption(self) -> str:
        """What is to be said of it."""
        text = str(self.first)
        if self.second is not None:
            text = f"{text} {self.relation} {self.second}"
        return f"{text[0].upper()}{text[1:]}."

    @property
    def held_out(self) -> bool:
        """Whether training never shows it."""
        return self.second is not None and Random(self.caption).random() < HELD_OUT_SHARE


def scene(random: Random, held_out: bool = False) -> Scene:
    """Think of a scene that training may show, or of one that it may not."""
    while True:
        first, second = _thing(random), _thing(random)
        if not held_out and random.random() < 0.25:
            return Scene(first)
        found = Scene(first, random.choice(RELATIONS), second)
        if found.held_out == held_out:
            return found


def _thing(random: Random) -> Thing:
    return Thing(random.choice(COLOURS), random.choice(SHAPES))


@dataclass(frozen=True)
class Place:
    """The middle and the radius of a thing that was drawn, in pixels."""

    x: float
    y: float
    radius: float


def draw(scene: Scene, random: Random) -> tuple[Image.Image, list[Place]]:
    """Draw a scene in some size, on some background; say where its things are."""
    width, height = (60, 60) if random.random() < 0.05 else _size(random)
    detail = 3 if max(width, height) < 160 and random.random() < 0.6 else 1  # 3: smooth edges
    background = _background(random)
    image = Image.new("RGB", (width * detail, height * detail), background)
    pen = ImageDraw.Draw(image)
    places = [Place(*numbers) for numbers in _places(scene, width, height, random)]
    for thing, place in zip(scene.things, places, strict=True):
        colour = _colour(thing.colour, background, random)
        large = Place(place.x * detail, place.y * detail, place.radius * detail)
        _draw_shape(pen, thing.shape, large, colour, random)
    image = image if detail == 1 else image.reduce(detail)
    return (_through_jpeg(image, random) if random.random() < JPEG_SHARE else image), places


def _through_jpeg(image: Image.Image, random: Random) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=random.randint(60, 95))
    return Image.open(data).convert("RGB")


def _size(random: Random) -> tuple[int, int]:
    side = round(math.exp(random.uniform(*map(math.log, SIDES))))
    if random.random() < 0.5:
        return side, side
    other = max(SIDES[0], round(side / random.uniform(1.0, ASPECT)))
    return (side, other) if random.random() < 0.5 else (other, side)


def _background(random: Random) -> Colour:
    way = random.random()
    if way < 0.6:
        return (255, 255, 255)
    if way < 0.7:
        return (0, 0, 0)
    if way < 0.8:
        grey = random.randint(25, 245)
        return (grey, grey, grey)
    light = random.random() < 0.75
    low, high = (215, 255) if light else (0, 50)
    return (random.randint(low, high), random.randint(low, high), random.randint(low, high))


def _colour(name: str, background: Colour, random: Random) -> Colour:
    middle, reach = HUES[name]
    while True:
        hue = (middle + random.uniform(-reach, reach)) % 360 / 360
        value = random.uniform(0.6 if name in DEEP else 0.9, 1.0)
        red, green, blue = colorsys.hsv_to_rgb(hue, random.uniform(0.8, 1.0), value)
        colour = (round(red * 255), round(green * 255), round(blue * 255))
        if math.dist(colour, background) > 80:
            return colour


def _places(
    scene: Scene, width: int, height: int, random: Random
) -> list[tuple[float, float, float]]:
    """Return the middle and the radius of each thing."""
    if scene.second is None:
        radius = random.uniform(*RADII) * min(width, height)
        return [(_within(width, radius, random), _within(height, radius, random), radius)]
    along, across = (width, height) if scene.relation == RELATIONS[1] else (height, width)
    while True:
        radii = [random.uniform(*PAIR_RADII) * min(width, height) for _ in range(2)]
        ends = [_within(along, radius, random) for radius in radii]
        sides = [_within(across, radius, random) for radius in radii]
        distance = ends[1] - ends[0]
        apart = distance > 1.08 * sum(radii)
        if apart and distance > 1.6 * abs(sides[1] - sides[0]):
            break
    pairs = zip(ends, sides, radii, strict=True)
    if scene.relation == RELATIONS[1]:
        return [(end, side, radius) for end, side, radius in pairs]
    return [(side, end, radius) for end, side, radius in pairs]


def _within(length: float, radius: float, random: Random) -> float:
    return random.uniform(radius * 1.02, length - radius * 1.02)


def _draw_shape(
    pen: ImageDraw.ImageDraw,
    shape: str,
    place: Place,
    colour: Colour,
    random: Random,
) -> None:
    x, y, radius = place.x, place.y, place.radius
    high = random.uniform(*STRETCH) if random.random() < 0.3 else 1.0
    if shape == "circle":
        pen.ellipse((x - radius, y - radius * high, x + radius, y + radius * high), fill=colour)
        return
    corners = {"square": 4, "triangle": 3, "star": 10}[shape]
    start = math.pi / 4 if shape == "square" else -math.pi / 2
    if shape == "triangle" and random.random() < 0.15:
        start = math.pi / 2
    tilt = random.choice((0.0, 0.0, random.uniform(-0.25, 0.25)))
    notch = random.uniform(*NOTCHES)
    points = []
    for index in range(corners):
        angle = start + tilt + 2 * math.pi * index / corners
        reach = radius * (notch if shape == "star" and index % 2 else 1.0)
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle) * high))
    pen.polygon(points, fill=colour)
