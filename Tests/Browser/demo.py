"""A running demo with its dashboard, and a browser that looks at it."""

import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

root = pathlib.Path(__file__).resolve().parents[2]
build = pathlib.Path(os.environ.get("BUILD", root / ".build/release")).resolve()
screenshots = pathlib.Path(os.environ.get("SCREENSHOTS", root / ".build/screenshots"))


class Demo:
    """The demo of the shop, slow enough for a person (or a test) to answer a proposal before the demo does."""

    def __init__(self, *arguments):
        self.lines = []
        self.process = subprocess.Popen(
            [build / "twinscale", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=root,
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.address = self._wait("dashboard: (http://[^ ]+)", 300)
            self.settings = pathlib.Path(self._wait("logs: ([^ ]+)/logs", 10)) / "twinscale.yaml"
        except Exception:
            self.stop()
            raise

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def _wait(self, pattern, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match[1]
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"the demo did not say '{pattern}':\n" + "\n".join(self.lines[-20:]))

    def stop(self):
        end(self.process)
        self.process.stdout.close()


class Server:
    """A server of its own beside the demo's, which may be ended, or ask who one is."""

    def __init__(self, demo, tokens=None, port=0):
        self.folder = tempfile.TemporaryDirectory()
        file = pathlib.Path(self.folder.name) / "address"
        arguments = ["--config", demo.settings, "--api-listen", f"127.0.0.1:{port}", "--api-address-file", file]
        if tokens:
            path = pathlib.Path(self.folder.name) / "tokens"
            path.write_text("\n".join(tokens))
            path.chmod(0o600)
            arguments += ["--api-auth-tokens", path]
        self.process = subprocess.Popen(
            [build / "twin-api", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not file.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError("the server did not start")
            time.sleep(0.05)
        self.address = file.read_text()

    def stop(self):
        end(self.process)
        self.folder.cleanup()


def token(name, role):
    """A new token, and the line that lets it in."""
    said = subprocess.run([build / "twin-api", "token", name, role], check=True, capture_output=True, text=True).stdout
    return re.search(r"holder: (\S+)", said)[1], re.search(r"file: +(.+)", said)[1]


def end(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
