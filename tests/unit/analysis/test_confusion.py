"""Confusions counted and worst mistakes found, against counting one by one; and as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_lib import plots
from alexnet_lib.analysis import confusion
from alexnet_lib.plots import palette

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture
def answers():
    """Labels (40,) and probabilities (40, 3)."""
    rng = np.random.default_rng(3)
    shares = rng.random((40, 3)) ** 3 + 1e-3
    return rng.integers(0, 3, 40), shares / shares.sum(axis=1, keepdims=True)


def test_confusion_counts_one_by_one(answers):
    labels, shares = answers
    said = shares.argmax(axis=1)
    expected = np.zeros((3, 3), int)
    for right, answer in zip(labels, said, strict=True):
        expected[right, answer] += 1
    counts = confusion.confusion(labels, said, 3)
    assert counts.tolist() == expected.tolist() and counts.sum() == 40
    assert (expected != expected.T).any()  # else rows and columns could be swapped unseen


def test_rows_are_what_it_is():
    assert confusion.confusion([0], [2], 3).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "said", "message"),
    [
        ([0, 1], [0], r"labels has shape \(2,\) and said \(1,\)"),
        ([0, 3], [0, 1], "labels holds 3; the classes are 0 to 2"),
        ([0, 1], [0, -1], "said holds -1"),
    ],
)
def test_what_cannot_be_counted_is_named(labels, said, message):
    with pytest.raises(ValueError, match=message):
        confusion.confusion(labels, said, 3)


def test_commonest_mistakes_come_first_and_right_ones_never():
    counts = np.array([[90, 2, 7], [0, 50, 7], [1, 0, 80]])
    assert confusion.most_confused(counts, 9) == [(0, 2, 7), (1, 2, 7), (0, 1, 2), (2, 0, 1)]
    assert confusion.most_confused(counts, 1) == [(0, 2, 7)]
    assert confusion.most_confused(np.diag([3, 4, 5])) == []
    assert counts[0, 0] == 90, "the table itself stays as it was"


def test_sentence_says_how_many_the_hardest_and_the_commonest():
    counts = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])  # no owl at all
    line = confusion.sentence(counts, CLASSES)
    assert "13 of 20 pictures are named rightly (65.0%)" in line
    assert "Hardest is dog, with 50% right" in line
    assert "dog taken for owl (5 times), then cat taken for dog (2 times)" in line
    assert "Commonest" not in confusion.sentence(np.diag([1, 2, 3]), CLASSES)
    assert confusion.sentence(np.zeros((3, 3), int), CLASSES).startswith("There are no pictures")


def test_worst_are_wrong_and_the_surest(answers):
    labels, shares = answers
    worst = confusion.worst(labels, shares, count=5)
    wrong = [n for n in range(40) if shares[n].argmax() != labels[n]]
    expected = sorted(wrong, key=lambda n: -shares[n].max())[:5]
    assert worst.places.tolist() == expected and len(worst) == 5
    for place, right, said, sure, given in zip(
        worst.places, worst.right, worst.said, worst.sure, worst.given, strict=True
    ):
        assert right == labels[place] and said == shares[place].argmax() != right
        assert sure == shares[place, said] and given == shares[place, right]


def test_worst_of_a_network_that_is_always_right_is_empty():
    worst = confusion.worst([0, 1], np.eye(2))
    assert len(worst) == 0 and worst.lines(["a", "b"]) == []


def test_worst_says_what_is_said_and_what_it_is():
    worst = confusion.worst([2], np.array([[0.9, 0.04, 0.06]]))
    assert worst.lines(CLASSES) == ["says cat, 90%\nis owl, 6%"]


def test_worst_refuses_shapes_that_do_not_match():
    with pytest.raises(ValueError, match=r"labels has shape \(2,\), probabilities \(3, 4\)"):
        confusion.worst([0, 1], np.ones((3, 4)))


def colours_of(ax):
    return ax.images[0].get_array()


def test_the_table_is_green_where_right_and_stronger_where_more():
    counts = np.array([[9, 1, 0], [3, 6, 1], [0, 5, 5]])
    ax = plots.confusion(counts, CLASSES, title="T")
    cells = colours_of(ax)
    assert {text.get_text() for text in ax.texts} == {"9", "1", "3", "6", "5"}
    red, green, blue = cells[0, 0]
    assert green > red and green > blue
    assert cells[1, 0].sum() < cells[0, 1].sum(), "3 of 10 is darker than 1 of 10"
    assert np.allclose(cells[0, 2], 1), "what never happened stays white"
    assert [label.get_text() for label in ax.get_yticklabels()] == CLASSES
    assert ax.get_ylabel() == "what it is" and "T" in (ax.get_title(), ax.get_title(loc="left"))


def test_numbers_stand_out_from_their_cells():
    ax = plots.confusion(np.array([[99, 1], [50, 50]]), CLASSES[:2])
    for text in ax.texts:
        column, row = (int(at) for at in text.get_position())
        dark_letters = text.get_color() == palette.COLOURS["text"]
        assert dark_letters == (colours_of(ax)[row, column].mean() >= 0.5)


@pytest.mark.parametrize("shape", [(2, 3), (31, 31), (1, 1)])
def test_the_table_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="matrix has shape"):
        plots.confusion(np.ones(shape), [str(n) for n in range(shape[0])])


def test_gallery_shows_each_picture_with_its_words():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape).astype(np.uint8) for shape in
                ((8, 8, 3), (8, 8, 1), (8, 6), (4, 8, 3), (8, 8, 3))]  # fmt: skip
    lines = [f"says {n}\nis {n}" for n in range(5)]
    figure = plots.gallery(pictures, lines, columns=3, title="T")
    used = [ax for ax in figure.axes if ax.images]
    assert [ax.get_xlabel() for ax in used] == lines and len(figure.axes) == 6
    assert np.allclose(used[0].images[0].get_array(), pictures[0] / 255)
    assert used[1].images[0].get_array().shape == (8, 8)
    assert plots.png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(("count", "columns", "share"), [(2, 4, 0.5), (8, 4, 1), (5, 5, 1)])
def test_gallery_is_never_wider_than_the_page(count, columns, share):
    figure = plots.gallery(np.zeros((count, 4, 4)), ["x"] * count, columns=columns)
    assert figure.get_figwidth() == pytest.approx(share * palette.FIGURE_WIDTH)


@pytest.mark.parametrize(("count", "words"), [(0, 0), (2, 1)])
def test_gallery_refuses_nothing_and_too_few_words(count, words):
    with pytest.raises(ValueError, match=f"{count} pictures and {words} lines"):
        plots.gallery(np.zeros((count, 4, 4)), ["x"] * words)
