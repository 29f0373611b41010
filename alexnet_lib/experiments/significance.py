"""The rule by which the claims ledger judges, as arithmetic: from numbers to one of a few words.

An effect, such as "LRN lowers the error by 1.4 points", is measured once a seed; positive means
as the paper says. The paper says which way, so the test is one-sided, at 95%, by Student's t.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = [
    "CLOSE", "CLOSE_BY", "DIRECTION", "NEAR_BY", "NOT_SEEN", "NOT_SO", "NOT_TESTED", "OTHER_WAY",
    "REPRODUCED", "STUDENT", "VERDICTS", "margin", "of_all", "of_bound", "of_chance", "of_count",
    "of_effect",
]

REPRODUCED = "reproduced"
CLOSE = "close"
DIRECTION = "in the same direction"
NOT_SEEN = "not seen at this scale"
OTHER_WAY = "the other way round at this scale"
NOT_SO = "not so"
NOT_TESTED = "not tested"
VERDICTS = {
    REPRODUCED: "in the paper's setting, within the margin; a count within 2%",
    CLOSE: "a count, or a number from the paper's setting, within 10%",
    DIRECTION: "beyond chance as the paper says, but smaller setting or other size",
    NOT_SEEN: "not beyond chance here, neither way",
    OTHER_WAY: "beyond chance, against what the paper says",
    NOT_SO: "a count, which knows no scale, comes out otherwise",
    NOT_TESTED: "nothing comparable was measured here, or only once",
}
NEAR_BY, CLOSE_BY = 0.02, 0.10  # of the printed number
CHANCE = 0.05
STUDENT = {  # how many standard errors: seeds -> Student's t, 95%, one-sided
    2: 6.314, 3: 2.920, 4: 2.353, 5: 2.132, 6: 2.015, 7: 1.943, 8: 1.895, 9: 1.860, 10: 1.833,
}  # fmt: skip


def margin(each: Sequence[float]) -> float:
    """Return how far the mean of some seeds may be off: Student's t times the standard error.

    each: at least two values; more than ten count as ten in the table, which is on the safe side.
    Raises ValueError for fewer.
    """
    if len(each) < 2:
        raise ValueError(f"{len(each)} value(s) have no spread; a margin needs two seeds or more.")
    return STUDENT[min(len(each), 10)] * statistics.stdev(each) / math.sqrt(len(each))


def of_effect(each: Sequence[float], paper: float | None, same_setting: bool) -> str:
    """Judge an effect that was measured once a seed.

    each: (S,) one value a seed, positive as the paper says, in its unit. paper: its number, None
    where it gives none. same_setting: whether network and data are the paper's.
    """
    if len(each) < 2:
        return NOT_TESTED
    mean, off = statistics.fmean(each), margin(each)
    if mean + off < 0:
        return OTHER_WAY
    if mean - off <= 0:
        return NOT_SEEN
    agrees = paper is not None and abs(mean - paper) <= off
    return REPRODUCED if same_setting and agrees else DIRECTION


def of_count(ours: float, paper: float) -> str:
    """Judge a number that can be counted, or is measured in the paper's own setting."""
    apart = abs(ours - paper) / abs(paper)
    return REPRODUCED if apart <= NEAR_BY else CLOSE if apart <= CLOSE_BY else NOT_SO


def of_bound(ours: float, most: float) -> str:
    """Judge a count of which the paper says that it's at most so much."""
    return REPRODUCED if ours <= most else of_count(ours, most)


def of_all(several: Sequence[str]) -> str:
    """Judge a claim about several cases, such as any layer: the verdict that says least for it."""
    return max(several, key=list(VERDICTS).index)


def of_chance(share: float) -> str:
    """Judge a difference by the share of random dealings that make it as large."""
    return DIRECTION if share < CHANCE else NOT_SEEN
