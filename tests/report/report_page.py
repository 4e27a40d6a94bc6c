"""Opens a report in headless Chromium and checks it.

    report_page.py PAGE [FOLDER_FOR_SCREENSHOTS]

Prints a line for each thing that is wrong; exit 1 then."""
import json
import os
import pathlib
import sys

import browser as chromium


class Page:
    def __init__(self, program, url, shots, **how):
        self.browser = chromium.Browser(program, **how)
        self.url, self.shots, self.wrong = url, shots, []
        self.browser.open(url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.browser.close()

    def run(self, expression):
        return self.browser.run(expression)

    def expect(self, what, expression, expected=True):
        try:
            found = self.run(expression)
        except RuntimeError as error:
            found = str(error)
        if found != expected:
            self.wrong.append(f"{what}: {found}, expected {expected}")

    def mouse(self, kind, x, y):
        self.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                          buttons=1, clickCount=1)

    def done(self, name):
        """What was wrong; the screenshot is of the whole page."""
        if self.shots:
            size = self.run("[document.documentElement.scrollWidth, document.body.scrollHeight]")
            self.browser.call("Emulation.setDeviceMetricsOverride", width=size[0],
                              height=min(size[1] + 40, 6000), deviceScaleFactor=1, mobile=False)
            self.browser.screenshot(os.path.join(self.shots, name + ".png"))
        elsewhere = ["asked for " + url for url in self.browser.requested()
                     if not url.startswith(("file:", "data:", "about:"))]
        return [f"{name}: {line}" for line in
                self.wrong + self.browser.complaints() + elsewhere]


def check_light(page):
    charts = "document.querySelectorAll('.chart').length"
    page.expect("charts", charts + " > 3")
    page.expect("live charts", f"Number(document.documentElement.dataset.charts) === {charts}")
    page.expect("canvases",
                f"document.querySelectorAll('.live canvas').length === 2 * {charts}")
    page.expect("something is drawn", """(() => {
      const canvas = document.querySelector('.live canvas');
      const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return pixels.data.some(x => x > 0); })()""")
    page.expect("pictures stand back",
                "getComputedStyle(document.querySelector('.plot > svg')).display", "none")
    # A name that would be markup stays text.
    page.expect("name", "document.querySelector('h1').textContent.includes('<script>')")
    page.expect("name in a card", """[...document.querySelectorAll('.card h3')]
      .some(x => x.textContent.includes('<script>') && x.querySelector('script') === null)""")
    page.expect("nothing of it ran", "typeof window.hostile", "undefined")
    page.expect("scripts", "document.scripts.length", 3)
    page.expect("no handlers, no style attributes of ours",
                """[...document.querySelectorAll('main *')].every(x => x.closest('.live') ||
      [...x.attributes].every(a => a.name !== 'style' && !a.name.startsWith('on')))""")


def check_zoom(page):
    """Drag over the first chart: all zoom."""
    left, right, y = page.run("""(() => {
      document.querySelector('.chart').scrollIntoView();
      const r = document.querySelector('.live').getBoundingClientRect();
      return [r.left + r.width * .4, r.left + r.width * .6, r.top + r.height / 2]; })()""")
    axis = "document.querySelectorAll('.live')[1].textContent"
    before = page.run(axis)
    page.mouse("mousePressed", left, y)
    page.mouse("mouseMoved", right, y)
    page.mouse("mouseReleased", right, y)
    page.expect("zoom together", f"{axis} !== {json.dumps(before)}")
    page.mouse("mouseMoved", left + 9, y)
    page.expect("readout", "document.querySelector('.readout').textContent.startsWith('step ')")


def check_switches(page):
    for switch, event in (("#axis", "change"), ("#smoothing", "input")):
        page.expect(switch, f"""(() => {{ const x = document.querySelector('{switch}');
          x.value = x.tagName === 'SELECT' ? x.options[x.options.length - 1].value : 7;
          x.dispatchEvent(new Event('{event}')); return true; }})()""")
    boxes = """(() => { const x = document.querySelectorAll('.legend input, #references');
      x.forEach(box => box.click()); return x.length; })()"""
    page.expect("boxes", boxes, 3)
    page.expect("log axis", """(() => { const x = document.querySelector('.log');
      x.click(); return x.getAttribute('aria-pressed'); })()""", "true")
    page.expect("boxes again", boxes, 3)
    page.expect("zoom out", """(() => { document.querySelectorAll('.toolbar button')
      .forEach(x => x.click()); return true; })()""")


def main():
    program = chromium.find()
    url = pathlib.Path(sys.argv[1]).absolute().as_uri()
    shots = sys.argv[2] if len(sys.argv) > 2 else None
    wrong = []
    with Page(program, url, shots) as page:
        check_light(page)
        light = page.run("getComputedStyle(document.body).backgroundColor")
        wrong += page.done("light")
    with Page(program, url, None) as page:
        check_zoom(page)
        check_switches(page)
        wrong += page.done("switches")
    with Page(program, url, shots, dark=True) as page:
        page.expect("dark", f"getComputedStyle(document.body).backgroundColor !== '{light}'")
        wrong += page.done("dark")
    with Page(program, url, shots, width=390) as page:
        page.expect("width on a phone", "document.documentElement.scrollWidth", 390)
        wrong += page.done("phone")
    with Page(program, url, shots, scripts=False) as page:
        page.expect("tables without scripts", "document.querySelectorAll('table').length > 1")
        page.expect("pictures without scripts", """[...document.querySelectorAll('.plot > svg')]
          .every(x => x.getBoundingClientRect().height > 50 && x.querySelector('.line'))""")
        page.expect("no switches without scripts",
                    "document.querySelector('.toolbar').children.length", 0)
        wrong += page.done("no-scripts")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
