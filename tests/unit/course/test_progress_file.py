"""The learner's one file: nothing in it is lost, whatever was there before."""

from __future__ import annotations

import json
import multiprocessing
import threading

import pytest

from alexnet_lib.course import progress_file


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "learner"
    monkeypatch.setenv("ALEXNET_LEARNER", str(folder))
    return folder


def put(folder, name, content):
    folder.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    return text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


EMPTY = {"predictions": {}, "passed": {}, "hints": {}, "solutions": {}}


def test_reading_makes_nothing(home):
    assert progress_file.read() == EMPTY and progress_file.trouble() == ""
    assert not home.exists()


def test_what_is_kept_is_one_file_with_a_number(home):
    progress_file.note("predictions", "05-nine", "below")
    progress_file.note("passed", "lrn", {"chapter": "05", "on": "2026-01-02"})
    progress_file.note("passed", "lrn", {"chapter": "05", "on": "2027-01-02"}, first_only=True)
    assert names(home) == ["progress.json"]
    assert json.loads((home / "progress.json").read_text("utf-8")) == {
        "format": progress_file.FORMAT, **EMPTY,
        "predictions": {"05-nine": "below"},
        "passed": {"lrn": {"chapter": "05", "on": "2026-01-02"}},
    }  # fmt: skip
    with pytest.raises(ValueError, match="no section 'notes'; there are: predictions, passed"):
        progress_file.note("notes", "a", 1)


def test_files_of_format_1_are_taken_over_once(home):
    passed = {"lrn": {"chapter": "05", "on": "2026-01-02"}}
    put(home, "progress.json", {"passed": passed, "theme": "dark"})
    said = put(home, "predictions.json", {"05-nine": "below", "00-stops": 54.0})
    both = {**EMPTY, "passed": passed, "predictions": {"05-nine": "below", "00-stops": 54.0}}
    assert progress_file.read() == both, "they count before they are taken over"
    assert names(home) == ["predictions.json", "progress.json"]
    progress_file.note("hints", "lrn", 1)
    assert progress_file.read() == {**both, "hints": {"lrn": 1}}
    assert names(home) == ["predictions.taken-over.json", "progress.json"]
    assert (home / "predictions.taken-over.json").read_text("utf-8") == said
    assert json.loads((home / "progress.json").read_text("utf-8"))["theme"] == "dark"
    progress_file.note("predictions", "00-stops", 55.0)
    assert progress_file.read()["predictions"]["00-stops"] == 55.0


def test_predictions_alone_are_taken_over_too(home):
    put(home, "predictions.json", {"00-stops": 54.0})
    progress_file.note("predictions", "00-stops", 55.0)
    assert progress_file.read()["predictions"] == {"00-stops": 55.0}
    put(home, "predictions.json", {"00-stops": 1.0, "05-nine": "below"})  # by an older checkout
    progress_file.note("hints", "lrn", 1)
    assert progress_file.read()["predictions"] == {"00-stops": 55.0, "05-nine": "below"}
    assert names(home) == [
        "predictions.taken-over-2.json", "predictions.taken-over.json", "progress.json",
    ]  # fmt: skip


def test_a_stop_while_taking_over_loses_nothing(home, monkeypatch):
    put(home, "progress.json", {"passed": {"lrn": {}}})
    put(home, "predictions.json", {"05-nine": "below"})
    everything = progress_file.read()

    def stop(*_):
        raise KeyboardInterrupt

    for moment in ("write_json", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(
                progress_file._files if moment == "write_json" else progress_file.os, moment, stop
            )
            with pytest.raises(KeyboardInterrupt):
                progress_file.note("hints", "lrn", 1)
        kept = progress_file.read()
        assert {**kept, "hints": {}} == everything
    progress_file.note("hints", "lrn", 1)
    assert progress_file.read() == {**everything, "hints": {"lrn": 1}}


@pytest.mark.parametrize(
    "content",
    ["{half", "[1, 2]", "\x00\x01", "", '{"format": "two"}', '{"format": true}', '{"format": 0}',
     "[" * 100_000],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_set_aside(home, content):
    for count in (1, 2):
        put(home, "progress.json", content)
        assert progress_file.read() == EMPTY
        assert progress_file.trouble().startswith("learner/progress.json can't be read")
        progress_file.note("hints", "lrn", count)
        assert progress_file.read()["hints"] == {"lrn": count} and progress_file.trouble() == ""
        aside = list(home.glob("progress.unreadable*.json"))
        assert len(aside) == count
        assert all(path.read_text("utf-8") == content for path in aside)


def test_a_file_that_cannot_be_opened_is_said(home):
    (home / "progress.json").mkdir(parents=True)
    assert progress_file.read() == EMPTY
    assert progress_file.trouble().startswith("learner/progress.json can't be opened: ")
    with pytest.raises(OSError):
        progress_file.note("hints", "lrn", 1)


def test_bytes_that_are_no_text_are_set_aside(home):
    home.mkdir()
    (home / "progress.json").write_bytes(b"\xff\xfe\x80")
    progress_file.note("hints", "lrn", 1)
    assert (home / "progress.unreadable.json").read_bytes() == b"\xff\xfe\x80"


def test_old_predictions_that_cannot_be_read_are_set_aside(home):
    said = put(home, "predictions.json", "{half")
    put(home, "progress.json", {"passed": {"lrn": {}}})
    progress_file.note("hints", "lrn", 1)
    assert progress_file.read() == {**EMPTY, "passed": {"lrn": {}}, "hints": {"lrn": 1}}
    assert (home / "predictions.unreadable.json").read_text("utf-8") == said
    assert names(home) == ["predictions.unreadable.json", "progress.json"]


def test_a_damaged_section_is_copied_aside_and_the_others_stay(home):
    said = put(home, "progress.json", {"format": 2, "passed": ["lrn"], "hints": {"lrn": 3}})
    assert progress_file.read() == {**EMPTY, "hints": {"lrn": 3}}
    progress_file.note("predictions", "05-nine", "below")
    progress_file.note("predictions", "05-ten", "below")
    assert progress_file.read()["hints"] == {"lrn": 3} and progress_file.read()["passed"] == {}
    assert (home / "progress.unreadable.json").read_text("utf-8") == said
    assert names(home) == ["progress.json", "progress.unreadable.json"]


def test_a_newer_file_is_refused_and_left_as_it_is(home):
    said = put(home, "progress.json", {"format": progress_file.FORMAT + 1, "predictions": {"a": 1}})
    put(home, "predictions.json", {"b": 2})
    assert progress_file.read() == EMPTY
    words = (
        rf"newer version of this course \(format {progress_file.FORMAT + 1}, while .* update the"
    )
    with pytest.raises(progress_file.NewerFormatError, match=words):
        progress_file.note("hints", "lrn", 1)
    assert "newer version" in progress_file.trouble()
    assert (home / "progress.json").read_text("utf-8") == said
    assert names(home) == ["predictions.json", "progress.json"], "no lock is left behind"


def test_what_this_version_does_not_know_stays(home):
    put(home, "progress.json", {"format": 2, "theme": "dark", "passed": {"from_elsewhere": 1}})
    progress_file.note("passed", "lrn", {})
    content = json.loads((home / "progress.json").read_text("utf-8"))
    assert content["theme"] == "dark" and set(content["passed"]) == {"from_elsewhere", "lrn"}


def test_a_failed_edit_changes_nothing(home):
    said = put(home, "progress.json", {"format": 2, "hints": {"lrn": 1}})
    with pytest.raises(ZeroDivisionError):
        progress_file.change(lambda content: 1 / 0)
    assert (home / "progress.json").read_text("utf-8") == said
    assert names(home) == ["progress.json"]


def test_threads_lose_nothing():
    threads = [
        threading.Thread(target=progress_file.note, args=("hints", str(number), number))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress_file.read()["hints"] == {str(number): number for number in range(12)}


def write_some(first):
    for number in range(first, first + 10):
        progress_file.note("hints", str(number), number)


def test_processes_lose_nothing(home):
    put(home, "predictions.json", {"05-nine": "below"})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_some, args=(10 * i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert progress_file.read()["hints"] == {str(number): number for number in range(30)}
    assert progress_file.read()["predictions"] == {"05-nine": "below"}
