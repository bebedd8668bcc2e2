"""A browser, driven by WebDriver (plain JSON over HTTP), with nothing but the standard library."""
import base64, json, re, subprocess, time, urllib.error, urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE = 15


class Problem(Exception):
    """What the browser, or the page in it, did not do."""


class Driver:
    """chromedriver, and one window of a headless Chromium."""

    def __init__(self, log):
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.process.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                break
        else:
            raise Problem("chromedriver did not start")
        self.base, self.session = f"http://127.0.0.1:{found.group(1)}", None
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en",
                     "--no-first-run", "--disable-background-networking", "--no-proxy-server"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments, "prefs": {"intl.accept_languages": "en"}},
                  "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self.say("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, whole=True)["sessionId"]

    def say(self, method, path, body=None, whole=False):
        if not whole:
            path = f"/session/{self.session}{path}"
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Problem(json.load(error)["value"]["message"].split("\n")[0]) from None

    def close(self):
        try:
            if self.session:
                self.say("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()

    # What a person does.

    def go(self, address):
        self.say("POST", "/url", {"url": address})

    @property
    def address(self):
        return self.say("GET", "/url")

    def find(self, selector):
        """The element, once it is there."""
        return self.until(lambda: self.all(selector), f"no {selector}")[0]

    def all(self, selector):
        return [one[ELEMENT] for one in self.say("POST", "/elements", {"using": "css selector", "value": selector})]

    def click(self, selector):
        self.click_on(self.find(selector))

    def click_on(self, element):
        # Where it comes to rest, before it is aimed at.
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", {ELEMENT: element})
        self.say("POST", f"/element/{element}/click")

    def press(self, text, tag="button"):
        """Clicks the button or link that says so."""
        path = f"//{tag}[normalize-space()={json.dumps(text, ensure_ascii=False)}]"
        found = self.until(lambda: self.say("POST", "/elements", {"using": "xpath", "value": path}), f"nothing says {text!r}")
        self.click_on(found[0][ELEMENT])

    def type(self, selector, text, clear=True):
        element = self.find(selector)
        if clear:
            self.say("POST", f"/element/{element}/clear")
        self.say("POST", f"/element/{element}/value", {"text": text})

    def keys(self, *keys):
        """Presses keys, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.say("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    # What a person sees.

    def run(self, script, *arguments):
        return self.say("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script, *arguments):
        return self.say("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def text(self, selector="main"):
        return self.run("const it = document.querySelector(arguments[0]); return it ? it.innerText : ''", selector)

    def until(self, look, problem):
        end = time.monotonic() + PATIENCE
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                raise Problem(f"{problem}; {self.address} says: {self.text('body')[:600]}")
            time.sleep(0.05)

    def sees(self, *texts, selector="main"):
        for text in texts:
            self.until(lambda: text in self.text(selector), f"{text!r} is not seen")

    def sees_no(self, text, selector="main"):
        self.until(lambda: text not in self.text(selector), f"{text!r} is still seen")

    def source(self):
        """The page as the server wrote it."""
        return self.wait_for("fetch(location.href).then((it) => it.text()).then(arguments[0])")

    def complaints(self):
        """What the browser has to say against pages: errors of scripts, policies that were broken."""
        return [entry["message"] for entry in self.say("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def look(self, dark=False, phone=False):
        """Sets colours and width."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.cdp("Emulation.setEmulatedMedia", features=scheme)
        width, height = (390, 844) if phone else (1000, 560)
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def cdp(self, command, **parameters):
        return self.say("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self):
        return base64.b64decode(self.say("GET", "/screenshot"))
