"""Draw the packages and their imports into docs/architecture.md: `python docs/wings.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from test_imports import FILES, ORDER, imported, wing  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"```mermaid\n.*?```", re.DOTALL)


def reachable(arrows: set[tuple[str, str]], start: str) -> set[str]:
    """Every package that can be reached from one along the arrows."""
    found: set[str] = set()
    frontier = {start}
    while frontier:
        frontier = {to for origin, to in arrows if origin in frontier} - found
        found |= frontier
    return found


def drawing() -> str:
    """The diagram in Mermaid: who imports whom, without what follows from other arrows."""
    arrows = {
        (wing(module), wing(name)) for module, path in FILES.items()
        for name in imported(path, module)
        if name.startswith("alexnet_lib.") and wing(name) != wing(module)
    }  # fmt: skip
    kept = [(a, b) for a, b in arrows if b not in reachable(arrows - {(a, b)}, a)]
    lines = [f"  {a} --> {b}" for a, b in sorted(kept, key=lambda arrow: [
        -ORDER.index(end) for end in arrow])]  # fmt: skip
    names = [f"  {name}" for name in reversed(ORDER) if name != "core"]
    names.append('  core["the network itself"]:::core')
    style = "  classDef core fill:#f4e3c1,stroke:#8a5a00,color:#1f2328"
    return "\n".join(["```mermaid", "flowchart TD", *names, *lines, style, "```"])


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda _: drawing(), page), encoding="utf-8")
