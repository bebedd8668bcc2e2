"""Drives the two sides of a sync on loopback: SyncEvolution as client and as server, and our own program as server and as client.

Every process gets a process group of its own, a time limit, and a mark in its environment. Stopping goes by process id; what
a process leaves behind (D-Bus starts things on its own) is found by the mark and stopped by id as well. A guard does the same when this
process itself is killed. Logs and message dumps stay in the folders handed in. Only Python's standard library is used."""
import atexit, glob, json, os, re, secrets, shutil, signal, socket, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = "SYNCML_PEER_MARK"
RUN = "%d-%s" % (os.getpid(), secrets.token_hex(6))
XML, WBXML = "application/vnd.syncml+xml", "application/vnd.syncml+wbxml"


class Failed(Exception):
    """A step did not do what it should; the text says which and where to look."""


# ---- processes ------------------------------------------------------------------------------------------------------

_live, _lock, _stopping = set(), threading.Lock(), threading.Event()
_parts = iter(range(1, 10 ** 9))


def marked(mark):
    """Ids of our processes whose environment carries the mark (or, for the whole run, a mark below it)."""
    found, want = [], ("%s=%s" % (MARK, mark)).encode()
    for p in os.listdir("/proc"):
        if p.isdigit() and int(p) != os.getpid():
            try:
                with open("/proc/%s/environ" % p, "rb") as f:
                    entries = f.read().split(b"\0")
                with open("/proc/%s/stat" % p) as f:
                    state = f.read().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(e == want or e.startswith(want + b"/") for e in entries):
                found.append(int(p))
    return found


def reap(mark, patience=3.0):
    """Stops whatever still carries the mark: asked first, then killed."""
    end = time.time() + patience
    sent = set()
    while True:
        left = marked(mark)
        if not left:
            return
        hard = time.time() > end
        for pid in left:
            if hard or pid not in sent:
                sent.add(pid)
                try:
                    os.kill(pid, signal.SIGKILL if hard else signal.SIGTERM)
                except ProcessLookupError:
                    pass
        if time.time() > end + 5:
            return
        time.sleep(.05)


def environment(home, mark, **more):
    """A bare environment below `home`: no proxy, no display, no session bus and no settings of the user."""
    os.makedirs(home, exist_ok=True)
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": home, "XDG_CONFIG_HOME": home + "/config", "XDG_CACHE_HOME": home + "/cache",
           "XDG_DATA_HOME": home + "/data", "TMPDIR": os.environ.get("TMPDIR", "/tmp"), "RUST_BACKTRACE": "1", "SYNCML_LOG": "warn", MARK: mark}
    env.update(more)
    return env


class Process:
    """A running command in a process group of its own, its output in a file."""

    def __init__(self, command, env, log):
        if _stopping.is_set():
            raise Failed("stopped")
        self.command, self.log, self.mark = command, log, env[MARK]
        with open(log, "ab") as out:
            self.offset = out.tell()
            try:
                self.popen = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
            except OSError as e:
                raise Failed("cannot start %s: %s" % (command[0], e))
        with _lock:
            _live.add(self)

    def output(self):
        with open(self.log, "rb") as f:
            f.seek(self.offset)
            return f.read().decode("utf-8", "replace")

    def signal(self, number):
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass

    def wait(self, timeout):
        return self.popen.wait(timeout)

    def stop(self, patience=5.0):
        """Ends the group and whatever it left behind; the exit code of the command itself."""
        try:
            if self.popen.poll() is None:
                self.signal(signal.SIGTERM)
                try:
                    self.popen.wait(patience)
                except subprocess.TimeoutExpired:
                    self.signal(signal.SIGKILL)
                    self.popen.wait(10)
        finally:
            reap(self.mark)
            with _lock:
                _live.discard(self)
        return self.popen.returncode


class Outcome:
    """A finished command: exit code, what it printed, wall seconds."""

    def __init__(self, command, code, text, seconds, errors=""):
        self.command, self.code, self.text, self.seconds, self.errors = command, code, text, seconds, errors

    def must(self, code=0):
        if self.code != code:
            tail = (self.errors + self.text).strip().splitlines()[-6:]
            raise Failed("%s: exit %s, not %s: %s" % (" ".join(self.command[:3]), self.code, code, " | ".join(tail)))
        return self

    def json(self):
        """The JSON printed: one document, or one document a line."""
        try:
            return json.loads(self.text)
        except ValueError:
            pass
        try:
            return [json.loads(line) for line in self.text.splitlines() if line.strip()]
        except ValueError:
            raise Failed("%s: not JSON: %r" % (" ".join(self.command[:3]), self.text[:200]))


def run(command, env, log, timeout=60, split=False, started=None):
    """Runs a command to its end. With `split`, standard error goes to a file of its own (LOG.err); `started` is handed the process."""
    if split:
        # Standard error must not spoil the JSON on standard output.
        command_line = ["/bin/sh", "-c", 'err=$1; shift; exec "$@" 2>>"$err"', "sh", log + ".err"] + command
        err_offset = os.path.getsize(log + ".err") if os.path.exists(log + ".err") else 0
    else:
        command_line = command
    with open(log, "a") as f:
        f.write("$ " + " ".join(command) + "\n")
    start = time.time()
    p = Process(command_line, env, log)
    try:
        if started:
            started(p)
        p.wait(timeout)
    except subprocess.TimeoutExpired:
        raise Failed("%s: no end after %d s (log %s)" % (" ".join(command[:3]), timeout, log))
    finally:
        p.stop(1)
    if _stopping.is_set():
        raise Failed("stopped")
    seconds, text, errors = time.time() - start, p.output(), ""
    if split:
        with open(log + ".err", "rb") as f:
            f.seek(err_offset)
            errors = f.read().decode("utf-8", "replace")
    with open(log, "a") as f:
        f.write("-> exit %d, %.2f s\n" % (p.popen.returncode, seconds))
    return Outcome(command, p.popen.returncode, text, seconds, errors)


def new_mark():
    return "%s/%d" % (RUN, next(_parts))


def stop_everything():
    """Called at the end, on an interrupt and on failure: nothing we started survives."""
    _stopping.set()
    with _lock:
        live = list(_live)
    for p in live:
        p.signal(signal.SIGTERM)
    reap(RUN)


def guard():
    """Starts the watcher that clears up when this process dies without a chance to do so itself."""
    watcher = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--guard", RUN], stdin=subprocess.PIPE, start_new_session=True)

    def finish():
        stop_everything()
        watcher.stdin.close()
        try:
            watcher.wait(15)
        except subprocess.TimeoutExpired:
            watcher.kill()
    atexit.register(finish)

    def on_term(*_):
        raise KeyboardInterrupt
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_term)


def free_port():
    """A loopback port that was free just now, of five digits (see Tap)."""
    for _ in range(200):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            if s.getsockname()[1] >= 10000:
                return s.getsockname()[1]
    raise Failed("no free port of five digits")


def wait_for(what, condition, timeout, step=.05):
    end = time.time() + timeout
    while True:
        got = condition()
        if got:
            return got
        if time.time() > end:
            raise Failed("%s: not within %d s" % (what, timeout))
        if _stopping.is_set():
            raise Failed("stopped")
        time.sleep(step)


def write(path, data, private=False):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


# ---- books on disk --------------------------------------------------------------------------------------------------

class Book:
    """A folder of cards, edited by hand as its user would."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)

    def names(self):
        return sorted(n for n in os.listdir(self.path) if not n.startswith(".") and os.path.isfile(os.path.join(self.path, n)))

    def cards(self):
        return {n: self.read(n) for n in self.names()}

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as f:
            return f.read()

    def put(self, name, data):
        write(os.path.join(self.path, name), data)

    def remove(self, name):
        os.unlink(os.path.join(self.path, name))

    def find(self, wanted):
        """The one file whose card fulfils the condition."""
        hits = [n for n, data in self.cards().items() if wanted(data)]
        if len(hits) != 1:
            raise Failed("%s: %d cards fit where one should" % (self.path, len(hits)))
        return hits[0]


# ---- SyncEvolution --------------------------------------------------------------------------------------------------

class SyncEvolution:
    """What its client and its server have in common: a HOME, configuration by command, session folders with dumps."""

    def __init__(self, home, tools, preload):
        self.home, self.tools, self.mark = os.path.abspath(home), tools, new_mark()
        shutil.rmtree(self.home, ignore_errors=True)
        self.env = environment(self.home, self.mark, **preload)
        self.log = self.home + "/commands.log"

    def command(self, *args, timeout=60, started=None):
        # A mark per command: the end of one command must not reap a server that shares the HOME.
        env = dict(self.env, **{MARK: new_mark()})
        return run(["/usr/bin/syncevolution", "--daemon=no"] + list(args), env, self.log, timeout, started=started)

    def configure(self, config, store, properties):
        words = ["%s=%s" % kv for kv in properties.items() if kv[1] is not None]
        self.command("--configure", "--template", "none", *words, config, store).must()

    def add_store(self, config, store, format):
        """One more datastore beside addressbook, in a folder of its own."""
        book = Book("%s/%s" % (self.home, store))
        self.command("--configure", "backend=file", "database=file://" + book.path, "databaseFormat=" + format, "sync=two-way", "uri=" + store, config, store).must()
        return book

    def forget(self, config, context):
        """What a lost state means: anchors, maps, nonces and the tracking of changes are gone; the cards stay."""
        peer = "%s/config/syncevolution/%s/peers/%s" % (self.home, context, config)
        lost = glob.glob(peer + "/sources/*/.*.ini") + glob.glob(peer + "/.synthesis/*")
        if not lost:
            raise Failed("%s: there is no state to forget" % peer)
        for path in lost:
            os.unlink(path)

    def sessions(self):
        """Its session folders, oldest first. Their names have a resolution of a minute: compare sets before and after."""
        found = [d for d in glob.glob(self.home + "/cache/syncevolution/*") if os.path.isdir(d) and not d.endswith("synthesis")]
        return sorted(found, key=lambda d: (os.stat(d).st_mtime_ns, d))


class SyncResult(Outcome):
    """A sync of SyncEvolution's client: also the counts that it printed, and its session folders."""

    def __init__(self, outcome, sessions):
        super().__init__(outcome.command, outcome.code, outcome.text, outcome.seconds)
        self.sessions = sessions
        self.local = self.remote = self.conflicts = None
        row = re.search(r"^\|\s+addressbook\s*\|((?:\s*\d+\s*\|){9})\s*$", outcome.text, re.M)
        if row:
            n = [int(x) for x in row.group(1).split("|") if x.strip()]
            names = ("added", "changed", "deleted", "errors")
            self.local, self.remote, self.conflicts = dict(zip(names, n[:4])), dict(zip(names, n[4:8])), n[8]

    def counts(self):
        if self.local is None:
            raise Failed("SyncEvolution printed no table of changes: %s" % " | ".join(self.text.strip().splitlines()[-6:]))
        return {"local": self.local, "remote": self.remote, "conflicts": self.conflicts}

    def expect(self, local=(0, 0, 0), remote=(0, 0, 0)):
        """The table must show exactly these numbers of added, changed and deleted cards, no error and no conflict."""
        got = self.counts()
        want = {"conflicts": 0}
        for side, (a, c, d) in (("local", local), ("remote", remote)):
            want[side] = {"added": a, "changed": c, "deleted": d, "errors": 0}
        if got != want:
            raise Failed("SyncEvolution counted %s, expected %s" % (brief(got), brief(want)))
        return self


def brief(counts):
    return "here +%(added)d ~%(changed)d -%(deleted)d !%(errors)d" % counts["local"] + ", there +%(added)d ~%(changed)d -%(deleted)d !%(errors)d" % counts["remote"] + \
        ", conflicts %d" % counts["conflicts"]


class SyncEvolutionClient(SyncEvolution):
    """Its command line client with one folder of cards."""

    def __init__(self, home, tools, url, user="alice", password="secret", device="sc-peer-1", encoding="xml", proto="1.2", auth="md5", max_msg=None, uri="addressbook", loglevel=2, **more):
        super().__init__(home, tools, {"LD_PRELOAD": tools + "/curlfix.so"})
        self.book = Book(self.home + "/book")
        self.configure("peer@cli", "addressbook", dict({
            "syncURL": url, "username": user, "password": password, "keyring": "no", "deviceId": device, "clientAuthType": auth, "enableWBXML": int(encoding == "wbxml"),
            "SyncMLVersion": proto, "maxMsgSize": max_msg, "preventSlowSync": 0, "printChanges": 0, "dumpData": 0, "maxlogdirs": 0, "loglevel": loglevel,
            "backend": "file", "database": "file://" + self.book.path, "databaseFormat": "text/vcard", "sync": "two-way", "uri": uri}, **more))

    def sync(self, mode=None, timeout=300, started=None, **properties):
        before = set(self.sessions())
        args = (["--run"] if properties else []) + (["--sync", mode] if mode else []) + ["%s=%s" % kv for kv in properties.items()] + ["peer@cli"]
        outcome = self.command(*args, timeout=timeout, started=started)
        return SyncResult(outcome, [d for d in self.sessions() if d not in before])


class SyncEvolutionServer(SyncEvolution):
    """Its HTTP server with one book and one peer configuration per device (it tells clients apart by device id only)."""

    def __init__(self, home, tools, devices=(("sc-peer-1", "alice", "secret"),), loglevel=2, **more):
        super().__init__(home, tools, {})
        self.book = Book(self.home + "/book")
        self.process, self.port, self.url = None, None, None
        for n, (device, user, password) in enumerate(devices, 1):
            self.configure("cli%d@srv" % n, "addressbook", dict({
                "PeerIsClient": 1, "username": user, "password": password, "keyring": "no", "remoteDeviceId": device, "printChanges": 0, "dumpData": 0, "maxlogdirs": 0,
                "loglevel": loglevel, "backend": "file", "database": "file://" + self.book.path, "databaseFormat": "text/vcard", "sync": "two-way", "uri": "addressbook"}, **more))

    def start(self):
        for attempt in range(3):
            self.port = free_port()
            self.url = "http://127.0.0.1:%d/syncevolution" % self.port
            self.process = Process(["dbus-run-session", "--", self.tools + "/syncevo-http-server-lo", self.url], self.env, self.home + "/server.log")
            end = time.time() + 30
            while time.time() < end and self.process.popen.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return self
                except OSError:
                    time.sleep(.1)
            self.stop()  # most likely someone else took the port
        raise Failed("SyncEvolution's server did not start (log %s)" % (self.home + "/server.log"))

    def settle(self, timeout=60):
        """Waits until its session is over: one helper process per session stores the items and then leaves."""
        def idle():
            for pid in marked(self.mark):
                try:
                    with open("/proc/%d/comm" % pid) as f:
                        if f.read().startswith("syncevo-dbus-he"):
                            return False
                except OSError:
                    pass
            return True
        wait_for("end of the session of SyncEvolution's server", idle, timeout, .1)

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    # The same calls as OurServer has; the id of a card is its file name.

    def cards(self):
        return self.book.cards()

    def revisions(self):
        return sorted((n, os.stat(os.path.join(self.book.path, n)).st_mtime_ns) for n in self.book.names())

    def put(self, card, guid=None):
        guid = guid or "put%d.vcf" % time.monotonic_ns()
        self.book.put(guid, card)
        return guid

    def delete(self, guid):
        self.book.remove(guid)


# ---- our program ----------------------------------------------------------------------------------------------------

class OurProgram:
    """`syncml` with a home of its own; every command is logged."""

    def __init__(self, program, home):
        self.program, self.home = program, os.path.abspath(home)
        shutil.rmtree(self.home, ignore_errors=True)
        self.env = environment(self.home, new_mark())
        self.log = self.home + "/commands.log"

    def command(self, *args, timeout=120, started=None):
        env = dict(self.env, **{MARK: new_mark()})
        return run([self.program] + [str(a) for a in args], env, self.log, timeout, split=True, started=started)

    def secret(self, name, text):
        return write("%s/secrets/%s" % (self.home, name), text + "\n", private=True)


class OurServer(OurProgram):
    """`syncml serve` on SQLite, and the commands that open the same database."""

    def __init__(self, program, home, accounts=(("alice", "secret"),), basic=False, reporting=False):
        """`reporting`: it tells what each session did as JSON, for `reports`."""
        super().__init__(program, home)
        self.db, self.process, self.exports = "sqlite:%s/server.db" % self.home, None, 0
        self.options = (["--allow-basic"] if basic else []) + (["--json"] if reporting else [])
        self.port, self.path, self.url = None, "syncml", None
        for name, password in accounts:
            self.command("account", "add", name, "--db", self.db, "--password-file", self.secret("account-" + name, password)).must()

    def add_platform(self, device, secret, grants):
        args = [w for g in grants for w in ("--grant", g)]
        self.command("platform", "add", device, "--db", self.db, "--secret-file", self.secret("platform-" + device, secret), *args).must()

    def start(self, port=0):
        args = [self.program, "serve", "--db", self.db, "--listen", "127.0.0.1:%d" % port] + self.options
        self.process = Process(args, self.env, self.home + "/server.log")

        def ready():
            if self.process.popen.poll() is not None:
                raise Failed("syncml serve ended with %d: %s" % (self.process.popen.returncode, self.process.output().strip()[-300:]))
            return re.search(r'listening(?: on |": ?")http://127\.0\.0\.1:(\d+)/', self.process.output())
        try:
            self.port = int(wait_for('"listening on" from syncml serve', ready, 20).group(1))
        except BaseException:
            self.stop()
            raise
        self.url = "http://127.0.0.1:%d/%s" % (self.port, self.path)
        return self

    def settle(self, timeout=60):
        """Nothing to wait for: what was answered is stored."""

    def stop(self):
        if self.process:
            died = self.process.popen.poll()
            code = self.process.stop(10)
            self.process = None
            if died is not None:
                raise Failed("syncml serve had ended by itself with %d (log %s)" % (code, self.home + "/server.log"))

    def reports(self):
        """What it told of each session so far."""
        lines = [json.loads(x) for x in self.process.output().splitlines() if x.startswith('{"session"')]
        return [x["session"] for x in lines]

    def history(self, guid, user="alice", book="contacts"):
        """All revisions of a card, the newest first: the rows of `syncml history list`, each with the content that `history show` has of it."""
        where = ["--db", self.db, "--user", user, "--book", book, "--guid", guid, "--json"]
        rows = self.command("history", "list", *where).must().json()
        return [dict(r, content=self.command("history", "show", *where, "--at", r["revision"]).must().json()["content"]) for r in rows if r["what"] != "deleted"]

    def devices(self):
        return self.command("device", "list", "--db", self.db, "--json").must().json()

    def listing(self, user="alice", book="contacts"):
        """The rows of `syncml list --json`, each with its guid."""
        rows = self.command("list", "--db", self.db, "--user", user, "--book", book, "--json").must().json()
        if isinstance(rows, dict):
            rows = next((v for v in rows.values() if isinstance(v, list)), None)
        if not isinstance(rows, list) or not all(isinstance(r, dict) and "guid" in r for r in rows):
            raise Failed("syncml list --json: no rows with a guid")
        return rows

    def revisions(self, user="alice", book="contacts"):
        """What must stay the same when nothing is transferred: guid and whatever tells the version."""
        return sorted(json.dumps(r, sort_keys=True) for r in self.listing(user, book))

    def cards(self, user="alice", book="contacts"):
        """The book by `syncml list --export`: guid -> card. Files are called NAME #GUID.vcf."""
        self.exports += 1
        folder = "%s/exports/%03d-%s" % (self.home, self.exports, user)
        os.makedirs(folder)
        self.command("list", "--db", self.db, "--user", user, "--book", book, "--export", folder).must()
        files, cards = Book(folder).cards(), {}
        named = {n.rsplit(".", 1)[0].rpartition("#")[2]: n for n in files}
        for guid in [str(r["guid"]) for r in self.listing(user, book)]:
            name = named.get(guid)
            if name is None:
                raise Failed("no exported file is named after guid %s in %s" % (guid, folder))
            cards[guid] = files.pop(name)
        if files:
            raise Failed("exported but not listed: %s" % ", ".join(sorted(files)[:5]))
        return cards

    def put(self, card, guid=None, user="alice", book="contacts"):
        path = write("%s/edits/%d.vcf" % (self.home, time.monotonic_ns()), card)
        out = self.command("item", "put", "--db", self.db, "--user", user, "--book", book, *(["--guid", guid] if guid else []), path).must().text.split()
        if not out:
            raise Failed("syncml item put printed no guid")
        return out[-1]

    def delete(self, guid, user="alice", book="contacts"):
        self.command("item", "delete", "--db", self.db, "--user", user, "--book", book, "--guid", guid).must()

    def load(self, path, user="alice", book="contacts"):
        self.command("import", "--db", self.db, "--user", user, "--book", book, path).must()


TRANSFERS = {"added", "changed", "deleted", "replaced", "updated", "conflicts"}


def transferred(summary):
    """The sum of all counts of transferred cards in the JSON summary of `syncml sync`."""
    total, seen = 0, 0

    def walk(x):
        nonlocal total, seen
        if isinstance(x, dict):
            for k, v in x.items():
                if k in TRANSFERS and isinstance(v, int) and not isinstance(v, bool):
                    total, seen = total + v, seen + 1
                else:
                    walk(v)
        elif isinstance(x, list):
            for v in x:
                walk(v)
    walk(summary)
    if not seen:
        raise Failed("syncml sync --json: no counts among %s" % ", ".join(sorted(TRANSFERS)))
    return total


class OurFolder(OurProgram):
    """`syncml sync` of a folder of cards."""

    def __init__(self, program, home, url, user="alice", password="secret", device=None, encoding="xml", proto="1.2", auth="md5", secret=None, book="contacts", remote_book=None, more=()):
        super().__init__(program, home)
        self.book = Book(self.home + "/book")
        self.args = ["sync", self.book.path, "--to", url, "--user", user, "--book", book, "--encoding", encoding, "--proto", proto, "--auth", auth, "--json"]
        if password is not None:
            self.args += ["--password-file", self.secret("password", password)]
        if secret is not None:
            self.args += ["--secret-file", self.secret("secret", secret)]
        if device is not None:
            self.args += ["--device-id", device]
        if remote_book is not None:
            self.args += ["--remote-book", remote_book]
        self.args += list(more)

    def sync(self, mode=None, timeout=300, more=(), instead=None, started=None):
        """`more` are further arguments, `instead` other values of options that are given anyway."""
        args = list(self.args)
        for option, value in (instead or {}).items():
            args[args.index(option) + 1] = value
        return self.command(*args, *(["--mode", mode] if mode else []), *more, timeout=timeout, started=started)

    def forget(self):
        """The state kept beside the cards is gone; the cards stay."""
        for path in glob.glob(self.book.path + "/.syncml*"):
            os.unlink(path)


def default_program():
    root = os.path.dirname(os.path.dirname(HERE))
    for kind in ("release", "debug"):
        path = "%s/%s/syncml" % (os.environ.get("CARGO_TARGET_DIR") or root + "/target", kind)
        if os.access(path, os.X_OK):
            return path
    return None


def make_ready(work):
    """Runs setup.sh; the folder with the shim and the server script."""
    tools = os.path.join(os.path.abspath(work), "tools")
    os.makedirs(tools, exist_ok=True)
    p = subprocess.run([HERE + "/setup.sh", tools], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        raise Failed("setup.sh: " + p.stdout.strip())
    return tools


if __name__ == "__main__" and sys.argv[1:2] == ["--guard"]:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    reap(sys.argv[2])
