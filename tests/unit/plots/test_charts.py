"""Charts and pictures: what is drawn, read back from the artists."""

from __future__ import annotations

import io
import math

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from alexnet_lib import datasets, plots
from alexnet_lib.plots import charts
from alexnet_lib.plots.fast_text import Numeral
from alexnet_lib.plots.palette import COLOURS, LINE_STYLES


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        charts.use_style()
        yield


def heights(ax):
    return [bar.get_height() for bar in ax.containers[0]]


def hexed(colour):
    return to_hex(colour).upper()


def written(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_style_comes_from_the_palette_and_changes_nothing_but_rc_parameters():
    assert matplotlib.rcParams["figure.facecolor"] == COLOURS["background"]
    assert matplotlib.rcParams["font.sans-serif"][0] == "DejaVu Sans"
    assert "matplotlib.pyplot" not in vars(charts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1, "1"), (9, "9"), (-0.5, "-0.5"), (0.5946, "0.595"), (12.34, "12.3"),
        (0.001, "0.001"), (0.0009999, "1e-3"), (2.06039e-4, "2.06e-4"), (4.88281e-4, "4.88e-4"),
        (128, "128"), (43681, "43681"), (99999.6, "100000"), (1.5e6, "1.5e6"), (2e-4, "2e-4"),
        (1.125, "1.13"), (99.95, "100"), (math.nan, "NaN"), (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert charts.number(value) == text


def test_numerals_look_like_matplotlibs_own_text():
    """A Numeral draws outlines that it keeps; the ink must be where Text would put it."""

    def ink(kind, text, weight):
        figure, ax = charts.figure(height=1.0, width=2.0)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        style = {"ha": "center", "va": "bottom", "weight": weight, "fontsize": 12}
        ax.add_artist(kind(0.5, 0.2, text, transform=ax.transAxes, **style))
        ax.set_axis_off()
        grey = Image.open(io.BytesIO(charts.png(figure))).convert("L")
        return 255 - np.asarray(grey).astype(float)

    for text in ("0", "43681", "2.06e-4", "-0.595", "NaN"):
        for weight in ("normal", "bold"):
            ours, theirs = ink(Numeral, text, weight), ink(Text, text, weight)
            assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1), text
            for axis in (0, 1):  # the extent of the ink, within two of 400 x 200 pixels
                seen = [np.flatnonzero(picture.max(axis=axis) > 60) for picture in (ours, theirs)]
                assert abs(seen[0][0] - seen[1][0]) <= 2 and abs(seen[0][-1] - seen[1][-1]) <= 2


def test_figure_and_new_axes_are_unknown_to_pyplot():
    from matplotlib import pyplot

    figure, axes = charts.figure(2.0, rows=2, sharex=True)
    assert isinstance(figure, Figure) and axes.shape == (2,)
    charts.bars([1, 2])
    assert pyplot.get_fignums() == []


def test_bars_draw_values_numbers_and_labels():
    ax = charts.bars([8, 9, 0.5], labels=["a", "b", "c"], meaning="before")
    assert heights(ax) == [8, 9, 0.5]
    assert written(ax) == ["8", "9", "0.5"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b", "c"]
    assert hexed(ax.containers[0][0].get_facecolor()) == COLOURS["before"]


def test_bars_mark_one_and_shade_a_window():
    ax = charts.bars([1, 2, 3, 4], highlight=1, window=(0, 2))
    widths = [bar.get_linewidth() for bar in ax.containers[0]]
    assert widths[1] > 0 and widths[0] == widths[2] == 0
    (span,) = (p for p in ax.patches if hexed(p.get_facecolor()) == COLOURS["soft_highlight"])
    assert (span.get_x(), span.get_width()) == (-0.5, 3)
    charts.bars([1, 2, 3, 4], ax=ax)
    assert not span.get_visible()


def test_bars_called_again_move_what_is_there():
    ax = charts.bars([1, 2, 3], limit=10)
    first, drawn = list(ax.containers[0]), len(ax.get_children())
    charts.bars([3, 2, 9], limit=10, ax=ax)
    assert heights(ax) == [3, 2, 9] and written(ax) == ["3", "2", "9"]
    assert list(ax.containers[0]) == first and len(ax.get_children()) == drawn
    charts.bars([1, 2], limit=10, ax=ax)  # another number of bars: drawn anew
    assert heights(ax) == [1, 2] and written(ax) == ["1", "2"]


def test_bars_leave_what_stays_the_same_alone():
    ax = charts.bars([1, 2], limit=10)
    ax.figure.draw_without_rendering()
    charts.bars([1, 5], limit=10, ax=ax)
    assert [bar.stale for bar in ax.containers[0]] == [False, True]


def test_bars_name_nan_instead_of_drawing_it():
    ax = charts.bars([1, math.nan])
    assert heights(ax) == [1, 0] and written(ax) == ["1", "NaN"]


def test_bars_refuse_what_is_not_a_row():
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        charts.bars([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="1 labels for 2 values"):
        charts.bars([1, 2], labels=["a"])


def test_before_after_draws_two_rows_on_their_own_scales():
    top, bottom = charts.before_after([8, 9, 8], [2e-4, 1e-4, 2e-4], titles=("in", "out"))
    assert heights(top) == [8, 9, 8] and heights(bottom) == [2e-4, 1e-4, 2e-4]
    assert (top.get_title("left"), bottom.get_title("left")) == ("in", "out")
    assert top.get_ylim()[1] > 8 and bottom.get_ylim()[1] < 1e-3
    with pytest.raises(ValueError, match="must match"):
        charts.before_after([1, 2], [1])


def test_curves_draw_the_mean_and_the_spread_in_the_style_of_their_meaning():
    runs = np.array([[0.1, 0.4, 0.5], [0.3, 0.4, 0.9]])
    ax = charts.curves({"train": runs, "validation": [0.1, 0.2, 0.3]}, reference=(0.1, "chance"))
    train, validation = ax.get_lines()[:2]
    assert train.get_ydata() == pytest.approx([0.2, 0.4, 0.7])
    assert list(train.get_xdata()) == [1, 2, 3]
    assert train.get_color() == COLOURS["train"] and validation.get_color() == COLOURS["validation"]
    assert validation.get_linestyle() == LINE_STYLES["validation"] == "-"
    assert train.get_linestyle() == "--"
    (band,) = ax.collections
    points = band.get_paths()[0].vertices
    assert points[:, 1].min() == pytest.approx(0.1) and points[:, 1].max() == pytest.approx(0.9)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "validation"]
    assert "chance" in written(ax)


def test_spread_draws_a_dot_a_seed_and_the_mean():
    ax = charts.spread({"with": [0.84, 0.86], "without": [0.9, 0.8, 0.85]}, percent=True)
    dots = [line for line in ax.get_lines() if line.get_linestyle() == "None"]
    assert [sorted(line.get_xdata()) for line in dots] == [[0.84, 0.86], [0.8, 0.85, 0.9]]
    assert written(ax) == ["85.0%", "85.0%"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["with", "without"]


def test_filters_put_tower_one_above_tower_two_in_their_colours():
    weights = np.random.default_rng(0).normal(size=(8, 3, 5, 5))
    ax = charts.filters(weights, columns=2)
    first, second = ax.get_images()
    assert first.get_extent()[2] < second.get_extent()[2]  # lower edges, counted from the top
    frames = [hexed(patch.get_edgecolor()) for patch in ax.patches]
    assert frames == [COLOURS["tower1"], COLOURS["tower2"]]
    assert written(ax) == ["tower 1", "tower 2"]
    tile = np.asarray(first.get_array())[:5, :5]
    assert tile.dtype == np.uint8 and tile.min() == 0 and tile.max() == 255
    expected = (weights[0] - weights[0].min()) / np.ptp(weights[0])
    assert (tile == np.round(255 * expected.transpose(1, 2, 0))).all()


def test_filters_take_stored_pixels_as_they_are():
    stored = np.full((4, 3, 2, 2), 51, dtype=np.uint8)
    ax = charts.filters(stored, towers=False, normalize="none")
    assert np.asarray(ax.get_images()[0].get_array())[0, 0].tolist() == [51] * 3
    with pytest.raises(ValueError, match="3 filters don't split"):
        charts.filters(np.zeros((3, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"\(K, 3, h, w\)"):
        charts.filters(np.zeros((4, 1, 2, 2)))


def test_feature_maps_share_one_range_unless_told_otherwise():
    ramp = np.linspace(0, 1, 100).reshape(10, 10)
    maps = np.stack([ramp, 0.1 * ramp])
    together = np.asarray(charts.feature_maps(maps).get_images()[0].get_array())
    alone = np.asarray(charts.feature_maps(maps, normalize="each").get_images()[0].get_array())
    assert together[-1, -1].tolist() == [26] * 3 and alone[-1, -1].tolist() == [255] * 3  # .1, 1
    assert written(charts.feature_maps(maps, channels=[1])) == ["1"]
    with pytest.raises(ValueError, match="one image's feature maps"):
        charts.feature_maps(np.zeros((1, 2, 3, 3)))


def test_image_shows_bytes_and_shares():
    pixels = np.full((2, 3, 3), 255, dtype=np.uint8)
    assert np.asarray(charts.image(pixels).get_images()[0].get_array()).max() == 1
    assert charts.image(np.zeros((4, 4))).get_xticks().size == 0
    with pytest.raises(ValueError, match="transpose"):
        charts.image(np.zeros((3, 4, 4)))


def block(ax):
    """The frames and the marks of a block of feature maps, as drawn."""
    collections = [c for c in ax.collections if isinstance(c, PolyCollection)]
    tiles, _, frames, marks, outside = collections
    return tiles, frames, marks, outside


@pytest.mark.parametrize("shape", [(20, 20, 3), (10, 20, 3), (8, 4, 4), (200, 200, 4)])
def test_pixel_image_draws_what_imshow_draws(shape):
    pixels, others = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    drawn = []
    for quick in (False, True):
        figure = Figure(figsize=(2, 2), dpi=100)
        canvas, ax = FigureCanvasAgg(figure), figure.add_axes((0, 0, 1, 1))
        if quick:
            image = plots.pixel_image(pixels, ax)
        else:
            image = ax.imshow(pixels, interpolation="nearest")
            plots.bare(ax)
        for shown in (pixels, others):
            image.set_data(shown)
            canvas.draw()
            drawn.append(np.asarray(canvas.buffer_rgba()).astype(int))
    assert np.abs(drawn[0] - drawn[1]).max() > 100
    for slow, fast in ((drawn[0], drawn[2]), (drawn[1], drawn[3])):
        assert np.abs(slow - fast).max() <= 1  # what lies under half-transparent pixels is rounded


def test_window_over_channels_marks_the_window_and_what_falls_outside():
    maps = np.random.default_rng(0).random((6, 3, 3))
    ax = charts.window_over_channels(maps, channel=1, behind=2, ahead=1)
    tiles, frames, marks, outside = block(ax)
    inside = [tuple(colour[:3]) == to_rgb(COLOURS["highlight"]) for colour in marks.get_facecolor()]
    assert inside == [True, True, True, False, False, False]
    assert len(tiles.get_paths()) == 6 * 9 and len(outside.get_paths()) == 1
    assert any("channels 0 to 2" == text for text in written(ax))
    assert int(np.argmax(marks.get_linewidth())) == 1


def test_window_over_channels_called_again_moves_the_marks():
    maps = np.random.default_rng(0).random((6, 3, 3))
    ax = charts.window_over_channels(maps, channel=0, behind=1, ahead=1)
    children = ax.get_children()
    charts.window_over_channels(maps, channel=5, behind=0, ahead=0, ax=ax)
    assert ax.get_children() == children
    assert any("channel 5 alone" in text for text in written(ax))
    assert len(block(ax)[3].get_paths()) == 0
    with pytest.raises(ValueError, match="channels 0 to 5"):
        charts.window_over_channels(maps, channel=6, behind=1, ahead=1, ax=ax)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (760, 380)])
def test_quick_png_is_read_back_to_the_byte(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    png = plots.quick_png(Image.fromarray(noise))
    read = Image.open(io.BytesIO(png))
    read.verify()  # every chunk's checksum
    assert (read.format, read.mode) == ("PNG", "RGB")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), noise)


def test_png_is_the_same_every_time_and_has_the_size_that_was_asked_for():
    figure, _ = charts.figure(height=1.5, width=2.0)
    one, two = charts.png(figure), charts.png(figure)
    assert one == two
    assert Image.open(io.BytesIO(one)).size == (300, 225)
    assert Image.open(io.BytesIO(charts.png(figure.axes[0], scale=1))).size == (200, 150)
    assert figure.dpi == 100


def drawn(ax):
    """A figure as Matplotlib draws it at the scale of `plots.png`, (H, W, 3)."""
    figure = ax.get_figure()
    figure.set_dpi(200)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_dpi(100)
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def test_png_keeps_a_photos_colours():
    photo = datasets.photo("astronaut")
    ax = charts.image(photo)
    exact = drawn(ax)
    shown = np.asarray(Image.open(io.BytesIO(charts.png(ax, scale=2))).convert("RGB"), int)
    np.testing.assert_array_equal(shown, exact)
