#!/usr/bin/python3
"""Drives the page in a headless Chromium, against the program.

    run.py [--program PATH] [--work DIR] [--screenshots] [--only NAME] [--no-npm] [--self-test]

Scenarios: signing in, search as you type, an edit, one while a device edits too, history and restore, held deletions, a sync that is
under way, all of it again by keyboard alone and without a script, a lost device. After each page: the browser's own complaints (a broken policy is one),
HTML that nests (markup.py) and, with --screenshots, pictures in docs/screenshots, light and dark, wide and narrow. Each page is held
against axe-core and html-validate, which npm brings into WORK once; without a network these two are skipped, and it is said.
Prints `ok NAME seconds` or `FAIL NAME: reason`, at the end `N passed, N failed`; exit 0 = all passed, 1 = not, 2 = could not run."""
import argparse, json, os, pathlib, re, shutil, subprocess, sys, tempfile, time
import markup
from driver import Driver, Problem
from gate import Gate

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PASSWORD = "correct horse"
PACKAGES = {"axe-core": "4.10.3", "html-validate": "9.5.3"}
LARGEST = 100_000
TAB, ENTER = "\ue004", "\ue007"


def card(name, lines=""):
    given, _, family = name.partition(" ")
    return f"BEGIN:VCARD\r\nVERSION:3.0\r\nN:{family};{given};;;\r\nFN:{name}\r\n{lines}END:VCARD\r\n"


PEOPLE = [
    ("Zoë Östberg", "TEL;TYPE=CELL:+46 70 174 06 01\r\nEMAIL:zoe@example.com\r\nORG:Blåbär AB;Warehouse\r\nTITLE:Captain\r\n"
                    "ADR;TYPE=HOME:;;Storgatan 1;Stockholm;;111 22;Sweden\r\nNOTE:Likes tea\r\nX-SPOUSE:Åke\r\n"),
    ("小明 王", "TEL;TYPE=CELL:+86 138 0013 8000\r\nORG:茶馆\r\n"),
    ("Bo <b>Ek</b>", "TEL;TYPE=WORK:+46 8 555 01 02\r\n"),
    ("Ada Lovelace", "TEL;TYPE=HOME:+44 20 7946 0958\r\nEMAIL:ada@example.org\r\nORG:Analytical Engines\r\n"),
    ("Grace Hopper", "TEL;TYPE=CELL:+1 202 555 0143\r\nEMAIL:grace@example.org\r\n"),
] + [(f"Person{n:02} Doe", f"TEL:+49 30 1234{n:02}\r\n") for n in range(25)]


class World:
    """A server with the page, and a phone of ada's."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        (self.folder / "password").write_text(PASSWORD + "\n")
        self.environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy") and key != "SYNCML_DB"}
        self.run("account", "add", "ada", "--password-file", self.folder / "password", "--db", self.db)
        log = open(self.folder / "server.log", "w")
        self.server = subprocess.Popen([program, "serve", "--console", "--db", self.db, "--listen", "127.0.0.1:0", "--log-level", "warn"],
                                       stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment)
        self.url = self.server.stdout.readline().strip().removeprefix("listening on ")
        self.page = self.server.stdout.readline().strip().removeprefix("console on ")
        if not self.page.endswith("/console"):
            raise Problem(f"the server says {self.url!r} and {self.page!r}")
        # A device knows its server by the address: so it always takes this way.
        host, port = self.url.split("/")[2].split(":")
        self.gate = Gate(host, int(port))
        self.way = f"http://127.0.0.1:{self.gate.port}/syncml"
        self.phone = self.folder / "phone"
        self.phone.mkdir()
        for number, (name, lines) in enumerate(PEOPLE):
            (self.phone / f"{number:02}.vcf").write_bytes(card(name, lines).encode())
        self.sync()

    @property
    def db(self):
        return f"sqlite:{self.folder / 'server.db'}"

    def run(self, *words, good=(0,)):
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, env=self.environment, stdin=subprocess.DEVNULL)
        if done.returncode not in good:
            raise Problem(f"{words}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def syncing(self):
        return ["sync", str(self.phone), "--to", self.way, "--user", "ada", "--book", "contacts",
                "--password-file", str(self.folder / "password"), "--json"]

    def sync(self, *more, good=(0,)):
        return self.run(*self.syncing, *more, good=good)

    def file(self, text):
        return next(path for path in sorted(self.phone.glob("*.vcf")) if text in path.read_text())

    def close(self):
        self.server.terminate()
        self.server.wait()


class Pages:
    """What every page is held against."""

    def __init__(self, driver, options, npm):
        self.driver, self.options, self.npm, self.seen = driver, options, npm, {}

    def check(self, name, expected_errors=0):
        """Looks at the page that is shown now."""
        driver = self.driver
        complaints = [it for it in driver.complaints() if "favicon" not in it]
        if len([it for it in complaints if "the server responded with a status of 4" not in it]) or len(complaints) > expected_errors:
            raise Problem(f"{name}: the browser complains: {complaints}")
        source = driver.source()
        driver.complaints()
        driver.run("window.scrollTo(0, 0)")
        found = markup.problems(source)
        if found:
            raise Problem(f"{name}: {found}")
        self.look(name, source)

    def look(self, name, source):
        """Looks at it as each person has it."""
        driver, self.seen[name] = self.driver, source
        for dark in (False, True):
            for phone in (False, True):
                driver.look(dark, phone)
                wide = driver.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                if wide[0] > wide[1]:
                    raise Problem(f"{name}: wider than the screen: {wide}, phone {phone}")
                if self.npm:
                    self.accessible(name, dark, phone)
                if self.options.screenshots:
                    self.picture(name, dark, phone)
        driver.look()

    def accessible(self, name, dark, phone):
        self.driver.run((self.npm / "axe-core/axe.min.js").read_text())
        script = "axe.run(document, {resultTypes: ['violations']}).then((it) => arguments[0](it.violations.map((one) => " \
                 "[one.impact, one.id, one.nodes.map((node) => node.html.slice(0, 200) + ' ' + (node.any[0] ? node.any[0].message : ''))])))"
        found = self.driver.wait_for(script)
        if found:
            raise Problem(f"{name}, {'dark' if dark else 'light'}, {'phone' if phone else 'desktop'}: axe-core says {found}")

    def picture(self, name, dark, phone):
        picture = self.driver.screenshot()
        path = ROOT / "docs/screenshots" / f"{name}-{'dark' if dark else 'light'}-{'phone' if phone else 'desktop'}.png"
        if len(picture) > LARGEST:
            raise Problem(f"{path.name} has {len(picture)} bytes")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)

    def validate(self):
        """All pages at once, as html-validate is slow to start."""
        folder = pathlib.Path(self.options.work) / "html"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, source in self.seen.items():
            (folder / f"{name}.html").write_text(source)
        # Taste is not judged: how long a title is, how a doctype or an attribute is spelt.
        rules = {"long-title": "off", "doctype-style": "off", "attribute-boolean-style": "off", "no-trailing-whitespace": "off",
                 "no-inline-style": "error", "tel-non-breaking": "off", "prefer-native-element": "off"}
        (folder / ".htmlvalidate.json").write_text(json.dumps({"root": True, "extends": ["html-validate:recommended"], "rules": rules}))
        program = self.npm / "html-validate/bin/html-validate.mjs"
        program = program if program.exists() else self.npm / "html-validate/bin/html-validate.js"
        done = subprocess.run(["node", program, "--max-warnings", "0", *sorted(folder.glob("*.html"))], capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise Problem(f"html-validate: {done.stdout[-3000:]}{done.stderr[-1000:]}")


def packages(work):
    """The folder of what npm brings, or nothing."""
    folder = pathlib.Path(work).parent / "npm"
    modules = folder / "node_modules"
    if all((modules / name / "package.json").exists() for name in PACKAGES):
        return modules
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", *wanted], cwd=folder, check=True, capture_output=True, timeout=180)
        return modules
    except (OSError, subprocess.SubprocessError):
        return None


# Scenarios, in the order in which a person would meet them; each leaves the browser signed in.


def sign_in(world, driver, pages):
    driver.go(world.page)
    driver.sees("User name")
    pages.check("sign-in")
    driver.type("#name", "ada")
    driver.type("#password", "wrong")
    driver.press("Sign in")
    driver.sees("The name or the password is wrong.")
    driver.complaints()
    driver.type("#name", "ada")
    driver.type("#password", PASSWORD)
    driver.press("Sign in")
    driver.sees("Zoë Östberg", "小明", "Bo <b>Ek</b>")
    if driver.run("return document.cookie"):
        raise Problem("a script sees the cookie")
    pages.check("contacts")


def search_as_you_type(world, driver, pages):
    driver.go(world.page)
    driver.type("#q", "ost")
    driver.sees("Zoë Östberg", "1 shown")
    driver.sees_no("Ada Lovelace")
    pages.check("search")
    driver.type("#q", "7946")
    driver.sees("Ada Lovelace", "1 shown")
    driver.type("#q", "王")
    driver.sees("小明", "1 shown")
    driver.type("#q", "nobody at all")
    driver.sees("Nothing is found.")
    driver.type("#q", "x")
    driver.keys("\ue003")
    driver.sees("Ada Lovelace", "30 shown")


def edit(world, driver, pages):
    driver.go(world.page)
    driver.press("Zoë Östberg", "a")
    driver.sees("Captain", "Last change")
    driver.click("summary")
    driver.sees("X-SPOUSE", "Åke")
    pages.check("card")
    driver.press("Edit", "a")
    driver.sees("Given name")
    pages.check("edit")
    driver.type("input[id^='TITLE-']", "Admiral")
    driver.press("Save")
    driver.sees("It is saved.", "Admiral")
    world.sync()
    text = world.file("Admiral").read_text()
    if "X-SPOUSE:Åke" not in text or "Captain" in text:
        raise Problem(f"the phone has {text}")
    driver.go(world.page + "/book/1/new")
    pages.check("new")


def edit_while_a_device_does(world, driver, pages):
    driver.go(world.page)
    driver.press("Grace Hopper", "a")
    driver.press("Edit", "a")
    driver.type("#TEL-new", "+1 999")
    path = world.file("Grace Hopper")
    path.write_text(path.read_text().replace("END:VCARD", "TITLE:Rear admiral\nEND:VCARD"))
    world.sync()
    driver.press("Save")
    driver.sees("together with what was changed meanwhile", "+1 999", "Rear admiral")
    driver.press("Edit", "a")
    driver.type("input[id^='TITLE-']", "Programmer")
    path.write_text(path.read_text().replace("Rear admiral", "Commodore"))
    world.sync()
    driver.press("Save")
    driver.sees("It was changed meanwhile", "Commodore", "Programmer", "Nothing is saved yet.")
    driver.complaints()
    # The page is the answer to a form, which asking again would not give.
    source = driver.run("return '<!DOCTYPE html>\\n' + document.documentElement.outerHTML")
    found = markup.problems(source)
    if found:
        raise Problem(f"conflict: {found}")
    pages.look("conflict", source)
    driver.press("Save yours")
    driver.sees("It is saved", "Programmer")
    world.sync()
    if "Programmer" not in path.read_text():
        raise Problem(f"the phone has {path.read_text()}")


def history_and_restore(world, driver, pages):
    driver.go(world.page)
    driver.press("Zoë Östberg", "a")
    driver.press("History", "p/a")
    driver.sees("added", "changed", "console")
    pages.check("history-of-a-card")
    driver.click_on(driver.all("tbody tr a")[-1])
    driver.sees("What has changed since", "Captain", "Admiral")
    pages.check("revision")
    driver.press("Bring this revision back")
    driver.sees("It is as it was.")
    world.sync()
    if "Captain" not in world.file("Östberg").read_text():
        raise Problem("the phone has not got what was restored")
    driver.go(world.page + "/history")
    driver.sees("restore")
    pages.check("history")
    driver.go(world.page + "/book/1/restore?revision=30")
    driver.sees("are changed back")
    pages.check("restore")
    driver.press("Do it")
    driver.sees("The book is as it was.", "Earlier restores")
    world.sync()
    if "Programmer" in world.file("Grace Hopper").read_text():
        raise Problem("the phone has not got the restored book")


def conflicts(world, driver, pages):
    world.sync()
    driver.go(world.page)
    driver.press("Person07 Doe", "a")
    driver.press("Edit", "a")
    driver.type("input[id^='TITLE-']", "Runner")
    driver.press("Save")
    driver.sees("Runner")
    path = world.file("Person07 Doe")
    kept = [line for line in path.read_text().splitlines() if not line.startswith("TITLE:")]
    path.write_text("\r\n".join(kept[:-1] + ["TITLE:Breaker", kept[-1], ""]))
    world.sync()
    driver.go(world.page + "/devices")
    driver.press("Conflicts: 1", "a")
    driver.sees("Person07 Doe", "TITLE", "what the device said")
    pages.check("conflicts")
    driver.press("Take it back")
    driver.sees("It is as it was.")
    world.sync()
    if "TITLE:Runner" not in world.file("Person07 Doe").read_text():
        raise Problem("the phone has not got back what lost")


def devices_and_progress(world, driver, pages):
    driver.go(world.page + "/devices")
    driver.sees("ended well", "No device is syncing now.")
    pages.check("devices")
    # A phone that is in the middle of it, for as long as we like: its messages wait at the gate.
    for number in range(300):
        (world.phone / f"more{number}.vcf").write_text(card(f"More{number:03} Doe", f"NOTE:{'x' * 3000}\r\n"))
    world.gate.close()
    running = subprocess.Popen([world.program, *world.syncing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=world.environment)
    try:
        made, phases = [], []
        while world.gate.is_one_waiting(running):
            part = driver.wait_for("fetch('/console/devices/live').then((it) => it.text()).then(arguments[0])")
            found = re.search(r"<strong>(\w+)</strong>.* (\d+) changes made here", part)
            phases += [found.group(1)] if found else []
            made += [int(found.group(2))] if found else []
            if found and len(made) <= 2:
                # The page has it by itself, and then that it went on.
                driver.sees("receiving", f" {made[-1]} changes made here", selector="#live")
            if len(made) == 1:
                pages.check("devices-live")
            world.gate.let_one_through()
    finally:
        world.gate.open()
        ended = running.wait()
    # Once all is received it is the server's turn.
    turns = ["receiving"] * (len(phases) - 1) + ["sending"]
    if ended or len(made) < 3 or made != sorted(set(made)) or made[-1] != 300 or phases != turns:
        raise Problem(f"exit {ended}, and the page said {made} {phases}")
    driver.sees("No device is syncing now.", selector="#live")
    for path in world.phone.glob("more*.vcf"):
        path.unlink()


def held_deletions(world, driver, pages):
    for path in list(world.phone.glob("*.vcf")):
        path.unlink()
    world.sync("--allow-mass-delete", good=(0, 1))
    driver.go(world.page + "/held")
    driver.sees("would be deleted")
    pages.check("held")
    driver.press("It was an accident: keep everything")
    driver.sees("stay and go back to the device")
    world.sync()
    if not world.file("Östberg"):
        raise Problem("the cards did not come back")
    driver.go(world.page + "/held")
    driver.sees("Nothing waits for your decision.")


def keyboard(world, driver, pages):
    driver.go(world.page)
    driver.sees("Zoë Östberg")
    driver.keys(TAB)
    focus = driver.run("const it = document.activeElement; return [it.innerText, it.getBoundingClientRect().left >= 0]")
    if focus != ["Skip to the content", True]:
        raise Problem(f"the first stop is {focus}")
    driver.keys(ENTER)
    if driver.run("return document.activeElement.id") != "main":
        raise Problem("the link to the content does not lead there")
    for _ in range(40):
        driver.keys(TAB)
        if "Östberg" in driver.run("return document.activeElement.innerText"):
            break
    else:
        raise Problem("no way to the contact")
    driver.keys(ENTER)
    driver.sees("Last change")


def without_a_script(world, driver, pages):
    driver.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        driver.go(world.page)
        driver.type("#q", "lovelace")
        driver.press("Search")
        driver.until(lambda: "q=lovelace" in driver.address, "the search was not sent")
        driver.press("Ada Lovelace", "a")
        driver.press("Edit", "a")
        driver.type("input[id^='ORG-'][id$='_0']", "Engines Ltd")
        driver.press("Save")
        driver.until(lambda: "done=saved" in driver.address, "it is not saved")
    finally:
        driver.cdp("Emulation.setScriptExecutionDisabled", value=False)


def chinese(world, driver, pages):
    driver.go(world.page)
    driver.press("中文", "a")
    driver.sees("联系人", "搜索")
    pages.check("contacts-chinese")
    driver.press("English", "a")
    driver.sees("Contacts", "Search")


def lost_device(world, driver, pages):
    driver.go(world.page + "/devices")
    driver.press("It is lost: stop or clear it", "a")
    driver.sees("answers 501 to every order", "Nothing was ordered.")
    pages.check("lost-without-a-key")
    here, key = driver.address, world.folder / "device.key"
    driver.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(world.folder))
    driver.press("Make its key")
    driver.until(key.exists, "no key came")
    orders = world.folder / "phone.orders"
    world.run("control", "join", orders, "--key-file", key, "--clear", world.phone)
    driver.go(here)
    driver.sees("Nothing was ordered.")
    driver.sees_no("501")
    driver.press("Clear its data", "a")
    driver.sees("its data is deleted there", "answers 501", "What is here stays")
    pages.check("lost-clear")
    driver.press("Do not wait for a backup (forced)", "a")
    driver.sees("What is on it and not here is lost.")
    driver.press("Wait for a backup", "a")
    driver.press("Put the data aside on the device, do not delete it", "a")
    driver.sees("put aside there", "has backed up all that is on it")
    driver.press("Order it")
    driver.sees("It is ordered.", "put data aside", "waiting")
    driver.press("Take back")
    driver.sees("It is taken back.")
    driver.press("Clear its data", "a")
    driver.press("Put the data aside on the device, do not delete it", "a")
    driver.press("Order it")
    driver.sees("It is ordered.")
    world.sync("--control", orders)
    driver.go(here)
    driver.sees("done", "1 put aside", "taken back")
    pages.check("lost")
    if list(world.phone.glob("*.vcf")):
        raise Problem("the phone still has its cards")


SCENARIOS = [sign_in, search_as_you_type, edit, edit_while_a_device_does, history_and_restore, conflicts, devices_and_progress, held_deletions, keyboard,
             without_a_script, chinese, lost_device]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=str(ROOT / "target/release/syncml"))
    parser.add_argument("--work", default=str(ROOT / "tests/.work/browser"))
    parser.add_argument("--screenshots", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--no-npm", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    markup.self_test()
    if options.self_test:
        print("1 passed, 0 failed")
        return 0
    if not shutil.which("chromedriver") or not pathlib.Path(options.program).exists():
        print(f"needs chromedriver (Debian: chromium chromium-driver) and {options.program}", file=sys.stderr)
        return 2
    pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
    npm = None if options.no_npm else packages(options.work)
    if npm is None:
        print("axe-core and html-validate are not there: skipped")
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(options.work) / "chromedriver.log", "w") as log:
        world = World(options.program, folder)
        driver = None
        try:
            driver = Driver(log)
            pages = Pages(driver, options, npm)
            driver.look()
            scenarios = [it for it in SCENARIOS if it is sign_in or options.only in it.__name__]
            steps = [(it.__name__, lambda it=it: it(world, driver, pages)) for it in scenarios]
            if npm:
                steps.append(("html_validates", pages.validate))
            for name, step in steps:
                began = time.monotonic()
                try:
                    step()
                    print(f"ok {name} {time.monotonic() - began:.1f}", flush=True)
                    passed += 1
                except (Problem, OSError, KeyError, StopIteration, subprocess.SubprocessError) as problem:
                    print(f"FAIL {name}: {type(problem).__name__} {problem}", flush=True)
                    failed += 1
        finally:
            if driver:
                driver.close()
            world.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
