"""Winograd's minimal filtering: m neighbouring outputs of a filter of r taps by m + r - 1 products.

Direct filtering takes m * r. In two dimensions both counts are squared: 5 x 5 outputs of a 3 x 3
kernel take 49 products instead of 225. For a tile d of inputs and a kernel w,

    y = A^T [(G w G^T) * (B^T d B)] A

where * multiplies element by element. The matrices come from evaluating polynomials at points and
interpolating, which is exact; in float32 the points decide how much is lost by rounding.
Source: Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

__all__ = ["matrices"]

Matrix = list[list[float]]


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), from the constant up."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
        coefficients = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def matrices(m: int, r: int, points: Sequence[Fraction]) -> tuple[Matrix, Matrix, Matrix]:
    """Return A (n x m), G (n x r) and B^T (n x n), n = m + r - 1: a row for each point.

    points: n - 1 different numbers; infinity is the last of the n. If -p is a point as well as p,
    their rows of A, and those of B^T, differ in the sign of every second value alone.
    Raises ValueError for another count of points, or where two are the same.
    """
    n = m + r - 1
    if len(set(points)) != n - 1 or len(points) != n - 1:
        raise ValueError(
            f"F({m}, {r}) needs {n - 1} different points besides infinity; "
            f"there are {len(set(points))} different ones among {len(points)}."
        )
    output, kernel, data = [], [], []
    for point in points:
        others = [other for other in points if other != point]
        row = [*_polynomial(others), Fraction(0)]
        sign = 1 if next(value for value in row[::2] if value) > 0 else -1
        scale = sign / prod(point - other for other in others)
        output.append([point**power for power in range(m)])
        kernel.append([scale * point**tap for tap in range(r)])
        data.append([sign * value for value in row])
    output.append([power == m - 1 for power in range(m)])
    kernel.append([tap == r - 1 for tap in range(r)])
    data.append(_polynomial(points))
    return tuple([[float(v) for v in row] for row in rows] for rows in (output, kernel, data))
