"""Drive JupyterLab from Python: a server on a copy of the chapters, and notebooks in a browser.

`LabServer` starts JupyterLab, `launch` a headless Chromium, `NotebookPage` opens one notebook,
runs it and finds its demos, `Demo` and `Slider` act on one of them with the keyboard and the
mouse, as a learner does.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, Locator, Page, Playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
NO_CHROMIUM = (
    "no Chromium found. Install one (Debian, Ubuntu: `apt install chromium`; any system: "
    "`python -m playwright install chromium`) or name it: CHROMIUM=/path/to/chrome"
)
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
# every cell is laid out, seen or not, so that tests find all of them; a learner's JupyterLab skips
# what is out of sight, which is faster
ALL_CELLS = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"}}


def find_chromium(playwright: Playwright | None = None) -> str | None:
    """Path of a Chromium or Chrome: $CHROMIUM, one on the PATH, a usual place, Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named)
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if found := shutil.which(name):
            return found
    places = [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        os.path.expandvars(r"%ProgramFiles%\Google\Chrome\Application\chrome.exe"),
        os.path.expandvars(r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe"),
    ]
    if playwright is not None:
        places.append(playwright.chromium.executable_path)
    return next((place for place in places if Path(place).is_file()), None)


def launch(playwright: Playwright, executable: str) -> Browser:
    """Start a headless browser."""
    return playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)


class LabServer:
    """JupyterLab on 127.0.0.1, serving copies of notebooks from a temporary folder.

    Nothing of the user's is read or written: configuration, settings, workspaces and the
    learner's answers live in `folder`. Use it as a context manager. all_cells: see ALL_CELLS.
    """

    def __init__(
        self, folder: Path, notebooks: list[Path], *, theme: str = "light", all_cells: bool = True
    ) -> None:
        self.folder, self.token, self.url = folder, secrets.token_hex(16), ""
        self.work = folder / "work"
        (self.work / "chapters").mkdir(parents=True)
        for notebook in notebooks:
            shutil.copy(notebook, self.work / "chapters" / notebook.name)
        for name in ("chapters/solutions", "chapters/images", "data"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.work / name)
        themes = {"theme": f"JupyterLab {theme.capitalize()}"}
        settings = {**SETTINGS, "@jupyterlab/apputils-extension/themes": themes}
        settings |= ALL_CELLS if all_cells else {}
        for plugin, values in settings.items():
            file = folder / "settings" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), encoding="utf-8")

    def __enter__(self) -> LabServer:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.work}",
            "--ServerApp.kernel_websocket_connection_class="  # as `make lab` does
            "alexnet_lib.cli.jupyter_server.PromptConnection",
        ]  # fmt: skip
        if hasattr(os, "getuid") and os.getuid() == 0:
            command.append("--allow-root")
        # a learner's own data and answers must not decide how a test ends
        environment = {k: v for k, v in os.environ.items() if k != "ALEXNET_DATA"}
        environment |= {
            "ALEXNET_LEARNER": str(self.folder / "learner"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
            ),
        }
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(self.folder / "server.log", "w", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=self.work, env=environment, stdout=self.log, stderr=subprocess.STDOUT
        )
        try:
            self._wait(seconds=120)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        log = (self.folder / "server.log").read_text(encoding="utf-8")
        raise RuntimeError(f"JupyterLab did not answer within {seconds:.0f} s:\n{log[-3000:]}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@dataclass(frozen=True)
class State:
    """What a demo shows: a fingerprint of its pictures, and its line of text."""

    pictures: str
    text: str


class Slider:
    """One handle of an ipywidgets slider, or one `<input type=range>` of a JavaScript lab."""

    def __init__(self, handle: Locator, name: str, *, native: bool) -> None:
        self.handle, self.name, self.native = handle, name, native

    @property
    def value(self) -> str:
        """The value that the page announces, as text."""
        if self.native:
            return self.handle.input_value()
        return self.handle.get_attribute("aria-valuenow") or ""

    def press(self, key: str) -> None:
        """Focus the handle and press a key, such as ArrowRight, PageUp, Home, End."""
        self.handle.focus()
        self.handle.press(key)

    def restore(self, value: str) -> None:
        """Bring the slider back to an earlier value, all at once."""
        if self.native:
            self.handle.evaluate(
                """(e, value) => {
                  e.value = value;
                  for (const type of ['input', 'change']) e.dispatchEvent(new Event(type, BUBBLES));
                }""".replace("BUBBLES", "{ bubbles: true }"),
                value,
            )
            return
        self.press("Home")
        self.handle.evaluate(
            """(e, value) => {
              const right = { key: 'ArrowRight', bubbles: true, cancelable: true };
              const now = () => Number(e.getAttribute('aria-valuenow'));
              for (let i = 0; i < 2000 && now() < Number(value); i += 1)
                e.dispatchEvent(new KeyboardEvent('keydown', right));
            }""",
            value,
        )

    @property
    def label(self) -> str:
        """What a screen reader calls it; "" if nothing."""
        return self.handle.evaluate(
            """e => e.getAttribute('aria-label')
                || (e.getAttribute('aria-labelledby') || '').split(/\\s+/).filter(Boolean)
                   .map(id => document.getElementById(id)?.textContent ?? '').join(' ').trim()
                || (e.labels && [...e.labels].map(l => l.textContent).join(' ').trim()) || ''"""
        )


class Demo:
    """One `.alexnet-demo` in a page: its sliders, presets, pictures and text."""

    def __init__(self, root: Locator) -> None:
        self.root = root

    def sliders(self) -> list[Slider]:
        """Every slider that is visible and enabled, in the page's order."""
        found = []
        for widget in self.root.locator(".widget-slider:visible").all():
            label = widget.locator(".widget-label")
            name = (label.first.text_content() if label.count() else "") or ""
            handles = widget.locator("[role=slider]:not([aria-disabled=true])").all()
            for number, handle in enumerate(handles):
                end = ("", " (upper)")[min(number, 1)]
                found.append(Slider(handle, name.strip() + end, native=False))
        for handle in self.root.locator("input[type=range]:visible:enabled").all():
            slider = Slider(handle, "", native=True)
            slider.name = slider.label or handle.get_attribute("name") or ""
            found.append(slider)
        return found

    def presets(self) -> list[Locator]:
        """The preset buttons, in the page's order."""
        return self.root.locator("button.alexnet-preset:visible").all()

    def state(self) -> State:
        """What is shown now; raises AssertionError for a broken picture or an error message."""
        errors = self.root.locator(".alexnet-error:visible").all_inner_texts()
        assert not errors, f"a demo shows an error: {errors}"
        text = "\n".join(self.root.locator(".alexnet-summary").all_inner_texts()).strip()
        pictures = self.root.evaluate(_FINGERPRINT)
        assert "broken" not in pictures, f"a picture did not load: {pictures}"
        return State(pictures, text)

    def settle(self, before: State | None = None, seconds: float = 10.0) -> State:
        """Wait until the demo differs from `before` (if given) and stays the same for 0.3 s.

        Returns what is shown then, or after `seconds` at the latest.
        """
        end = time.monotonic() + seconds
        last, since = self.state(), time.monotonic()
        while time.monotonic() < end:
            time.sleep(0.05)
            now = self.state()
            if now != last:
                last, since = now, time.monotonic()
            elif now != before and time.monotonic() - since > 0.3:
                break
        return last

    def move(self, slider: Slider, key: str) -> State:
        """Press a key on a slider; return what the demo shows once it has settled."""
        before, value = self.state(), slider.value
        slider.press(key)
        return self.settle(before if slider.value != value else None)

    def click(self, preset: Locator) -> State:
        """Click a preset; return what the demo shows once it has settled."""
        before = self.state()
        preset.click()
        return self.settle(before, seconds=3.0)


# a hash of every picture: an image's content, a canvas's pixels, a drawing's markup
_FINGERPRINT = """async root => {
  const hash = async bytes => [...new Uint8Array(await crypto.subtle.digest('SHA-1', bytes))]
    .slice(0, 6).map(b => b.toString(16).padStart(2, '0')).join('');
  const text = s => hash(new TextEncoder().encode(s));
  const found = [];
  for (const e of root.querySelectorAll('img, canvas, svg')) {
    if (e.tagName === 'CANVAS') found.push(await text(e.toDataURL()));
    else if (e.tagName !== 'IMG') { if (!e.closest('button')) found.push(await text(e.outerHTML)); }
    else {
      try { await e.decode(); } catch { await new Promise(r => setTimeout(r, 200)); }
      if (!e.complete || !e.naturalWidth) { found.push('broken'); continue; }
      const c = new OffscreenCanvas(e.naturalWidth, e.naturalHeight).getContext('2d');
      c.drawImage(e, 0, 0);
      found.push(await hash(c.getImageData(0, 0, e.naturalWidth, e.naturalHeight).data));
    }
  }
  return found.join(' ');
}"""


class NotebookPage:
    """One notebook, open in the browser."""

    def __init__(self, browser: Browser, server: LabServer, name: str, *, width: int = 1280,
                 height: int = 1400, scale: float = 1) -> None:  # fmt: skip
        self.server, self.name = server, Path(name).stem
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=scale
        )
        self.console: list[str] = []  # uncaught JavaScript errors
        self.foreign: list[str] = []  # requests that leave this machine
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("request", self._note_request)
        address = f"{server.url}/doc/tree/chapters/{name}?reset&token={server.token}"
        self.page.goto(address, timeout=300_000)  # a busy machine may need a minute
        self._wait_for_kernel()

    def _wait_for_kernel(self) -> None:
        """Wait until the kernel answers, and listen to its errors from then on."""
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
            "?.connectionStatus === 'connected'",
            timeout=300_000,
        )
        self.page.evaluate(
            """() => {
              window.kernelErrors = [];
              jupyterapp.shell.currentWidget.sessionContext.iopubMessage.connect((_, message) => {
                if (message.header.msg_type === 'error')
                  kernelErrors.push(message.content.ename + ': ' + message.content.evalue);
              });
            }"""
        )

    def reload(self) -> None:
        """Load the page anew, with a new kernel and nothing run."""
        self._shut_down()
        self.console.clear()
        self.page.reload(timeout=300_000)
        self._wait_for_kernel()

    def _note_request(self, request) -> None:
        url = request.url
        if not url.startswith((self.server.url, "data:", "blob:")):
            self.foreign.append(url)

    def run_all(self, seconds: float = 300) -> float:
        """Run every cell and wait until the last is done; returns the seconds it took."""
        start = time.monotonic()
        self.page.evaluate(
            """() => {
              window.allRan = false;
              jupyterapp.commands.execute('notebook:run-all-cells').finally(() => allRan = true);
            }"""
        )
        self.page.wait_for_function("() => allRan", timeout=seconds * 1000)
        taken = time.monotonic() - start
        # widgets are drawn a moment after their cell is done
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-OutputArea-output')]"
            ".some(e => e.textContent.trim() === 'Loading widget...')",
            timeout=300_000,
        )
        self.page.wait_for_timeout(500)
        return taken

    def errors(self) -> list[str]:
        """Everything that went wrong: in a cell, in a widget's callback, in JavaScript."""
        cells = self.page.evaluate(
            """() => {
              const found = [];
              const cells = jupyterapp.shell.currentWidget.content.model.cells;
              for (let i = 0; i < cells.length; i++) {
                const outputs = cells.get(i).outputs;
                for (let j = 0; outputs && j < outputs.length; j++) {
                  const output = outputs.get(j).toJSON();
                  if (output.output_type === 'error')
                    found.push(`cell ${i}: ${output.ename}: ${output.evalue}`);
                }
              }
              for (const e of document.querySelectorAll('.jp-OutputArea-output'))
                if (/Error (displaying|creating) widget|Failed to load model/.test(e.textContent))
                  found.push('a widget does not render: ' + e.textContent.slice(0, 200));
              return found;
            }"""
        )
        kernel = [f"kernel: {text}" for text in self.page.evaluate("() => kernelErrors")]
        expected = [text.split(": ", 1)[1] for text in cells]  # the same error, seen twice
        return (
            cells
            + [text for text in kernel if text.removeprefix("kernel: ") not in expected]
            + [f"JavaScript: {text}" for text in self.console]
        )

    def demos(self) -> list[Demo]:
        """Every `.alexnet-demo` in the page."""
        return [Demo(root) for root in self.page.locator(".alexnet-demo:visible").all()]

    def close(self) -> None:
        """Shut the kernel down and close the page, without saving."""
        self._shut_down()
        self.page.close(run_before_unload=False)

    def _shut_down(self) -> None:
        self.page.evaluate(
            "async () => { await jupyterapp.shell.currentWidget?.sessionContext.shutdown(); }"
        )
