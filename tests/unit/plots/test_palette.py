"""The palette: enough contrast, told apart by colour-blind readers, one meaning a colour."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

from alexnet_lib.plots import palette

THEMES = {"light": palette.COLOURS, "dark": palette.DARK_COLOURS}
PARTS = ("soft_convolution", "soft_connected", "soft_lrn", "soft_pooling", "grid")  # of one bar
LINES = sorted(palette.LINE_STYLES)  # the meanings that are drawn as lines, bars and markers

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
VISION = {
    "full": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
}  # fmt: skip


def linear(colour: str) -> np.ndarray:
    share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """The ratio that WCAG 2 defines: 1 for the same colour, 21 for black on white."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB as CIE L*a*b* under D65."""
    to_xyz = np.array([
        [0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ])  # fmt: skip
    share = to_xyz @ rgb / [0.95047, 1.0, 1.08883]
    f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one: str, other: str, vision: str) -> float:
    """CIE76 distance as seen with `vision`; below about 10 two areas are easily mixed up."""
    seen = [lab(np.clip(VISION[vision] @ linear(colour), 0, 1)) for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def test_contrast_and_difference_agree_with_known_values():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)  # WCAG's own example
    assert difference("#FF0000", "#FF0000", "full") == 0
    # red and green of one lightness: far apart, and near for a deuteranope
    red, green = "#C00000", "#007000"
    assert difference(red, green, "full") > 2 * difference(red, green, "deuteranopia")


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_bars_stand_out_from_the_background(theme):
    colours = THEMES[theme]
    low = {name: contrast(colours[name], colours["background"]) for name in LINES}
    assert {name: ratio for name, ratio in low.items() if ratio < 3} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_letters_can_be_read_on_every_area(theme):
    colours = THEMES[theme]
    for area in ("background", "soft_highlight", "soft_muted", *PARTS):
        assert contrast(colours["text"], colours[area]) >= 7, area
    assert contrast(colours["muted"], colours["background"]) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_that_meet_in_a_picture_are_told_apart(theme, vision):
    colours = THEMES[theme]
    for group in palette.GROUPS:
        for one, other in itertools.combinations(group, 2):
            assert difference(colours[one], colours[other], vision) >= 20, (one, other)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_parts_of_a_bar_are_told_apart(theme, vision):
    for one, other in itertools.combinations(PARTS, 2):
        assert difference(THEMES[theme][one], THEMES[theme][other], vision) >= 13, (one, other)


@pytest.mark.parametrize("theme", THEMES)
def test_no_two_meanings_share_a_colour(theme):
    values = [colour.upper() for colour in THEMES[theme].values()]
    assert len(set(values)) == len(values)
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour) for colour in values)


def test_every_meaning_has_a_colour_in_both_themes():
    assert set(palette.COLOURS) == set(palette.DARK_COLOURS) == set(palette.MEANINGS)
    assert set(palette.MARKERS) == set(palette.LINE_STYLES)


def test_line_styles_tell_a_group_apart_in_grey():
    for group in palette.GROUPS:
        drawn = [meaning for meaning in group if meaning != "highlight"]
        looks = {(str(palette.LINE_STYLES[m]), palette.MARKERS[m]) for m in drawn}
        assert len(looks) == len(drawn), group


def test_javascript_gets_the_same_values():
    data = json.loads(json.dumps(palette.as_dict()))
    assert data["light"] == palette.COLOURS
    assert data["dark"] == palette.DARK_COLOURS
    assert data["dashes"]["validation"] == [] and data["dashes"]["train"] == [4.0, 2.0]
    assert data["font_family"] == list(palette.FONT_FAMILY)


def test_css_declares_every_meaning_for_both_themes():
    light, dark = palette.css_variables(".x").strip().split("\n")
    assert light.startswith(".x {")
    assert '[data-jp-theme-light="false"] .x' in dark
    for text, colours in ((light, palette.COLOURS), (dark, palette.DARK_COLOURS)):
        for meaning, colour in colours.items():
            assert f"--alexnet-{meaning.replace('_', '-')}: {colour};" in text
