"""Headless Chromium, spoken to over a pipe: open a page of the book, ask it something, print it. Nothing but Chromium is needed.

A page counts as ready when its formulas are drawn and fitted (`book/_static/fit.js` says so), or after a while without formulas.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", "--no-first-run",
    "--disable-dev-shm-usage", "--allow-file-access-from-files", "--disable-background-networking", "--disable-extensions",
)  # fmt: skip
READY = "document.readyState === 'complete' && (document.documentElement.dataset.fitted === 'yes' || !window.MathJax)"


def chromium() -> str | None:
    """The program; None where the machine has none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A running Chromium with one page.

    Args:
        to_browser: end of the pipe for commands.
        from_browser: end of the pipe for answers.
        patience: seconds that an answer may take.
    """

    def __init__(self, to_browser: int, from_browser: int, patience: float = 300.0):
        self.to_browser, self.from_browser, self.patience = to_browser, from_browser, patience
        self.count, self.waiting, self.session = 0, b"", ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method: str, /, **parameters: object) -> dict:
        """The result of a command of the DevTools protocol. ValueError where Chromium refuses it, TimeoutError where it is silent."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self._send(message)
        end = time.monotonic() + self.patience
        while True:
            answer = self._answer(end)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise ValueError(f"Chromium: {method}: {answer['error'].get('message')}")
                return answer["result"]

    def _send(self, message: Mapping) -> None:
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self.to_browser, content) :]

    def _answer(self, end: float) -> dict:
        while b"\0" not in self.waiting:
            if not select.select([self.from_browser], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            piece = os.read(self.from_browser, 1 << 20)
            if not piece:
                raise TimeoutError("Chromium has ended")
            self.waiting += piece
        first, _, self.waiting = self.waiting.partition(b"\0")
        return json.loads(first)

    def window(self, width: int, height: int = 900, dark: bool = False, phone: bool = False) -> None:
        """The size of the page in CSS pixels, and whether its reader prefers the dark."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, page: Path | str) -> None:
        """Go to a page, a file or an address, and wait until it is ready."""
        address = page.resolve().as_uri() if isinstance(page, Path) else page
        self.ask("Page.navigate", url=address)
        end = time.monotonic() + self.patience
        while not self.evaluate(f"location.href.split('#')[0] === {json.dumps(address.split('#')[0])} && {READY}"):
            if time.monotonic() > end:
                raise TimeoutError(f"{address} does not become ready")
            time.sleep(0.1)

    def evaluate(self, script: str) -> object:
        """The value of a JavaScript expression in the page, of a promise what it becomes. ValueError where it throws."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ValueError(
                f"the page: {answer['exceptionDetails'].get('exception', {}).get('description', 'an error')[:400]}"
            )
        return answer["result"].get("value")

    def picture(self, path: Path, whole: bool = False) -> None:
        """The page as a PNG, as far as the window shows it, or whole."""
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self, path: Path) -> None:
        """Print the page to a file, as A4 with page numbers."""
        foot = '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span></div>'
        answer = self.ask(
            "Page.printToPDF", transferMode="ReturnAsStream", paperWidth=8.27, paperHeight=11.69, printBackground=True,
            displayHeaderFooter=True, headerTemplate="<span></span>", footerTemplate=foot, marginTop=0.6, marginBottom=0.7,
            marginLeft=0.6, marginRight=0.6, generateDocumentOutline=True,
        )  # fmt: skip
        with path.open("wb") as file:
            while True:
                piece = self.ask("IO.read", handle=answer["stream"], size=1 << 22)
                file.write(base64.b64decode(piece["data"]) if piece.get("base64Encoded") else piece["data"].encode())
                if piece["eof"]:
                    return


@contextlib.contextmanager
def browser(patience: float = 300.0) -> Iterator[Browser]:
    """A Chromium of its own, with an empty profile; it ends with the block. ValueError where the machine has none."""
    program = chromium()
    if program is None:
        raise ValueError(f"no Chromium was found; looked for {', '.join(NAMES)}")
    there, to_browser = os.pipe()
    from_browser, back = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        shell = ["bash", "-c", f'exec "$@" 3<&{there} 4>&{back}', "bash", *words]  # Chromium reads 3 and writes 4
        process = subprocess.Popen(
            shell,
            pass_fds=(there, back),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there), os.close(back)
        try:
            yield Browser(to_browser, from_browser, patience)
        finally:
            os.close(to_browser), os.close(from_browser)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
