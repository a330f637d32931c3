#!/usr/bin/env python3
"""Headless Chromium, by its DevTools protocol over two pipes, looks at the page of dotward's admin server.

page.py look URL DIRECTORY [START]   waits for live numbers; puts screenshots (light.png, dark.png, phone.png) and what was seen
                                     (seen.json) into DIRECTORY. START: seconds that the page is looked at before
page.py outage URL DIRECTORY         makes DIRECTORY/live when the page is live, DIRECTORY/gone when it says that dotward is gone, and ends
                                     well when it is live again after that
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

PATIENCE = 40.0  # seconds for whatever is waited for


class Browser:
    """A browser of its own, with one tab."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium.")
        from_us, self.to = os.pipe()
        self.back, to_us = os.pipe()

        def descriptors():
            # The browser reads 3 and writes 4. They are copied out of the way first.
            read, write = os.dup(from_us), os.dup(to_us)
            os.dup2(read, 3)
            os.dup2(write, 4)

        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"]
        command += [f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(command, preexec_fn=descriptors, close_fds=False, stderr=subprocess.DEVNULL)
        os.close(from_us)
        os.close(to_us)
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") != self.number:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                return answer["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.back, 1 << 16)
            if not part:
                raise RuntimeError("the browser has ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, expression, what):
        end = time.monotonic() + PATIENCE
        while not (value := self.value(expression)):
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {PATIENCE:.0f} s")
            time.sleep(0.1)
        return value

    def screenshot(self, path, width, scheme, scale=1):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        metrics = {"width": width, "height": 800, "deviceScaleFactor": scale, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        # The style of the other scheme and the other width is applied with the next frame.
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
        wide = self.value("document.documentElement.scrollWidth")
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))
        return wide - width

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def of(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]

    def complaints(self):
        """What the console has, and exceptions that nobody caught."""
        said = [entry["entry"]["text"] + " " + entry["entry"].get("url", "") for entry in self.of("Log.entryAdded")]
        said += [" ".join(str(arg.get("value")) for arg in call["args"]) for call in self.of("Runtime.consoleAPICalled")]
        return said + [thrown["exceptionDetails"]["text"] for thrown in self.of("Runtime.exceptionThrown")]


LIVE = "document.getElementById('live')?.textContent === 'live'"


def look(browser, url, directory, seconds):
    browser.call("Page.navigate", url=url)
    browser.until(f"{LIVE} && parseFloat(document.getElementById('rate').textContent) > 0", "live numbers")
    first = browser.value("document.getElementById('rate-more').textContent")
    browser.until(f"document.getElementById('rate-more').textContent !== {json.dumps(first)}", "another number")
    time.sleep(float(seconds))
    beyond = {}
    for name, width, scheme, scale in (("light", 1280, "light", 1), ("dark", 1280, "dark", 1), ("phone", 390, "light", 2)):
        beyond[name] = browser.screenshot(f"{directory}/{name}.png", width, scheme, scale)
    browser.screenshot(f"{directory}/phone-dark.png", 390, "dark", 2)
    seen = {
        "url": browser.value("location.origin"),
        "requests": sorted({request["request"]["url"] for request in browser.of("Network.requestWillBeSent")}),
        "complaints": browser.complaints(),
        "beyond_the_width": beyond,
        "cookies": browser.call("Network.getAllCookies")["cookies"],
        "text": browser.value("document.body.innerText"),
        "rate": browser.value("parseFloat(document.getElementById('rate').textContent.replaceAll(',', ''))"),
        "share": browser.value("parseFloat(document.getElementById('share').textContent)"),
        "chart": browser.value("document.querySelector('#traffic path').getAttribute('d').length"),
        # What the policy is for: nothing that is written into the document runs or applies.
        "inline": browser.value(
            "(() => { const s = document.createElement('div'); document.body.append(s); s.setAttribute('style', 'position: fixed');"
            " const applied = getComputedStyle(s).position; s.remove(); let made = 'made';"
            " try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); } catch (error) { made = error.name; }"
            " return applied + ' ' + made; })()"
        ),
    }
    with open(f"{directory}/seen.json", "w") as file:
        json.dump(seen, file, indent=1)


def outage(browser, url, directory):
    browser.call("Page.navigate", url=url)
    browser.until(LIVE, "live")
    open(f"{directory}/live", "w").close()
    gone = "document.getElementById('live')?.textContent === 'no connection' && document.getElementById('notice').textContent"
    print("it says:", browser.until(gone, "the outage"))
    browser.screenshot(f"{directory}/gone.png", 1280, "light")
    open(f"{directory}/gone", "w").close()
    browser.until(f"{LIVE} && document.getElementById('notice').hidden", "live again")
    print("live again")
    browser.screenshot(f"{directory}/started.png", 1280, "light")


def main():
    mode, url, directory, *rest = sys.argv[1:]
    browser = Browser()
    try:
        if mode == "look":
            look(browser, url, directory, *(rest or ["0"]))
        else:
            outage(browser, url, directory)
    except RuntimeError as error:
        sys.exit(f"{error}; the console: {browser.complaints()}")
    finally:
        browser.close()


main()
