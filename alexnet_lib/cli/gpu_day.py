"""Everything that a GPU lent for some minutes should do, in one call, in order of worth.

    python -m alexnet_lib gpu-day --minutes 8 --out DIR

Every step is a process of its own with a share of the minutes: one that fails or takes too long
leaves what it has written, and the next one begins. First `data` (on the processor), then `bench`
alone. Then three lanes side by side: `imagenette` and `more`; `figure1` and `claims`; `tests`.

The pictures are CIFAR-10 and Imagenette as `datasets.load` finds them: below runs/data, or in the
folder that ALEXNET_DATA names.

What comes back in DIR: day.json (machine, plan, how each step ended), log.txt (what all steps
said, the tests' report too), bench_gpu.json, imagenette_long.json and .npz,
imagenette_modern.json, figure1.json and cifar_claims.json. Where DIR holds records of an earlier
call, finished cells and arms are taken over; Figure 1 goes on from the record that ships.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import datasets, records, training
from ..benchmarks import gpu as gpu_benchmark
from ..experiments import cifar_claims, figure1, imagenette

__all__ = ["STEPS", "Step", "plan", "run", "step"]

GRACE = 6.0  # seconds that a step has to end by itself before it is killed
LANES = ("first", "one", "two", "three")  # the first alone, then the others side by side
FIRST = 0.18  # of all minutes, at most, for each step of the first lane


@dataclass(frozen=True)
class Step:
    """One step: its lane, its share of the lane's time, the most seconds it's given."""

    name: str
    lane: str
    share: float
    most: float
    what: str


STEPS = (
    Step("data", "first", 1, 90, "decode both data sets"),
    Step("bench", "first", 1, 120, "LRN and the training step, timed alone; whole loops"),
    Step("imagenette", "one", 0.75, 400, "`paper` on Imagenette: search, long run, evaluation"),
    Step("more", "one", 0.25, 600, "modern recipe, source's order, no LRN, 2x2 pooling, seed 1"),
    Step("figure1", "two", 0.5, 600, "Figure 1's cells on CIFAR-10"),
    Step("claims", "two", 0.5, 600, "the ledger's other claims on CIFAR-10"),
    Step("tests", "three", 1, 150, "tests that need CUDA"),
)


def plan(minutes: float, only: Sequence[str] = ()) -> list[tuple[Step, float, float]]:
    """Return each step with the second at which it begins at the latest, and its seconds.

    only: names of steps; all by default. Raises ValueError for an unknown name.
    """
    known = [each.name for each in STEPS]
    for name in only:
        if name not in known:
            raise ValueError(f"there is no step {name!r}; choose from: {', '.join(known)}.")
    chosen = [each for each in STEPS if not only or each.name in only]
    first = 0.45 if all(each.lane == "first" for each in chosen) else FIRST
    total, start, rows = 60 * minutes, 0.0, []
    for lane in LANES:
        mine, at = [each for each in chosen if each.lane == lane], start
        for number, each in enumerate(mine):
            share = each.share / sum(other.share for other in mine[number:])
            seconds = total * first if lane == "first" else (total - at) * share
            rows.append((each, at, min(each.most, seconds)))
            at += rows[-1][2]
        start = at if lane == "first" else start
    return rows


def table(rows: Sequence[tuple[Step, float, float]]) -> str:
    """Return the plan as lines: begin, seconds, step."""
    lines = [f"{'begins':>8} {'seconds':>8}  step"]
    for each, at, seconds in rows:
        lines.append(f"{at:8.0f} {seconds:8.0f}  {each.name:<11} {each.what} (lane {each.lane})")
    return "\n".join(lines)


# The steps, each called in its own process.


def _load(name: str, split: str, small: bool) -> datasets.ImageSet:
    if small:
        return datasets.load("shapes", split, size=16, limit=80 if split == "train" else 30)
    return datasets.load(name, split, size=256 if name == "imagenette" else 32, progress=False)


def _decode(given: tuple[str, str]) -> str:
    began = time.monotonic()
    loaded = _load(*given, small=False)
    return f"{loaded!r}, {loaded.note}: {time.monotonic() - began:.1f} s"


def _data(out: Path, deadline: float, small: bool, say: Callable) -> None:
    sets = [("imagenette", "train"), ("cifar10", "train"), ("imagenette", "val"),
            ("cifar10", "test")]  # fmt: skip
    with multiprocessing.get_context("fork").Pool(4) as pool:
        for said in pool.imap_unordered(_decode, [] if small else sets):
            say(said)


def _bench(out: Path, deadline: float, small: bool, say: Callable) -> None:
    device = str(training.choose_device())
    about = {"device": device, "environment": records.environment()}
    gpu_benchmark.run(
        device, deadline - time.monotonic(), small,
        lambda found: records.write(out / "bench_gpu.json", about | found),
    )


def _earlier(path: Path) -> dict[str, Any] | None:
    return records.read(path) if path.exists() else None


def _imagenette(out: Path, deadline: float, small: bool, say: Callable) -> None:
    train, val = (_load("imagenette", split, small) for split in ("train", "val"))
    imagenette.run(
        train, val, str(training.choose_device()), out, seconds=deadline - time.monotonic(),
        small=small, say=say,
    )


def _more(out: Path, deadline: float, small: bool, say: Callable) -> None:
    train, val = (_load("imagenette", split, small) for split in ("train", "val"))
    imagenette.more(
        train, val, str(training.choose_device()), out, seconds=deadline - time.monotonic(),
        found=_earlier(out / "imagenette_long.json"), small=small, say=say,
    )


def _figure1(out: Path, deadline: float, small: bool, say: Callable) -> None:
    train, path = _load("cifar10", "train", small), out / "figure1.json"
    shipped = None if small else _earlier(records.folder() / path.name)
    figure1.run(
        train, str(training.choose_device()), figure1.SMALL if small else None, deadline=deadline,
        path=path, earlier=_earlier(path) or shipped, say=say,
    )


def _claims(out: Path, deadline: float, small: bool, say: Callable) -> None:
    train, test = (_load("cifar10", split, small) for split in ("train", "test"))
    path = out / "cifar_claims.json"
    cifar_claims.run(
        train, test, str(training.choose_device()), cifar_claims.SMALL if small else None,
        deadline=deadline, path=path, earlier=_earlier(path), say=say,
    )


def _tests(out: Path, deadline: float, small: bool, say: Callable) -> None:
    command = [
        sys.executable, "-m", "pytest", "-q", "tests/unit/kernels/test_cuda.py",
        "-p", "no:cacheprovider", "--durations", "8", "-n", "0" if small else "6",
    ]  # fmt: skip
    subprocess.run(command, cwd=records.root(), timeout=deadline - time.monotonic(), check=False)


WORK: dict[str, Callable[[Path, float, bool, Callable], None]] = {
    "data": _data, "bench": _bench, "imagenette": _imagenette, "more": _more,
    "figure1": _figure1, "claims": _claims, "tests": _tests,
}  # fmt: skip


def step(name: str, out: Path, until: float, small: bool = False) -> int:
    """Do one step in this process; returns 1 where it failed, with the reason printed.

    until: when it should be over, on time.time()'s clock.
    """
    began = time.monotonic()

    def say(text: object) -> None:
        print(f"[{name} {time.monotonic() - began:6.1f} s] {text}", flush=True)

    try:
        WORK[name](out, began + max(1.0, until - time.time()), small, say)
        say("done")
        return 0
    except Exception:
        say(traceback.format_exc())
        return 1


class _Day:
    """The call as it goes: day.json and the log, shared by the lanes."""

    def __init__(self, out: Path, minutes: float, rows: Sequence[tuple[Step, float, float]]):
        self.out, self.began, self.lock = out, time.monotonic(), threading.Lock()
        self.rows, self.total = rows, 60 * minutes
        self.record: dict[str, Any] = {
            "minutes": minutes, "steps": {}, "environment": records.environment(),
            "plan": {each.name: [round(at), round(seconds)] for each, at, seconds in rows},
        }  # fmt: skip
        self.log(f"{self.record['environment']}\n{table(rows)}")

    def now(self) -> float:
        return time.monotonic() - self.began

    def log(self, text: str) -> None:
        with self.lock, open(self.out / "log.txt", "a", encoding="utf-8") as file:
            file.write(text.rstrip() + "\n")
        print(text.rstrip()[-2000:], flush=True)

    def note(self, name: str, **what: Any) -> None:
        with self.lock:
            self.record["steps"].setdefault(name, {}).update(what)
            self.record["seconds"] = round(self.now(), 1)
            records.write(self.out / "day.json", self.record)

    def lane(self, name: str, small: bool) -> None:
        """Do the steps of a lane; what one leaves of its time is shared by those to come."""
        mine = [(each, seconds) for each, _, seconds in self.rows if each.lane == name]
        for number, (each, seconds) in enumerate(mine):
            left = self.total - self.now() - GRACE
            if name != "first":
                share = each.share / sum(other.share for other, _ in mine[number:])
                seconds = min(each.most, left * share)
            if min(seconds, left) < (1 if small else 10):
                self.note(each.name, status="no time left")
            else:
                self.do(each.name, min(seconds, left), small)

    def do(self, name: str, seconds: float, small: bool) -> None:
        """Run a step in a process and copy what it says into the log."""
        command = [
            sys.executable, "-m", "alexnet_lib", "gpu-day", "--step", name, "--until",
            f"{time.time() + seconds:.1f}", "--out", str(self.out), *(["--small"] if small else []),
        ]  # fmt: skip
        start = self.now()
        self.note(name, began=round(start, 1), seconds_given=round(seconds, 1), status="running")
        environment = {
            **os.environ, "PYTHONUNBUFFERED": "1",
            "CUDA_DEVICE_MAX_CONNECTIONS": "32",  # as many streams of a sweep run side by side
        }
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            cwd=records.root(), env=environment, start_new_session=True,
        )  # fmt: skip
        killer = threading.Timer(seconds + GRACE, _kill, (child,))
        killer.start()
        for line in child.stdout:
            self.log(line)
        code = child.wait()
        killer.cancel()
        status = {0: "done", -signal.SIGKILL: "killed: its time was over"}.get(code, "failed")
        self.note(name, status=status, code=code, seconds=round(self.now() - start, 1))


def _kill(child: subprocess.Popen) -> None:
    """End a step that this call started, and what that step started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(
    minutes: float, out: Path, *, only: Sequence[str] = (), dry_run: bool = False,
    small: bool = False,
) -> Mapping[str, Any]:
    """Do the steps within the minutes; returns what day.json holds.

    out: where records go. only: names of steps. dry_run: print the plan alone. small: made-up
    pictures and seconds.
    """
    rows = plan(minutes, only)
    if dry_run:
        print(table(rows))
        return {"plan": {each.name: [round(at), round(seconds)] for each, at, seconds in rows}}
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    day = _Day(out, minutes, rows)
    day.lane("first", small)
    lanes = [threading.Thread(target=day.lane, args=(name, small)) for name in LANES[1:]]
    for each in lanes:
        each.start()
    for each in lanes:
        each.join()
    for path in out.glob("*.partial"):  # of a step that was killed as it wrote
        path.unlink(missing_ok=True)
    day.note("all", status="done")
    return day.record
