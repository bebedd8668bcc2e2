"""A client and a server on a tap, whoever they are: the same words for SyncEvolution and for ours.

A `Pair` has books at both sides (`client[store]`, `server[store]`), which their users edit, and `sync`. Stores go by SyncEvolution's names."""
import os, shutil, signal, time
import lab
from lab import Failed, OurFolder, OurServer, SyncEvolutionClient, SyncEvolutionServer
from tap import PASS, Tap

USER, PASSWORD, DEVICE = "alice", "pässwörd: 1", "sc-peer-matrix"
# SyncEvolution's name: our book, its format there
STORES = {"addressbook": ("contacts", "text/vcard"), "calendar": ("calendar", "text/calendar"), "todo": ("tasks", "text/calendar"), "memo": ("notes", "text/plain")}
# our word: SyncEvolution's
MODES = {"two-way": "two-way", "slow": "slow", "one-way-from-client": "one-way-from-local", "one-way-from-server": "one-way-from-remote",
         "refresh-from-client": "refresh-from-local", "refresh-from-server": "refresh-from-remote"}
VARIANTS = {"xml10": ("xml", "1.0"), "xml11": ("xml", "1.1"), "xml12": ("xml", "1.2"), "wbxml11": ("wbxml", "1.1"), "wbxml12": ("wbxml", "1.2")}


class Side:
    """One book at one side, as its user sees it: {id: bytes}, and edits."""

    def __init__(self, cards, put, delete):
        self.cards, self.put, self.delete = cards, put, delete

    @classmethod
    def folder(cls, book, ending):
        def put(data, name=None):
            book.put(name or "put%d.%s" % (time.monotonic_ns(), ending), data)
        return cls(book.cards, put, book.remove)

    @classmethod
    def ours(cls, server, book):
        return cls(lambda: server.cards(USER, book), lambda data, guid=None: server.put(data, guid, USER, book), lambda guid: server.delete(guid, USER, book))


class Pair:
    """`kinds` is a pair of "peer" (SyncEvolution) or "ours": who is the client, who the server.

    `declares`: whether SyncEvolution's client tells in its DevInf which fields it holds (CTCap). `reporting`: our server tells what its sessions did."""

    def __init__(self, folder, tools, program, kinds, variant, stores, log=2, declares=True, reporting=False):
        self.kinds, self.stores, self.closing, self.variant = kinds, stores, [], variant
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, encoding, proto = folder, *VARIANTS[variant]
        self.reporting, self.counted = reporting, None
        endings = {s: "vcf" if s == "addressbook" else "txt" if s == "memo" else "ics" for s in stores}
        try:
            self.host = self.their_server(tools, log, endings) if kinds[1] == "peer" else self.our_server(program)
            self.closing.append(self.host.stop)
            self.host.start()
            self.tap = Tap(self.host.port, folder + "/wire")
            self.closing.append(self.tap.close)
            url = self.tap.url("syncevolution" if kinds[1] == "peer" else "syncml")
            if kinds[0] == "peer":
                self.guest = SyncEvolutionClient(folder + "/client", tools, url, USER, PASSWORD, DEVICE, encoding, proto + ("" if declares else ",NOCTCAP"),
                                                 loglevel=log, RetryInterval=20, RetryDuration=25)
                books = {s: self.guest.book if s == "addressbook" else self.guest.add_store("peer@cli", s, STORES[s][1]) for s in stores}
            else:
                self.guest = {s: OurFolder(program, "%s/client-%s" % (folder, s), url, USER, PASSWORD, DEVICE, encoding, proto, book=STORES[s][0], remote_book=s) for s in stores}
                books = {s: g.book for s, g in self.guest.items()}
            self.client = {s: Side.folder(b, endings[s]) for s, b in books.items()}
        except BaseException:
            self.close()
            raise

    def their_server(self, tools, log, endings):
        host = SyncEvolutionServer(self.folder + "/server", tools, [(DEVICE, USER, PASSWORD)], log)
        books = {s: host.book if s == "addressbook" else host.add_store("cli1@srv", s, STORES[s][1]) for s in self.stores}
        self.server = {s: Side.folder(b, endings[s]) for s, b in books.items()}
        return host

    def our_server(self, program):
        host = OurServer(program, self.folder + "/server", [(USER, PASSWORD)], reporting=self.reporting)
        self.server = {s: Side.ours(host, STORES[s][0]) for s in self.stores}
        return host

    def close(self):
        while self.closing:
            self.closing.pop()()

    def books(self):
        return {"client": {s: self.client[s].cards() for s in self.stores}, "server": {s: self.server[s].cards() for s in self.stores}}

    def forget(self, side):
        """One side loses what it knew about earlier syncs, and keeps its cards."""
        if side == "client":
            if self.kinds[0] == "peer":
                self.guest.forget("peer", "cli")
            else:
                for g in self.guest.values():
                    g.forget()
        elif self.kinds[1] == "peer":
            self.host.forget("cli1", "srv")
        else:
            self.new_database()

    def new_database(self):
        """Our server starts again with an empty database, into which the cards are imported."""
        held = self.server["addressbook"].cards()
        port = self.host.port
        self.host.stop()
        for name in os.listdir(self.host.home):
            if name.startswith("server.db"):
                os.unlink(os.path.join(self.host.home, name))
        self.host.command("account", "add", USER, "--db", self.host.db, "--password-file", self.host.secret("account-" + USER, PASSWORD)).must()
        book = lab.Book(self.host.home + "/kept")
        for n, data in enumerate(held.values()):
            book.put("%d.vcf" % n, data)
        self.host.load(book.path, USER)
        self.host.start(port)

    # ---- syncing ----

    def sync(self, mode="two-way", max_msg=None, password=None, uri=None, plan=None, interrupt=None, patience=None, true_refresh=False, sure=False, timeout=300):
        """One sync of all stores: (exit code, what was printed).

        `plan`: what the tap does with the messages. `interrupt`: (number of the message, how often) – Ctrl-C while the client waits for its answer.
        `patience`: for so many seconds the client posts a message again; 0: not at all. `true_refresh`: SyncEvolution's client really alerts 205.
        `sure`: an emptied folder is meant (SyncEvolution's client never asks)."""
        running = []

        def fate(k):
            if interrupt and k == interrupt[0]:
                for _ in range(interrupt[1]):
                    running[-1].signal(signal.SIGINT)
                    time.sleep(.1)
            return plan(k) if plan else PASS
        self.tap.begin(fate)
        if self.kinds[0] == "peer":
            out = self.their_sync(mode, max_msg, password, uri, patience, true_refresh, running, timeout)
        else:
            out = self.our_sync(mode, max_msg, password, uri, patience, sure, running, timeout)
        self.tap.begin()
        try:
            self.host.settle(4 if out[0] else 60)
        except Failed:
            if not out[0]:
                raise
            # SyncEvolution's server waits for minutes for a client that is gone; the next sync ends that session.
        return out

    def their_sync(self, mode, max_msg, password, uri, patience, true_refresh, running, timeout):
        properties = {"maxMsgSize": max_msg, "password": password, "uri": uri, "enableRefreshSync": 1 if true_refresh else None}
        if patience is not None:
            # Its interval also counts while an answer is only slow: shorter than its server sleeps, and messages are said twice.
            properties.update(RetryInterval=5, RetryDuration=max(patience, 1))
        properties = {k: v for k, v in properties.items() if v is not None}
        r = self.guest.sync(MODES[mode], timeout, running.append, **properties)
        self.counted = r.conflicts
        return r.code, r.text

    def our_sync(self, mode, max_msg, password, uri, patience, sure, running, timeout):
        worst, text = 0, ""
        for store, guest in self.guest.items():
            more = ["--allow-mass-delete"] if sure else []
            if max_msg:
                more += ["--max-msg-size", str(max_msg)]
            if patience is not None:
                more += ["--retries", "6" if patience else "0"]
            instead = {}
            if password is not None:
                instead["--password-file"] = guest.secret("other-password", password)
            if uri is not None:
                instead["--remote-book"] = uri
            r = guest.sync(mode, timeout, more, instead, running.append)
            worst, text = worst or r.code, text + r.text + r.errors
        return worst, text
