#!/usr/bin/python3
"""What whole syncs of large books cost SyncEvolution's client and server, and ours, on the same cards: CPU seconds of their processes.

    large.py [--sizes 1000,10000] [--encodings xml,wbxml] [--pairs peer,ours] [--program PATH] [--work DIR] [--csv FILE]

Each pair: a slow sync of the whole book into an empty server, two-way syncs without changes, a two-way sync after one card of
a hundred was changed at the client, and the book restored to an empty client. Both clients keep a folder of cards; the cards are those of `examples/large_books`. A tap between them
counts the bytes. SyncEvolution says what it does at its lowest loglevel and dumps nothing. Nothing is judged but that all
cards arrived."""
import argparse, csv, glob, os, resource, shutil, sys, time
import lab
from lab import Failed, OurFolder, OurServer, SyncEvolutionClient, SyncEvolutionServer, marked
from tap import Tap

TICKS = os.sysconf("SC_CLK_TCK")
FIELDS = ["pair", "size", "encoding", "scenario", "client_s", "server_s", "wall_s", "messages", "bytes_up", "bytes_down"]
# One sync without changes is too short for a clock of 10 ms.
QUIET = {"peer": 1, "ours": 20}


def card(number, change=""):
    """The same as in examples/large_books/cards.rs."""
    note = "what one remembers of somebody one meets once a year " * 4
    return ("BEGIN:VCARD\r\nVERSION:3.0\r\nN:Family%d;Given%d;;;\r\nFN:Given%d Family%d\r\nORG:Company %d;Department\r\nTITLE:Somebody\r\n"
            "TEL;TYPE=CELL:+49170%07d\r\nTEL;TYPE=WORK:+4930%07d\r\nEMAIL;TYPE=HOME:given%d@example.org\r\n"
            "ADR;TYPE=HOME:;;Main Street %d;Town;;12345;Land\r\nNOTE:%s%s\r\nEND:VCARD\r\n" % (
                number % 500, number, number, number % 500, number % 200, number, number, number, number, note, change)).encode()


def cpu_of(mark):
    """CPU seconds so far of the processes of a mark and of the children that they have seen end."""
    seconds = 0
    for pid in marked(mark):
        try:
            with open("/proc/%d/stat" % pid) as f:
                times = [int(t) / TICKS for t in f.read().rpartition(")")[2].split()[11:15]]
        except OSError:
            continue
        # That clock has steps of 10 ms; that of the threads has none, but forgets those that ended.
        seconds += max(sum(times[:2]), threads(pid)) + sum(times[2:])
    return seconds


def threads(pid):
    """CPU seconds of the threads that a process has now."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            with open(path) as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Pair:
    def __init__(self, kind, size, encoding, options, rows):
        self.kind, self.size, self.encoding, self.options, self.rows = kind, size, encoding, options, rows
        self.home = "%s/%s-%s-%d" % (os.path.abspath(options.work), kind, encoding, size)
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        if kind == "peer":
            devices = (("large-1", "alice", "secret"), ("large-2", "alice", "secret"))
            self.server = SyncEvolutionServer(self.home + "/server", options.tools, devices, loglevel=1).start()
        else:
            self.server = OurServer(options.program, self.home + "/server").start()
        self.tap = Tap(self.server.port, self.home + "/wire")
        self.client = self.device("client", "large-1")

    def device(self, folder, name):
        if self.kind == "peer":
            return SyncEvolutionClient(self.home + "/" + folder, self.options.tools, self.tap.url("syncevolution"), device=name, encoding=self.encoding, max_msg=150000, loglevel=1)
        return OurFolder(self.options.program, self.home + "/" + folder, self.tap.url("syncml"), device=name, encoding=self.encoding, remote_book="addressbook")

    def mark(self):
        return self.server.process.mark

    def measure(self, scenario, client, mode, times=1):
        point, server, before, began = self.tap.point(), cpu_of(self.mark()), cpu_of_children(), time.time()
        for _ in range(times):
            client.sync(mode, timeout=1800).must()
            self.server.settle(600)
        wall = time.time() - began
        spent = cpu_of_children() - before, cpu_of(self.mark()) - server
        seen = self.tap.since(point)
        row = [self.kind, self.size, self.encoding, scenario] + ["%.4f" % (x / times) for x in spent + (wall,)] + \
            [seen["c2s"]["messages"] // times, seen["c2s"]["bytes"] // times, seen["s2c"]["bytes"] // times]
        print("\t".join(map(str, row)), flush=True)
        self.rows.append(row)

    def run(self):
        for n in range(self.size):
            self.client.book.put("c%07d.vcf" % n, card(n))
        time.sleep(1.1)  # SyncEvolution tells changes by the second
        self.measure("first sync into empty", self.client, "slow")
        self.measure("no change", self.client, "two-way", QUIET[self.kind])
        time.sleep(1.1)
        for n in range(0, self.size, 100):
            self.client.book.put("c%07d.vcf" % n, card(n, ", and what is new"))
        self.measure("1 % changed", self.client, "two-way")
        fresh = self.device("fresh", "large-2")
        self.measure("restore to empty", fresh, "refresh-from-server" if self.kind == "ours" else "refresh-from-remote")
        if len(fresh.book.names()) != self.size:
            raise Failed("%d cards came back, not %d" % (len(fresh.book.names()), self.size))

    def close(self):
        self.tap.close()
        self.server.stop()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sizes", default="1000,10000")
    p.add_argument("--encodings", default="xml,wbxml")
    p.add_argument("--pairs", default="peer,ours")
    p.add_argument("--program", default=lab.default_program())
    p.add_argument("--work", default="tests/.work/large")
    p.add_argument("--csv")
    options = p.parse_args()
    lab.guard()
    options.program = options.program and os.path.abspath(options.program)
    options.tools = lab.make_ready(options.work)
    rows = []
    print("\t".join(FIELDS))
    for size in map(int, options.sizes.split(",")):
        for encoding in options.encodings.split(","):
            for kind in options.pairs.split(","):
                pair = Pair(kind, size, encoding, options, rows)
                try:
                    pair.run()
                finally:
                    pair.close()
    if options.csv:
        with open(options.csv, "w", newline="") as f:
            csv.writer(f).writerows([FIELDS] + rows)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit("large.py: %s" % e)
