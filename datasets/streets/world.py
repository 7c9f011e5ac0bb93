"""Generated streets: what stands along a curved road, what drives on it, how the camera moves.

World coordinates are those of a vehicle: x ahead, y to the left, z up, in metres, the road at
z = 0. Everything that stands on the ground is made of upright boxes, turned about the vertical.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.streets.texture import NoiseTexture, make_noise_texture

FRAME_INTERVAL = 0.1  # s
VIEW_RANGE = 200.0  # m, how far ahead of the last frame the street goes on
LANE_OFFSET = 1.75  # m, traffic keeps to the right
PARKING_OFFSET = 5.0
POLE_OFFSET = 6.8
TREE_OFFSET = 7.8
FACADE_OFFSET = 9.2

BUILDING, CAR, GLASS, PLANT, METAL = range(5)

# What a picture is searched for; buildings and hedges are background, as are ground and sky.
CAR_KIND, POLE_KIND, TREE_KIND = OBJECT_KINDS = ("car", "pole", "tree")

BOX = np.dtype(
    [
        ("centre", np.float32, 2),
        ("half", np.float32, 2),  # half extents along the box's own axes
        ("yaw", np.float32),
        ("bottom", np.float32),
        ("top", np.float32),
        ("material", np.uint8),
        ("color", np.float32, 3),
        ("accent", np.float32, 3),  # the texture blends from color to accent
        ("contrast", np.float32),
        ("pattern", np.float32, 2),  # window spacing of a building along and up the wall
        ("phase", np.float32, 2),  # where its texture begins
        ("object", np.int32),  # number of the car, pole or tree that it is part of, 0 for none
        ("kind", np.uint8),  # of that object: its place in OBJECT_KINDS
    ]
)


@dataclass(frozen=True)
class CentreLine:
    """The middle of the road: y as a sum of sines of x, so that curves need no tables."""

    amplitudes: np.ndarray
    wavenumbers: np.ndarray
    phases: np.ndarray

    def offset_and_slope(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """y of the centre line at x, and dy/dx. Keeps the shape and the dtype of x."""
        offset, slope = np.zeros_like(x), np.zeros_like(x)
        for amplitude, wavenumber, phase in zip(self.amplitudes, self.wavenumbers, self.phases):
            angle = x * x.dtype.type(wavenumber) + x.dtype.type(phase)
            offset += x.dtype.type(amplitude) * np.sin(angle)
            slope += x.dtype.type(amplitude * wavenumber) * np.cos(angle)
        return offset, slope

    def place(self, x: float, lateral: float) -> tuple[float, float, float]:
        """World x, y and heading of a point ``lateral`` metres left of the centre line at x."""
        offset, slope = self.offset_and_slope(np.float64(x))
        heading = np.arctan(slope)
        return x - lateral * np.sin(heading), offset + lateral * np.cos(heading), heading

    def advance(self, x: float, distance: float) -> float:
        """The x reached from x by driving ``distance`` metres (negative: backwards)."""
        _, slope = self.offset_and_slope(np.float64(x))
        _, slope = self.offset_and_slope(x + distance / 2 / np.hypot(1, slope))
        return x + distance / np.hypot(1, slope)


@dataclass(frozen=True)
class Pose:
    """Where a sensor is: world position in metres and heading in radians, no pitch or roll."""

    x: float
    y: float
    yaw: float

    def moved_left(self, distance: float) -> Pose:
        """The same heading, ``distance`` metres to the left (negative: right)."""
        x = self.x - distance * np.sin(self.yaw)
        return Pose(x, self.y + distance * np.cos(self.yaw), self.yaw)


@dataclass(frozen=True)
class Appearance:
    """Colours in [0, 1], light and texture of one street."""

    texture: NoiseTexture
    sun_azimuth: float
    exposure: float
    ground_colors: np.ndarray  # [4, 3] road, kerb, pavement, grass
    zenith_color: np.ndarray  # [3]


@dataclass(frozen=True)
class Street:
    """One drive through one world: the camera's pose and the boxes present at every frame."""

    centre_line: CentreLine
    appearance: Appearance
    static_boxes: np.ndarray  # BOX [B]
    moving_boxes: tuple[np.ndarray, ...]  # per frame, BOX [M]
    poses: tuple[Pose, ...]  # per frame, of the left colour camera

    def boxes_at(self, frame: int) -> np.ndarray:
        """All boxes of a frame, BOX [B + M]."""
        return np.concatenate([self.static_boxes, self.moving_boxes[frame]], dtype=BOX)

    def object_kinds(self) -> dict[int, str]:
        """The kind of every object of the drive by its number, which it keeps in all frames."""
        boxes = np.concatenate([self.static_boxes, *self.moving_boxes])
        parts = boxes[boxes["object"] > 0]
        return {int(part["object"]): OBJECT_KINDS[part["kind"]] for part in parts}


def make_street(seed: np.random.SeedSequence, index: int, num_frames: int) -> Street:
    """Draw a street and a drive of ``num_frames`` frames along it.

    ``index`` counts the drives of a split and spreads the rarer events evenly: every third drive
    stands still for a while, in every third a car drives ahead at the camera's own speed.
    """
    layout_rng, motion_rng, look_rng = (np.random.default_rng(child) for child in seed.spawn(3))
    centre_line = _draw_centre_line(layout_rng)
    stations = _drive(motion_rng, centre_line, num_frames, stops=index % 3 == 1)
    static_boxes = _furnish(layout_rng, centre_line, stations[-1] + VIEW_RANGE)
    first = static_boxes["object"].max() + 1
    traffic = _traffic(motion_rng, centre_line, stations, first, has_leader=index % 3 == 0)
    poses = tuple(Pose(*centre_line.place(x, -LANE_OFFSET)) for x in stations)
    return Street(centre_line, _draw_appearance(look_rng), static_boxes, traffic, poses)


def _draw_centre_line(rng: np.random.Generator) -> CentreLine:
    wavelengths = np.array([rng.uniform(110, 180), rng.uniform(55, 85)])
    amplitudes = np.array([rng.uniform(2, 6), rng.uniform(0.2, 1)])
    return CentreLine(amplitudes, 2 * np.pi / wavelengths, rng.uniform(0, 2 * np.pi, 2))


def _draw_appearance(rng: np.random.Generator) -> Appearance:
    ground = np.array(
        [[0.36, 0.36, 0.37], [0.62, 0.61, 0.58], [0.50, 0.47, 0.44], [0.30, 0.38, 0.2]]
    )
    ground *= rng.uniform(0.85, 1.15, (4, 1)) * rng.uniform(0.95, 1.05, (4, 3))
    return Appearance(
        texture=make_noise_texture(rng),
        sun_azimuth=rng.uniform(-np.pi, np.pi),
        exposure=rng.uniform(0.9, 1.1),
        ground_colors=ground.astype(np.float32),
        zenith_color=(np.array([0.42, 0.58, 0.80]) * rng.uniform(0.9, 1.1)).astype(np.float32),
    )


def _drive(
    rng: np.random.Generator, centre_line: CentreLine, num_frames: int, stops: bool
) -> np.ndarray:
    """The camera's x along the centre line per frame: 4 to 7 m/s, perhaps with a halt.

    As one drives between parked cars. At twice the speed, training from random weights ended
    with everything at the nearest depth in two of three trials.
    """
    time = np.arange(num_frames) * FRAME_INTERVAL
    mean, wave, phase = rng.uniform((4.75, 0.5, 0), (6.25, 1.5, 6))
    speed = mean + 0.75 * np.sin(time * wave + phase)
    if stops:
        # Stands still for a fifth of the drive around its middle, with half a second of braking.
        halt = np.abs(np.arange(num_frames) - num_frames / 2) - num_frames / 10
        speed *= np.clip(halt * FRAME_INTERVAL / 0.5, 0, 1)
    stations = [0.0]
    for metres in speed[:-1] * FRAME_INTERVAL:
        stations.append(centre_line.advance(stations[-1], metres))
    return np.array(stations)


def _traffic(
    rng: np.random.Generator,
    centre_line: CentreLine,
    stations: np.ndarray,
    first: int,
    has_leader: bool,
) -> tuple[np.ndarray, ...]:
    """Boxes of the moving cars per frame: oncoming ones and perhaps one that leads the way.

    ``first`` is the object number of the first one.
    """
    frames: list[list[np.ndarray]] = [[] for _ in stations]
    if has_leader:
        car, gap = _as_object(_draw_car(rng), CAR_KIND, first), rng.uniform(10, 22)
        for boxes, x in zip(frames, stations):
            place = centre_line.place(centre_line.advance(x, gap), -LANE_OFFSET)
            boxes.append(_at(car, *place))
    start = rng.uniform(20, 60)
    for number in range(first + 1, first + 1 + rng.integers(1, 4)):
        car, speed = _as_object(_draw_car(rng), CAR_KIND, number), rng.uniform(5, 9)
        x = start
        for boxes in frames:
            x = centre_line.advance(x, -speed * FRAME_INTERVAL)
            x_world, y_world, heading = centre_line.place(x, LANE_OFFSET)
            boxes.append(_at(car, x_world, y_world, heading + np.pi))
        start += rng.uniform(30, 50)
    return tuple(np.concatenate([np.empty(0, BOX), *boxes], dtype=BOX) for boxes in frames)


def _furnish(rng: np.random.Generator, centre_line: CentreLine, end: float) -> np.ndarray:
    """Everything that stands along the street from 30 m behind the start up to x = ``end``."""
    boxes: list[np.ndarray] = []
    for side in (-1, 1):
        # Each: how to draw one thing and its length, its kind if it is an object, its distance
        # from the centre line to its nearer side, and the range of gaps between two of a kind.
        for draw, kind, offset, gaps in (
            (_draw_building, None, FACADE_OFFSET, (-6, 6)),
            (_draw_hedge, None, FACADE_OFFSET + 1.5, (4, 25)),
            (_draw_tree, TREE_KIND, TREE_OFFSET, (7, 22)),
            (_draw_pole, POLE_KIND, POLE_OFFSET, (4, 16)),
            (_draw_car, CAR_KIND, PARKING_OFFSET, (0.8, 14)),
        ):
            x = -30 + rng.uniform(0, 10)
            while x < end:
                thing = draw(rng)
                length = 2 * thing["half"][0, 0]
                x_world, y_world, heading = centre_line.place(x + length / 2, side * offset)
                if draw is _draw_car and side == 1:
                    heading += np.pi
                if draw in (_draw_building, _draw_hedge):
                    depth = thing["half"][0, 1]
                    x_world -= side * depth * np.sin(heading)
                    y_world += side * depth * np.cos(heading)
                if kind:
                    thing = _as_object(thing, kind, len(boxes) + 1)
                boxes.append(_at(thing, x_world, y_world, heading))
                x += length + max(0.0, rng.uniform(*gaps))
    return np.concatenate(boxes, dtype=BOX)


def _box(
    rng: np.random.Generator,
    material: int,
    size: tuple[float, float],
    bottom: float,
    top: float,
    color: np.ndarray,
    accent: np.ndarray,
    contrast: float,
    ahead: float = 0.0,
    yaw: float = 0.0,
) -> np.ndarray:
    """One box, BOX [1], ``ahead`` metres ahead of the origin; ``size`` is length and width."""
    box = np.zeros(1, BOX)
    box["centre"] = ahead, 0
    box["half"] = np.array(size) / 2
    box["yaw"], box["bottom"], box["top"], box["material"] = yaw, bottom, top, material
    box["color"], box["accent"], box["contrast"] = color, accent, contrast
    box["pattern"] = rng.uniform((2.2, 2.7), (4.0, 3.4))
    box["phase"] = rng.uniform(0, 256, 2)
    return box


def _as_object(thing: np.ndarray, kind: str, number: int) -> np.ndarray:
    """The boxes of a thing as the parts of one object."""
    numbered = thing.copy()
    numbered["object"], numbered["kind"] = number, OBJECT_KINDS.index(kind)
    return numbered


def _at(thing: np.ndarray, x: float, y: float, heading: float) -> np.ndarray:
    """The boxes of a thing drawn about the origin, moved to a place in the world."""
    moved = thing.copy()
    cos, sin = np.cos(heading), np.sin(heading)
    ahead, left = thing["centre"].T
    moved["centre"] = np.stack([x + cos * ahead - sin * left, y + sin * ahead + cos * left], 1)
    moved["yaw"] += heading
    return moved


def _draw_building(rng: np.random.Generator) -> np.ndarray:
    hue = rng.uniform(0.82, 1.0, 3) * np.array([1.0, 0.94, 0.84])
    color = hue * rng.uniform(0.42, 0.72)
    accent = color * rng.uniform(0.75, 1.15, 3)
    size = rng.uniform(7, 18), rng.uniform(8, 12)
    return _box(rng, BUILDING, size, 0, rng.uniform(4.5, 13), color, accent, 1.1)


def _draw_hedge(rng: np.random.Generator) -> np.ndarray:
    color = np.array([0.22, 0.32, 0.14]) * rng.uniform(0.8, 1.3)
    size = rng.uniform(3, 9), rng.uniform(0.6, 1.2)
    return _box(rng, PLANT, size, 0, rng.uniform(0.9, 2.2), color, color * 1.3, 1.4)


def _draw_tree(rng: np.random.Generator) -> np.ndarray:
    bark = np.array([0.30, 0.24, 0.18]) * rng.uniform(0.8, 1.2)
    leaves = np.array([0.25, 0.34, 0.17]) * rng.uniform(0.8, 1.3)
    yaw, crown, width = rng.uniform(0, 0.8), rng.uniform(1.9, 2.6), rng.uniform(1.6, 2.4)
    height = crown + rng.uniform(1.8, 3.2)
    parts = [_box(rng, PLANT, (0.3, 0.3), 0, crown + 0.1, bark, bark * 1.5, 1.2, yaw=yaw)]
    # Boxes turned against each other and of unequal height break up the crown's outline.
    for turn, size, low, high in ((0, 1, 0.15, -0.35), (0.8, 1.1, 0.5, -0.8), (0.4, 0.7, 0, 0)):
        shade = leaves * rng.uniform(0.85, 1.15)
        span, bottom, top = (size * width, size * width), crown + low, height + high
        box = _box(rng, PLANT, span, bottom, top, shade, shade * 1.3, 1.4, yaw=yaw + turn)
        parts.append(box)
    return np.concatenate(parts, dtype=BOX)


def _draw_pole(rng: np.random.Generator) -> np.ndarray:
    """A sign on its post, a lamp post or a wooden pole, each as often as the others."""
    form = rng.integers(3)
    if form == 0:
        wood = np.array([0.34, 0.27, 0.20]) * rng.uniform(0.7, 1.5)
        width = rng.uniform(0.25, 0.38)
        return _box(rng, PLANT, (width, width), 0, rng.uniform(6, 8), wood, wood * 1.4, 0.8)
    # From dark paint to bare zinc, evenly in its logarithm.
    color = 0.12 * 6 ** rng.uniform() * rng.uniform(0.9, 1.1, 3)
    if form == 1:
        width = rng.uniform(0.16, 0.28)
        return _box(rng, METAL, (width, width), 0, rng.uniform(4, 7), color, color * 1.3, 0.8)
    height = rng.uniform(2.5, 4)
    post = _box(rng, METAL, (0.1, 0.1), 0, height, color, color * 1.3, 0.8)
    plate = rng.uniform(0.3, 0.9, 3)
    sign = _box(rng, METAL, (0.06, 0.7), height - 0.7, height, plate, plate * 0.6, 0.8, ahead=-0.1)
    return np.concatenate([post, sign])


def _draw_car(rng: np.random.Generator) -> np.ndarray:
    paint = rng.uniform(0.15, 0.75) * rng.uniform(0.7, 1.15, 3)
    glass = np.array([0.16, 0.18, 0.21])
    length, width, waist = rng.uniform(3.7, 4.7), rng.uniform(1.65, 1.82), rng.uniform(0.8, 0.95)
    roof = rng.uniform(1.38, 1.55) if rng.random() < 0.8 else rng.uniform(1.9, 2.2)
    cabin = (0.55 * length, 0.88 * width)
    return np.concatenate(
        [
            _box(rng, CAR, (length, width), 0, waist, paint, paint * 0.8, 0.5),
            _box(rng, GLASS, cabin, waist, roof - 0.06, glass, paint * 0.7, 0.6, -0.06 * length),
            _box(rng, CAR, cabin, roof - 0.06, roof, paint, paint * 0.8, 0.5, -0.06 * length),
        ]
    )
