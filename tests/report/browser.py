#!/usr/bin/env python3
"""Opens a report in headless chromium, by its debugging protocol, and checks it.

    browser.py CHROMIUM PAGE [FOLDER_FOR_SCREENSHOTS]

Prints a line for each thing that is wrong; exit 1 then. Needs the standard library
alone."""
import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request


class Browser:
    def __init__(self, chromium):
        self.folder = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--remote-debugging-port=0",
             "--user-data-dir=" + self.folder, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.number, self.buffer, self.events = 0, b"", []
        port = self.wait(self.port)
        target = self.wait(lambda: self.target(port))
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(4096)
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]

    @staticmethod
    def wait(what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := what():
                    return found
            except (OSError, ValueError, IndexError):
                pass
            time.sleep(0.05)
        raise SystemExit("the browser did not come up")

    def port(self):
        with open(os.path.join(self.folder, "DevToolsActivePort")) as file:
            return int(file.read().split("\n")[0])

    @staticmethod
    def target(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            pages = [t for t in json.load(answer) if t["type"] == "page"]
        return pages[0]["webSocketDebuggerUrl"].split(str(port), 1)[1]

    def take(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(1 << 16)
            if not data:
                raise SystemExit("the browser has gone")
            self.buffer += data
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def message(self):
        text = b""
        while True:
            first, length = self.take(2)
            length &= 127
            if length == 126:
                length = struct.unpack(">H", self.take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.take(8))[0]
            text += self.take(length)
            if first & 128:
                return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        size = (bytes([128 | len(data)]) if len(data) < 126
                else b"\xfe" + struct.pack(">H", len(data)))
        self.socket.sendall(b"\x81" + size + mask +
                            bytes(c ^ mask[i % 4] for i, c in enumerate(data)))
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                return answer.get("result", {})
            self.events.append(answer)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            return "exception: " + json.dumps(answer["exceptionDetails"])[:300]
        return answer["result"].get("value")

    def open(self, page, width=1200, scheme="light", scripts=True):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url="file://" + urllib.request.pathname2url(page))
        self.wait(lambda: self.value("document.readyState") == "complete" and
                  self.value("document.querySelector('footer') !== null"))

    def screenshot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                            clip={"x": 0, "y": 0, "width": size["width"],
                                  "height": min(size["height"], 6000), "scale": 1})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

    def complaints(self):
        for event in self.events:
            what = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                yield json.dumps(what["exceptionDetails"])[:300]
            elif event.get("method") == "Log.entryAdded":
                yield what["entry"]["text"][:300]
            elif event.get("method") == "Runtime.consoleAPICalled":
                yield json.dumps(what["args"])[:300]
            elif event.get("method") == "Network.requestWillBeSent":
                if not what["request"]["url"].startswith(("file:", "data:", "about:")):
                    yield "asked for " + what["request"]["url"]

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


def check(browser, page, shots):
    wrong = []

    def expect(what, expression, expected=True):
        found = browser.value(expression)
        if found != expected:
            wrong.append(f"{what}: {found}, expected {expected}")

    def shot(name):
        if shots:
            browser.screenshot(os.path.join(shots, name + ".png"))

    for domain in ("Runtime", "Log", "Page", "Network"):
        browser.call(domain + ".enable")
    browser.open(page)
    charts = "document.querySelectorAll('.chart').length"
    expect("charts", charts + " > 3")
    expect("live charts", f"Number(document.documentElement.dataset.charts) === {charts}")
    expect("canvases", f"document.querySelectorAll('.live canvas').length === 2 * {charts}")
    expect("something is drawn", """(() => {
      const canvas = document.querySelector('.live canvas');
      const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return pixels.data.some(x => x > 0); })()""")
    expect("pictures stand back", "getComputedStyle(document.querySelector('.plot > svg')).display",
           "none")
    # A name that would be markup stays text.
    expect("name", "document.querySelector('h1').textContent.includes('<script>')")
    expect("name in a card", "[...document.querySelectorAll('.card h3')]"
           ".some(x => x.textContent.includes('<script>') && x.querySelector('script') === null)")
    expect("nothing of it ran", "typeof window.hostile", "undefined")
    expect("scripts", "document.scripts.length", 3)
    expect("no handlers, no style attributes of ours", "[...document.querySelectorAll('main *')]"
           ".every(x => x.closest('.live') || [...x.attributes]"
           ".every(a => a.name !== 'style' && !a.name.startsWith('on')))")
    # The switches.
    for action, event in (("#axis", "change"), ("#smoothing", "input")):
        expect(action, f"""(() => {{ const x = document.querySelector('{action}');
          x.value = x.tagName === 'SELECT' ? x.options[x.options.length - 1].value : 7;
          x.dispatchEvent(new Event('{event}')); return true; }})()""")
    expect("boxes", "(() => { document.querySelectorAll('.legend input, #references')"
           ".forEach(x => x.click()); return document.querySelectorAll('.legend input').length; })()", 2)
    expect("log axis", """(() => { const x = document.querySelector('.log');
      x.click(); return x.getAttribute('aria-pressed'); })()""", "true")
    expect("zoom out", """(() => { [...document.querySelectorAll('.toolbar button')]
      .forEach(x => x.click()); return true; })()""")
    browser.open(page)
    # Drag over the first chart: all zoom.
    place = browser.value("""(() => { const r = document.querySelector('.live').getBoundingClientRect();
      window.scrollTo(0, r.top + scrollY - 100);
      const s = document.querySelector('.live').getBoundingClientRect();
      return [s.left + s.width * .4, s.left + s.width * .6, s.top + s.height / 2]; })()""")
    before = browser.value("document.querySelectorAll('.live')[1].textContent")
    for kind, x in (("mousePressed", 0), ("mouseMoved", 1), ("mouseReleased", 1)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=place[x], y=place[2],
                     button="left", buttons=1, clickCount=1)
    expect("zoom together", "document.querySelectorAll('.live')[1].textContent !== " +
           json.dumps(before))
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0] + 9, y=place[2])
    expect("readout", "document.querySelector('.readout').textContent.startsWith('step ')")
    browser.open(page)
    shot("light")
    light = browser.value("getComputedStyle(document.body).backgroundColor")
    browser.open(page, scheme="dark")
    expect("dark", f"getComputedStyle(document.body).backgroundColor !== '{light}'")
    shot("dark")
    browser.open(page, width=390)
    expect("width on a phone", "document.documentElement.scrollWidth", 390)
    shot("phone")
    browser.open(page, scripts=False)
    expect("tables without scripts", "document.querySelectorAll('table').length > 1")
    expect("pictures without scripts", "[...document.querySelectorAll('.plot > svg')].every(x =>"
           " x.getBoundingClientRect().height > 50 && x.querySelectorAll('.line').length > 0)")
    expect("no switches without scripts", "document.querySelector('.toolbar').children.length", 0)
    shot("no-scripts")
    return wrong + list(browser.complaints())


def main():
    chromium, page = sys.argv[1:3]
    browser = Browser(chromium)
    try:
        wrong = check(browser, os.path.abspath(page), sys.argv[3] if len(sys.argv) > 3 else None)
    finally:
        browser.close()
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
