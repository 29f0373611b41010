"""The course's colours, line styles, markers and letters: one meaning each, everywhere.

The colours start from Okabe and Ito's, darkened or lightened until each stands out from its
background by 3 to 1 and the colours that meet in one picture stay apart for colour-blind
readers. Line styles and markers say the same once more, for print in grey.
"""

from __future__ import annotations

__all__ = [
    "COLOURS",
    "DARK_COLOURS",
    "FIGURE_WIDTH",
    "FONT_FAMILY",
    "FONT_SIZE",
    "GROUPS",
    "LINE_STYLES",
    "MARKERS",
    "MEANINGS",
    "PIXELS_PER_INCH",
    "as_dict",
    "css_variables",
]

MEANINGS: dict[str, str] = {
    "tower1": "the first tower, GPU 1 in the paper",
    "tower2": "the second tower, GPU 2 in the paper",
    "train": "measured on the training set",
    "validation": "measured on the validation set",
    "before": "what goes into an operation",
    "after": "what comes out of it",
    "paper": "printed in the paper",
    "ours": "measured by this course",
    "pytorch": "PyTorch or torchvision",
    "relu": "the activation ReLU",
    "tanh": "the activation tanh",
    "sigmoid": "the activation sigmoid",
    "designed": "features that people designed",
    "learned": "features learned from data",
    "highlight": "what the text or the slider points at: a window, a position",
    "muted": "there for comparison: chance, other seeds, what is left out",
    "grid": "grid lines and frames",
    "text": "letters",
    "background": "the paper behind it all",
    "soft_highlight": "a window's area, behind the bars",
    "soft_muted": "an area that takes no part",
    "soft_convolution": "a convolution's part of a cost",
    "soft_connected": "a fully connected layer's part of a cost",
    "soft_lrn": "local response normalization's part of a cost",
    "soft_pooling": "pooling's part of a cost",
}

COLOURS: dict[str, str] = {  # on white
    "tower1": "#C94F00",
    "tower2": "#0072B2",
    "train": "#9A2F80",
    "validation": "#009E73",
    "before": "#76899B",
    "after": "#2F2A86",
    "paper": "#000000",
    "ours": "#2E9BD6",
    "pytorch": "#6B4E00",
    "relu": "#B00F2E",
    "tanh": "#0E8088",
    "sigmoid": "#8A8F2A",
    "designed": "#9C6B30",
    "learned": "#4B5FD1",
    "highlight": "#C98500",
    "muted": "#6E7781",
    "grid": "#D8DEE4",
    "text": "#24292F",
    "background": "#FFFFFF",
    "soft_highlight": "#FCEFD2",
    "soft_muted": "#EEF1F4",
    "soft_convolution": "#9CC7E8",
    "soft_connected": "#F0A878",
    "soft_lrn": "#8AD9B0",
    "soft_pooling": "#F7E27A",
}

DARK_COLOURS: dict[str, str] = {  # on JupyterLab's dark background
    "tower1": "#FF8E55",
    "tower2": "#3D9BE0",
    "train": "#E79AD0",
    "validation": "#2FC79A",
    "before": "#8C9DAD",
    "after": "#C4B5FF",
    "paper": "#FFFFFF",
    "ours": "#8AD4FA",
    "pytorch": "#8F7128",
    "relu": "#FF7A7A",
    "tanh": "#4FC3CB",
    "sigmoid": "#D9DE7A",
    "designed": "#D9A66C",
    "learned": "#93A4FF",
    "highlight": "#FFC33D",
    "muted": "#9DA7B1",
    "grid": "#3A4048",
    "text": "#E6EAEE",
    "background": "#111111",
    "soft_highlight": "#463710",
    "soft_muted": "#23282E",
    "soft_convolution": "#144871",
    "soft_connected": "#791E28",
    "soft_lrn": "#04583E",
    "soft_pooling": "#5B3D01",
}

GROUPS: tuple[tuple[str, ...], ...] = (  # colours that meet in one picture
    ("tower1", "tower2"),
    ("train", "validation"),
    ("before", "after", "highlight"),
    ("paper", "ours", "pytorch"),
    ("relu", "tanh", "sigmoid"),
    ("designed", "learned", "before"),
)

LINE_STYLES: dict[str, str | tuple[int, tuple[float, ...]]] = {
    "tower1": "-",
    "tower2": (0, (5.0, 1.5)),
    "train": (0, (4.0, 2.0)),
    "validation": "-",
    "before": (0, (4.0, 2.0)),
    "after": "-",
    "paper": (0, (6.0, 2.0, 1.5, 2.0)),
    "ours": "-",
    "pytorch": (0, (1.5, 1.5)),
    "relu": "-",
    "tanh": (0, (5.0, 2.0)),
    "sigmoid": (0, (2.0, 1.5)),
    "designed": (0, (5.0, 2.0)),
    "learned": "-",
    "highlight": "-",
    "muted": (0, (1.0, 2.0)),
}

MARKERS: dict[str, str] = {
    "tower1": "s",
    "tower2": "D",
    "train": "o",
    "validation": "s",
    "before": "o",
    "after": "s",
    "paper": "*",
    "ours": "o",
    "pytorch": "^",
    "relu": "o",
    "tanh": "s",
    "sigmoid": "^",
    "designed": "s",
    "learned": "o",
    "highlight": "D",
    "muted": ".",
}

# matplotlib brings DejaVu Sans along; Verdana is its sister on macOS and Windows.
FONT_FAMILY: tuple[str, ...] = ("DejaVu Sans", "Verdana", "sans-serif")
FONT_SIZE: dict[str, float] = {"title": 11.0, "label": 9.5, "tick": 8.5, "note": 8.5}  # points
PIXELS_PER_INCH = 100  # of a figure on the page
FIGURE_WIDTH = 7.6  # inches: 760 pixels, which a laptop shows beside JupyterLab's file list


def as_dict() -> dict[str, object]:
    """Return everything above as plain data that `json.dumps` takes, for the JavaScript demos.

    Keys: light, dark (meaning -> #RRGGBB), meanings, dashes (meaning -> dash lengths in line
    widths, empty for a solid line), markers, font_family, font_pixels (role -> pixels).
    """
    dashes = {
        meaning: [] if style == "-" else list(style[1]) for meaning, style in LINE_STYLES.items()
    }
    return {
        "light": dict(COLOURS),
        "dark": dict(DARK_COLOURS),
        "meanings": dict(MEANINGS),
        "dashes": dashes,
        "markers": dict(MARKERS),
        "font_family": list(FONT_FAMILY),
        "font_pixels": {role: _pixels(points) for role, points in FONT_SIZE.items()},
    }


def _pixels(points: float) -> float:
    return round(points * PIXELS_PER_INCH / 72, 1)


def _declarations(colours: dict[str, str]) -> str:
    return " ".join(
        f"--alexnet-{meaning.replace('_', '-')}: {colour};" for meaning, colour in colours.items()
    )


def css_variables(selector: str = ".alexnet-card") -> str:
    """Return CSS that gives `selector` one variable a meaning, such as --alexnet-tower1.

    The dark values hold inside JupyterLab's dark themes and inside pages that say
    data-theme="dark", as a built book does; --alexnet-font and --alexnet-title (and label, tick,
    note) carry the letters.
    """
    family = ", ".join(f'"{name}"' if " " in name else name for name in FONT_FAMILY)
    sizes = " ".join(
        f"--alexnet-{role}: {_pixels(points)}px;" for role, points in FONT_SIZE.items()
    )
    dark = f'[data-jp-theme-light="false"] {selector}, [data-theme="dark"] {selector}'
    return (
        f"{selector} {{ --alexnet-font: {family}; {sizes} {_declarations(COLOURS)} }}\n"
        f"{dark} {{ {_declarations(DARK_COLOURS)} }}\n"
    )
