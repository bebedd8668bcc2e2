#!/usr/bin/python3
"""Runs the whole job with the real outside peer, SyncEvolution 2.0, on loopback.

    run.py [--only NAME] [--variants xml12,wbxml12,...] [--program PATH] [--peer-only] [--cards N] [--jobs N] [--work DIR] [--record DIR] [--peer-log N] [--list]

    peer-peer-V    SyncEvolution's client and server with each other (only with --peer-only: proves the harness, needs no program of ours)
    peer-ours-V    SyncEvolution's client, our server
    ours-ours-V    `syncml sync`, our server
    ours-peer-V    `syncml sync`, SyncEvolution's server
    device-*, refused-*   the DeviceID shared secret, and everything that must be turned away

V is xml10 xml11 xml12 wbxml10 wbxml11 wbxml12 (MD5), xml12-basic, wbxml12-basic, between ours also xml11-device, wbxml12-device. Each of the four first kinds: slow sync of 500 varied cards into an empty server;
a sync that must transfer nothing; then cards added, changed and deleted on both sides and one two-way sync; then again nothing. What
travelled is judged three times: by the peer's own table, by the cards counted on the wire, and by comparing both books with what they should
hold. --only takes a part of a name or a pattern; --record keeps each run as a conversation of fixtures (best with --cards 12);
--peer-log is the loglevel of SyncEvolution (5 = everything, with dumps of its messages, 100 MB a scenario; below 2 it prints no table).
Prints `ok NAME seconds` or `FAIL NAME: reason (folder)`, at the end `N passed, N failed`; exit 0 = all passed, 1 = not, 2 = could not run.
Messages stay in WORK/NAME/wire for tests/wbxml.py."""
import argparse, concurrent.futures, fnmatch, os, random, shutil, sys, threading, time, traceback
import cards, compare, lab, probe, record
from lab import Failed, OurFolder, OurServer, SyncEvolutionClient, SyncEvolutionServer
from tap import Tap

USER, PASSWORD, SECRET = "alice", "pässwörd: 1", "shared secret of a platform"


class Variant:
    def __init__(self, encoding, proto, auth="md5", max_msg=None, uri="addressbook"):
        self.encoding, self.proto, self.auth, self.max_msg, self.uri = encoding, proto, auth, max_msg, uri


# Our server is asked for the book by the names that devices use; SyncEvolution's knows only its own.
VARIANTS = {
    "xml10": Variant("xml", "1.0", uri="contacts"),
    "xml11": Variant("xml", "1.1", uri="./Contacts"),
    "xml12": Variant("xml", "1.2", max_msg=20000),
    "wbxml10": Variant("wbxml", "1.0"),
    "wbxml11": Variant("wbxml", "1.1", max_msg=20000, uri="card"),
    "wbxml12": Variant("wbxml", "1.2"),
    "xml12-basic": Variant("xml", "1.2", auth="basic"),
    "wbxml12-basic": Variant("wbxml", "1.2", auth="basic"),
    "xml11-device": Variant("xml", "1.1", auth="device"),
    "wbxml12-device": Variant("wbxml", "1.2", auth="device"),
}


class Context:
    """What a scenario works with: its folder, the options, and the things to stop when it ends, in whatever way."""

    def __init__(self, name, options):
        self.name, self.options, self.folder = name, options, os.path.join(options.work, name)
        self.closing = []

    def path(self, part):
        return os.path.join(self.folder, part)

    def running(self, thing):
        """Remembers a server or a tap, to be stopped at the end."""
        self.closing.append(thing)
        return thing

    def close(self):
        errors = []
        for thing in reversed(self.closing):
            try:
                thing.close() if isinstance(thing, Tap) else thing.stop()
            except Failed as e:
                errors.append(str(e))
        if errors:
            raise Failed("; ".join(errors))


def check(condition, text):
    if not condition:
        raise Failed(text)


def same(a, b, names):
    report = compare.Report(a, b, names)
    if not report:
        raise Failed(str(report))


# ---- the main job ---------------------------------------------------------------------------------------------------

def picks(n):
    """Numbers of the cards that each side changes and deletes; with many cards, of every kind that the generator has."""
    if n >= 200:
        return {"client-change": [1, 25, 13, 7, 3, 4], "server-change": [75, 38, 32, 28, 54, 11], "client-delete": [2, 63, 125, 50, 104], "server-delete": [5, 88, 175, 100, 132]}
    order = list(range(1, n + 1))
    random.Random(n).shuffle(order)
    k = min(3, n // 4)
    check(k > 0, "at least four cards are needed")
    return {name: order[i * k:(i + 1) * k] for i, name in enumerate(("client-change", "server-change", "client-delete", "server-delete"))}


class Job:
    """A client, a server and a tap between them; both books are compared with the model after each step."""

    def __init__(self, context, client, server, tap, about):
        self.context, self.client, self.server, self.tap, self.about = context, client, server, tap, about
        self.ours = isinstance(client, OurFolder)
        self.model, self.steps, self.recorded = {}, [], 0

    def sync(self, what, mode, there=(0, 0, 0), here=(0, 0, 0), sent=0, received=0):
        """One sync that must succeed, with these counts in the peer's table (there: at the server, here: at the client) and these cards on the wire."""
        point = self.tap.point()
        result = self.client.sync(mode)
        self.server.settle()
        if result.code:
            result.must()
        seen = self.tap.since(point)
        if self.ours:
            total = lab.transferred(result.json())
            check((total > 0) == (any(there) or any(here)), "%s: syncml sync says that %d cards were transferred" % (what, total))
        else:
            try:
                result.expect(here, there)
            except Failed as e:
                raise Failed("%s: %s" % (what, e))
        check(not self.tap.errors, "%s: on the wire: %s" % (what, "; ".join(self.tap.errors[:3])))
        got = (seen["c2s"]["cards"], seen["s2c"]["cards"])
        check(got == (sent, received), "%s: %d cards went to the server and %d came back, expected %d and %d" % ((what,) + got + (sent, received)))
        self.note(what)
        try:
            same(self.model, self.client.book.cards(), ("expected", "client"))
            same(self.model, self.server.cards(), ("expected", "server"))
        except Failed as e:
            raise Failed("%s: %s" % (what, e))
        return seen

    def quiet(self, what):
        """A sync that must transfer nothing and leave both books as they are."""
        before = self.server.revisions(), self.client.book.cards()
        self.sync(what, "two-way")
        check(self.server.revisions() == before[0], "%s: the listing of the server's book is another one than before" % what)
        check(self.client.book.cards() == before[1], "%s: the client's files are not what they were" % what)

    def note(self, what):
        if self.context.options.record:
            time.sleep(1.1)  # so that no two syncs have the same anchor
            messages = record.messages_of(self.tap.folder)[self.recorded:]
            self.recorded += len(messages)
            self.steps.append(("exchange", what, messages))

    def edited(self, kind, what, content=None):
        self.steps.append((kind, dict(what, account=USER, book="contacts"), content))

    def whole(self):
        n = self.context.options.cards
        made = cards.book(n)
        tags = {}
        for name, data in made.items():
            self.client.book.put(name, data)
            self.model[name] = data
            tags[cards.tag_of(data)] = name
        seen = self.sync("slow sync", "slow", there=(n, 0, 0), sent=n)
        if n >= 200:
            least = 15 if self.context.variant.max_msg and not self.ours else 4
            check(seen["c2s"]["messages"] >= least, "slow sync: only %d messages, too few to prove anything about packages" % seen["c2s"]["messages"])
        self.quiet("sync without changes")
        self.edit(made, picks(n), 5 if n >= 200 else 2)
        self.quiet("sync after the edits, without changes")
        if self.context.options.record:
            record.conversation(os.path.join(self.context.options.record, self.context.name), self.steps, self.about)

    def edit(self, made, pick, new):
        """Adds, changes and deletes on both sides, then one two-way sync."""
        ids = {cards.tag_of(data): i for i, data in self.server.cards().items()}
        names = {cards.tag_of(data): n for n, data in self.client.book.cards().items()}
        of = lambda i: (cards.tag_of(cards.card(i)), "c%05d.vcf" % i)
        for i in range(1, new + 1):
            mine, theirs = cards.card(i + 2, 1), cards.card(i + 2, 2)
            self.client.book.put("new%d.vcf" % i, mine)
            self.server.put(theirs)
            self.edited("put", {}, theirs)
            self.model["client-new%d" % i], self.model["server-new%d" % i] = mine, theirs
        for k, i in enumerate(pick["client-change"]):
            tag, name = of(i)
            self.model[name] = cards.changed(self.client.book.read(names[tag]), k, "client")
            self.client.book.put(names[tag], self.model[name])
        held = self.server.cards()
        for k, i in enumerate(pick["server-change"]):
            tag, name = of(i)
            self.model[name] = cards.changed(held[ids[tag]], k, "server")
            self.server.put(self.model[name], ids[tag])
            self.edited("replace", {"holds": tag}, self.model[name])
        for i in pick["client-delete"]:
            tag, name = of(i)
            self.client.book.remove(names[tag])
            del self.model[name]
        for i in pick["server-delete"]:
            tag, name = of(i)
            self.server.delete(ids[tag])
            self.edited("delete", {"holds": tag})
            del self.model[name]
        there = (new, len(pick["client-change"]), len(pick["client-delete"]))
        here = (new, len(pick["server-change"]), len(pick["server-delete"]))
        self.sync("two-way sync after edits on both sides", "two-way", there, here, there[0] + there[1], here[0] + here[1])


def main_job(context, client_kind, server_kind, variant):
    options, v = context.options, VARIANTS[variant]
    context.variant = v
    device = "sc-peer-" + variant
    if server_kind == "peer":
        server = context.running(SyncEvolutionServer(context.path("server"), options.tools, [(device, USER, PASSWORD)], options.peer_log))
        path, uri = "syncevolution", "addressbook"
    else:
        server = context.running(OurServer(options.program, context.path("server"), [(USER, PASSWORD)], basic=v.auth == "basic"))
        path, uri = "syncml", v.uri
        if v.auth == "device":
            server.add_platform(device, SECRET, [USER])
    server.start()
    tap = context.running(Tap(server.port, context.path("wire")))
    if client_kind == "peer":
        client = SyncEvolutionClient(context.path("client"), options.tools, tap.url(path), USER, PASSWORD, device, v.encoding, v.proto, v.auth, v.max_msg, uri, options.peer_log)
    else:
        client = OurFolder(options.program, context.path("client"), tap.url(path), USER, None if v.auth == "device" else PASSWORD, device, v.encoding, v.proto, v.auth,
                           SECRET if v.auth == "device" else None, remote_book=uri if uri != "contacts" else None)
    names = {"peer": "SyncEvolution 2.0.0 (libsynthesis 3.4.0.47)", "ours": "syncml"}
    about = {"proves": ["SYNC-1", "SYNC-2", "MAP-1", "AUTH-%s" % v.auth], "says": "A slow sync, nothing, edits on both sides, nothing.",
             "recorded": "%s with %s, %s of SyncML %s, %s" % (names[client_kind], names[server_kind], v.encoding.upper(), v.proto, v.auth),
             "server": {"allow_basic": v.auth == "basic"}, "accounts": {USER: PASSWORD}}
    if client_kind == "peer" and (v.encoding, v.proto) == ("wbxml", "1.0"):
        about["raw_digests"] = True
    if v.auth == "device":
        about["platforms"] = {device: {"secret": SECRET, "accounts": [USER]}}
    Job(context, client, server, tap, about).whole()


# ---- DeviceID -------------------------------------------------------------------------------------------------------

def three_accounts(context, encoding):
    """One platform syncs the books of three accounts at the same time; none sees another's."""
    options, device, secret = context.options, "platform-7", "shared secret of platform 7"
    people = ["alice", "bob", "carol"]
    server = context.running(OurServer(options.program, context.path("server"), [(p, "pw-" + p) for p in people]))
    server.add_platform(device, secret, people)
    server.start()
    tap = context.running(Tap(server.port, context.path("wire")))
    folders, model = {}, {}
    for n, p in enumerate(people):
        folders[p] = OurFolder(options.program, context.path("client-" + p), tap.url("syncml"), p, None, device, encoding, "1.2", "device", secret)
        model[p] = cards.book(100 if options.cards >= 200 else options.cards, 11 + n)
        for name, data in model[p].items():
            folders[p].book.put(name, data)

    def all_at_once(mode=None):
        results, errors, gate = {}, [], threading.Barrier(len(people))

        def one(p):
            try:
                gate.wait(30)
                results[p] = folders[p].sync(mode)
            except (Failed, threading.BrokenBarrierError) as e:
                errors.append("%s: %s" % (p, e))
        threads = [threading.Thread(target=one, args=(p,)) for p in people]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(not errors, "; ".join(errors))
        for p in people:
            results[p].must()
        check(not tap.errors, "on the wire: %s" % "; ".join(tap.errors[:3]))
        return results

    def books_hold():
        for p in people:
            same(model[p], server.cards(p), ("expected", "server's book of " + p))
            same(model[p], folders[p].book.cards(), ("expected", "folder of " + p))

    all_at_once("slow")
    books_hold()
    before, point = {p: server.revisions(p) for p in people}, tap.point()
    for p, r in all_at_once().items():
        check(lab.transferred(r.json()) == 0, "the second sync of %s transferred something" % p)
    seen = tap.since(point)
    check(seen["c2s"]["cards"] == 0 and seen["s2c"]["cards"] == 0, "the second sync put cards on the wire")
    check({p: server.revisions(p) for p in people} == before, "the second sync changed a listing")
    # One account is edited at the server, another at the client, the third not at all.
    fresh = cards.card(3, 21)
    server.put(fresh, user="bob")
    model["bob"]["fresh"] = fresh
    name = sorted(model["carol"])[0]
    model["carol"][name] = cards.changed(model["carol"][name], 0, "carol")
    folders["carol"].book.put(name, model["carol"][name])
    all_at_once()
    books_hold()
    check(server.revisions("alice") == before["alice"], "the book of alice changed although nobody touched it")
    devices = server.devices()
    check(device in str(devices), "syncml device list does not show %s: %s" % (device, str(devices)[:200]))


def refused_device(context):
    """Wrong secret, wrong device id, an account that is not granted, no credential: refused with the right status, and nothing is written."""
    options, device, secret = context.options, "platform-7", "shared secret of platform 7"
    server = context.running(OurServer(options.program, context.path("server"), [(p, "pw-" + p) for p in ("alice", "bob")]))
    server.add_platform(device, secret, ["alice"])
    server.add_platform("platform-8", "secret of platform 8", ["bob"])
    seeds = lab.Book(context.path("seed"))
    for name, data in cards.book(12, 5).items():
        seeds.put(name, data)
    server.load(seeds.path, "alice")
    server.load(seeds.path, "bob")
    server.start()
    tap = context.running(Tap(server.port, context.path("wire")))
    before = {p: server.revisions(p) for p in ("alice", "bob")}
    devices = str(server.devices())
    cases = [  # name, device id, secret, user, statuses that are right
        ("wrong secret", device, "not the secret", "alice", {401}),
        ("wrong device id", "platform-9", secret, "alice", {401}),
        ("another platform's id", "platform-8", secret, "bob", {401}),
        ("account not granted", device, secret, "bob", {401, 403}),
        ("no such account", device, secret, "mallory", {401, 403}),
        ("missing credential", device, None, "alice", {407}),
    ]

    def untouched(what):
        check({p: server.revisions(p) for p in before} == before, "%s: a listing changed" % what)

    body = probe.alert(201, "contacts")
    for what, dev, sec, user, right in cases:
        for wbxml in (False, True):
            for proto in ("1.0", "1.1", "1.2"):
                r = probe.ask(tap.url("syncml"), dev, user, probe.device(sec, dev) if sec else None, body, proto=proto, wbxml=wbxml)
                label = "%s (raw %s %s)" % (what, "WBXML" if wbxml else "XML", proto)
                code = r.header_status()
                check(code in right, "%s: SyncHdr answered %d, right is %s" % (label, code, " or ".join(map(str, sorted(right)))))
                check(all(c == code for _, _, ref, c in r.statuses() if ref != "0"), "%s: a command was answered otherwise than the header: %s" % (label, r.statuses()))
                if code in (401, 407):
                    check(r.challenges(), "%s: no Chal with the %d" % (label, code))
        untouched(what)
        if sec is None:
            continue
        client = OurFolder(options.program, context.path("client-" + what.replace(" ", "-").replace("'", "")), tap.url("syncml"), user, None, dev, "wbxml", "1.2", "device", sec)
        client.book.put("mine.vcf", cards.card(1, 6))
        for mode in ("slow", "two-way"):
            out = client.sync(mode, timeout=60)
            check(out.code != 0, "%s: syncml sync ended with exit 0" % what)
            check(any(str(c) in out.text + out.errors for c in right), "%s: the status is not in the output: %s" % (what, (out.errors + out.text).strip()[-200:]))
        check(len(client.book.names()) == 1, "%s: cards came into the folder" % what)
        untouched(what)
    check(str(server.devices()) == devices, "a refused device changed the list of devices")
    # The control: the same message with the right secret is let in, once the back-off of the guesses above has passed.
    patience = time.monotonic() + 60
    while True:
        r = probe.ask(tap.url("syncml"), device, "alice", probe.device(secret, device), body)
        if r.header_status() != 401 or time.monotonic() > patience:
            break
        time.sleep(0.5)
    check(r.header_status() in (200, 212), "the right secret was answered with %d" % r.header_status())
    untouched("right secret without a sync")


def refused_password(context):
    """SyncEvolution and our client with a wrong password or user; basic without the flag."""
    options = context.options
    server = context.running(OurServer(options.program, context.path("server"), [(USER, PASSWORD)]))
    seeds = lab.Book(context.path("seed"))
    for name, data in cards.book(12, 5).items():
        seeds.put(name, data)
    server.load(seeds.path, USER)
    server.start()
    tap = context.running(Tap(server.port, context.path("wire")))
    before = server.revisions()
    n = 0
    for encoding in ("xml", "wbxml"):
        for user, password in ((USER, "wrong"), ("nobody", PASSWORD)):
            n += 1
            peer = SyncEvolutionClient(context.path("client-peer%d" % n), options.tools, tap.url("syncml"), user, password, "sc-peer-%d" % n, encoding, loglevel=options.peer_log)
            peer.book.put("mine.vcf", cards.card(1, 6))
            out = peer.sync("slow")
            check(out.code == 1 and "status 401" in out.text, "SyncEvolution as %s: exit %d, no status 401 in: %s" % (user, out.code, " | ".join(out.text.split("\n")[-8:])))
            check(len(peer.book.names()) == 1, "SyncEvolution as %s received cards" % user)
            for proto in ("1.0", "1.2"):
                mine = OurFolder(options.program, context.path("client-ours%d-%s" % (n, proto)), tap.url("syncml"), user, password, "ours-%d" % n, encoding, proto)
                mine.book.put("mine.vcf", cards.card(1, 6))
                out = mine.sync("slow", timeout=60)
                check(out.code != 0 and "401" in out.text + out.errors, "syncml sync as %s: exit %d: %s" % (user, out.code, (out.errors + out.text).strip()[-200:]))
                check(len(mine.book.names()) == 1, "syncml sync as %s received cards" % user)
    r = probe.ask(tap.url("syncml"), "probe-1", USER, probe.basic(USER, PASSWORD), probe.alert(201, "contacts"))
    check(r.header_status() == 401, "basic without --allow-basic: SyncHdr answered %d" % r.header_status())
    check(r.challenges() and all(c == "syncml:auth-md5" for c in r.challenges()), "basic without --allow-basic: the challenges are %s" % r.challenges())
    check(server.revisions() == before, "the listing changed")


# ---- choosing and running -------------------------------------------------------------------------------------------

def scenarios(options):
    """[(name, function)] in the order in which they are started: long ones first."""
    out = []
    kinds = [("peer", "peer")] if options.peer_only else [("ours", "peer"), ("peer", "ours"), ("ours", "ours")]
    for client, server in kinds:
        for v in options.variants:
            if VARIANTS[v].auth == "device" and "peer" in (client, server):
                continue
            out.append(("%s-%s-%s" % (client, server, v), lambda c, a=client, b=server, v=v: main_job(c, a, b, v)))
    if not options.peer_only:
        out += [("device-three-accounts-" + e, lambda c, e=e: three_accounts(c, e)) for e in ("xml", "wbxml")]
        out += [("refused-device", refused_device), ("refused-password", refused_password)]
    if options.only:
        out = [s for s in out if any(o in s[0] or fnmatch.fnmatchcase(s[0], o) for o in options.only.split(","))]
    return out


def one(name, function, options):
    context = Context(name, options)
    shutil.rmtree(context.folder, ignore_errors=True)
    os.makedirs(context.folder)
    start, reason = time.time(), None
    try:
        try:
            function(context)
        finally:
            context.close()
    except Failed as e:
        reason = str(e)
    except Exception:
        reason = traceback.format_exc().strip()
    line = "ok %s %.1f" % (name, time.time() - start) if reason is None else "FAIL %s: %s (%s)" % (name, reason, context.folder)
    with open(context.path("result.txt"), "w") as f:
        f.write(line + "\n")
    if not lab._stopping.is_set():
        print(line, flush=True)
    return reason is None


def main():
    root = os.path.dirname(os.path.dirname(lab.HERE))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only")
    p.add_argument("--variants", default=",".join(VARIANTS))
    p.add_argument("--program", default=os.environ.get("SYNCML") or lab.default_program())
    p.add_argument("--peer-only", action="store_true")
    p.add_argument("--cards", type=int, default=500)
    p.add_argument("--jobs", type=int, default=3)
    p.add_argument("--work", default=os.path.join(root, "tests", ".work", "peer"))
    p.add_argument("--record")
    p.add_argument("--peer-log", type=int, default=2)
    p.add_argument("--list", action="store_true")
    o = p.parse_args()
    o.variants = [v for v in o.variants.split(",") if v]
    unknown = [v for v in o.variants if v not in VARIANTS]
    if unknown:
        p.error("no such variant: %s" % ", ".join(unknown))
    o.work = os.path.abspath(o.work)
    chosen = scenarios(o)
    if o.list:
        print("\n".join(name for name, _ in chosen))
        return 0
    if not chosen:
        p.error("no scenario fits")
    if not o.peer_only and not (o.program and os.access(o.program, os.X_OK)):
        print("run.py: the program is missing (cargo build --release --features cli, or --program PATH)", file=sys.stderr)
        return 2
    o.program = o.program and os.path.abspath(o.program)
    lab.guard()
    try:
        o.tools = lab.make_ready(o.work)
    except Failed as e:
        print("run.py: %s" % e, file=sys.stderr)
        return 2
    start, results, interrupted = time.time(), [], False
    pool = concurrent.futures.ThreadPoolExecutor(max(1, o.jobs))
    try:
        futures = [pool.submit(one, name, function, o) for name, function in chosen]
        for f in concurrent.futures.as_completed(futures):
            results.append(f.result())
    except KeyboardInterrupt:
        interrupted = True
        print("run.py: interrupted", file=sys.stderr)
        lab._stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)
        lab.stop_everything()
    pool.shutdown(wait=True)
    failed = len(chosen) - sum(results)
    print("%d passed, %d failed (%.0f s)" % (sum(results), failed, time.time() - start), flush=True)
    return 130 if interrupted else 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
