"""Run the labs' JavaScript in node, to hold it against the library."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from alexnet_lib.course.widgets.python_demo import read_script

__all__ = ["in_node", "needs_node"]

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no node: it runs the JavaScript")


def in_node(expression: str, given: object, *scripts: str, **constants: object) -> object:
    """Evaluate a JavaScript expression over `given`, with `scripts` of widgets/js loaded."""
    lines = read_script(*scripts, **constants).splitlines()
    code = "\n".join(line for line in lines if not line.startswith("export default"))
    code += f"""
import {{ readFileSync }} from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({expression}));
"""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code], input=json.dumps(given), text=True,
        capture_output=True, timeout=60, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
