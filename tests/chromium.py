"""A headless Chromium that opens files and is asked about them, over its debugging pipe."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 300
FLAGS = [
    "--headless=new",
    "--no-sandbox",  # which root has not
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
COMPLAINTS = (
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
    "Page.javascriptDialogOpening",
)
# the browser reads its descriptor 3 and writes its descriptor 4
LAUNCH = """
import os, sys
ours = [os.dup(int(number)) for number in sys.argv[1:3]]
while min(ours) < 5:  # not among those that are about to be replaced
    ours = [os.dup(number) for number in ours]
os.dup2(ours[0], 3)
os.dup2(ours[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def path():
    """Path of the browser, None where there is none or no pipe can be handed to it."""
    return next(filter(None, map(shutil.which, NAMES)), None) if os.name == "posix" else None


@contextlib.contextmanager
def browser(profile):
    """Start a browser with its profile in an empty folder; it ends with the block."""
    to_read, to_write = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", LAUNCH, str(to_read[0]), str(to_write[1])),
            *(path(), *FLAGS, f"--user-data-dir={profile}", "about:blank"),
        ],
        pass_fds=(to_read[0], to_write[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_read[0])
    os.close(to_write[1])
    # a browser that hangs must not hang the test
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    try:
        with open(to_write[0], "rb") as answers, open(to_read[1], "wb", buffering=0) as commands:
            started = Browser(answers, commands)
            yield started
            started.ask("Browser.close")
            process.wait(timeout=10)
    finally:
        watch.cancel()
        process.kill()
        process.wait()


class Browser:
    """One tab; `events` holds what the browser has said by itself."""

    def __init__(self, answers, commands):
        self.answers, self.commands = answers, commands
        self.events, self.buffer, self.count, self.session = [], b"", 0, None
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        """Send a command and return its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session is not None and not method.startswith(("Target", "Browser")):
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self.buffer:
            read = self.answers.raw.read(1 << 16)
            assert read, "the browser has ended"
            self.buffer += read
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open(self, file, width, height=900, *, dark=False, medium=""):
        """Open a file in a window of a size in CSS pixels; what came before is forgotten."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=medium, features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=file.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression):
        """Value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def complaints(self):
        """Entries of the log, console messages, exceptions and dialogs since the page opened."""
        self.value("1")  # what was sent before it has arrived
        return [event["params"] for event in self.events if event.get("method") in COMPLAINTS]

    def requests(self):
        """Addresses that were asked for since the page opened, and whether they were blocked."""
        named = [(event.get("method"), event.get("params")) for event in self.events]
        sent = [each for method, each in named if method == "Network.requestWillBeSent"]
        failed = [each for method, each in named if method == "Network.loadingFailed"]
        blocked = {each["requestId"] for each in failed if each.get("blockedReason") == "csp"}
        return {each["request"]["url"]: each["requestId"] in blocked for each in sent}

    def picture(self, file):
        """Write the whole page as a PNG file."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def paper(self):
        """The page as a PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True)["data"])
