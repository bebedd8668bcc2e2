"""The scenarios of the matrix, as data. Each has cards of its own (their tag begins with its number), so that several can share a pair of books.

A scenario is a list of steps: edits at one side (`client`, `server`) and syncs. `given` cards are on both sides before it begins. After every
recorded sync the scenario's cards on both sides are compared with what SyncEvolution reached with itself (reference.json)."""
import base64, random
from cards import build, unfold
from tap import LOSE_REPLY, LOSE_REQUEST, PASS


class Hand:
    """The user at one side; every method makes a step."""

    def __init__(self, side):
        self.side = side

    def adds(self, i, *lines, photo=0, note=0, store="addressbook"):
        return ("add", self.side, store, i, lines, photo, note)

    def changes(self, i, *lines):
        return ("change", self.side, "addressbook", i, lines)

    def deletes(self, i):
        return ("delete", self.side, "addressbook", i)

    def empties(self):
        return ("empty", self.side, "addressbook")

    def forgets(self):
        return ("forget", self.side)


client, server = Hand("client"), Hand("server")


def sync(mode="two-way", record=True, fails=None, **how):
    """`fails`: a text that the client must print while it fails; "?": it may fail. `record`: the books are compared after it."""
    return ("sync", mode, record, fails, how)


class Scenario:
    """`bench`: scenarios of one bench share a pair of books, one after the other. `undisturbed`: the reference is recorded without faults."""

    def __init__(self, number, name, bench, *steps, given=0, stores=("addressbook",), undisturbed=False):
        self.number, self.name, self.bench, self.steps = number, name, bench, [x for s in steps for x in (s if isinstance(s, list) else [s])]
        self.given = range(1, given + 1) if isinstance(given, int) else given
        self.stores, self.undisturbed = stores, undisturbed


# ---- items ----------------------------------------------------------------------------------------------------------

WORDS = "met at the conference in spring prefers phone calls after lunch façade naïve Straße größer Привет мир こんにちは 世界 😀".split()


def tag(scenario, i):
    return "#%05d" % (scenario.number * 1000 + i)


def with_lines(lines, new):
    """The content lines with these instead of those of the same name."""
    for line in new:
        name = line.split(":")[0].split(";")[0]
        lines = [x for x in lines if x.split(":")[0].split(";")[0] != name] + [line]
    return lines


def card(scenario, i, lines=(), photo=0, note=0):
    mark = tag(scenario, i)
    r = random.Random(mark)
    first, last = r.choice("Anna Jörg María Zoë Ольга 美咲".split()), r.choice("Müller Smith García Иванов 山田".split())
    own = ["N:%s;%s %s;;;" % (last, first, mark), "FN:%s %s %s" % (first, mark, last), "TITLE:Engineer", "TEL;TYPE=CELL:+49 170 %07d" % r.randrange(10 ** 7),
           "EMAIL;TYPE=WORK:user%d@example.com" % r.randrange(10 ** 6)]
    if note:
        text = " ".join(r.choice(WORDS) for _ in range(note))
        own.append("NOTE:" + text)
    if photo:
        own.append("PHOTO;ENCODING=b;TYPE=JPEG:" + base64.b64encode(b"\xff\xd8\xff\xe0" + r.randbytes(photo - 6) + b"\xff\xd9").decode())
    return build(with_lines(own, lines))


def item(store, scenario, i, lines=(), photo=0, note=0):
    mark = tag(scenario, i)
    if store == "addressbook":
        return card(scenario, i, lines, photo, note)
    if store == "memo":
        return ("Memo %s\nSecond line, größer\n" % mark).encode()
    kind, when = ("VEVENT", "DTSTART:202601%02dT100000Z\r\nDTEND:202601%02dT110000Z") if store == "calendar" else ("VTODO", "DTSTART:202601%02dT100000Z\r\nDUE:202601%02dT110000Z")
    day = 1 + i % 28
    return ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:%s\r\nUID:item%s@example.com\r\nDTSTAMP:20260101T000000Z\r\n%s\r\nSUMMARY:Item %s\r\nDESCRIPTION:Größer\r\nEND:%s\r\nEND:VCALENDAR\r\n"
            % (kind, mark[1:], when % (day, day), mark, kind)).encode()


def edited(data, lines):
    """A card with other content lines; empty properties, which SyncEvolution writes for all it knows, go."""
    old = [x for x in unfold(data.decode()).replace("\r", "").split("\n") if x and not x.startswith(("BEGIN:", "VERSION:", "END:", "REV:", "PRODID:"))]
    return build(with_lines([x for x in old if not x.endswith(":")], lines))


# ---- disturbances ---------------------------------------------------------------------------------------------------

def dead_from(k, fate):
    """The line dies with message k: its request or its reply is lost, and nothing passes afterwards."""
    return lambda n: PASS if n < k else fate if n == k else LOSE_REQUEST


def each_lost_once(fate):
    """Every message after the first is lost once, and posted again. (SyncEvolution's client never repeats its first.)"""
    return lambda n: fate if n > 1 and n % 2 == 0 else PASS


def both_edit(base):
    """Adds, changes and deletes on both sides, of cards base+1 … base+6; 3 to 6 are given."""
    return [client.adds(base + 1), server.adds(base + 2), client.changes(base + 3, "TITLE:Client %d" % base), server.changes(base + 4, "TITLE:Server %d" % base),
            client.deletes(base + 5), server.deletes(base + 6)]


def aborted(fate, messages=4):
    """For each message: edits, a sync whose line dies there, and a sync that must make good."""
    out = []
    for k in range(1, messages + 1):
        out += both_edit(10 * k) + [sync(record=False, fails="?", plan=dead_from(k, fate), patience=0), sync()]
    return out


MANY = range(1, 31)
LONG = range(1, 13)

SCENARIOS = [
    Scenario(1, "first sync", "first", client.adds(1), client.adds(2), client.adds(3), client.adds(4), client.adds(5), server.adds(4), server.adds(5, "TEL;TYPE=CELL:+49 170 9999999"),
             server.adds(6), server.adds(7), sync("slow"), sync()),
    Scenario(2, "no change", "first", sync(), sync(), given=3),
    Scenario(3, "slow again, all equal", "first", sync("slow"), sync(), given=3),
    Scenario(4, "slow again, after edits", "first", client.adds(11), client.changes(1, "TITLE:Client"), server.adds(12), server.changes(2, "TITLE:Server"), sync("slow"), sync(), given=4),

    Scenario(10, "adds", "edits", client.adds(1), server.adds(2), sync(), sync()),
    Scenario(11, "updates", "edits", client.changes(1, "TITLE:Client"), server.changes(2, "TITLE:Server"), sync(), sync(), given=2),
    Scenario(12, "deletes", "edits", client.deletes(1), server.deletes(2), sync(), sync(), given=3),
    Scenario(13, "mixed", "edits", both_edit(0), sync(), sync(), given=range(3, 7)),

    Scenario(20, "conflict: update, update of other fields", "conflicts", client.changes(1, "NOTE:by the client"), server.changes(1, "TITLE:by the server"), sync(), sync(), given=1),
    Scenario(21, "conflict: update, update of the same field", "conflicts", client.changes(1, "TITLE:by the client"), server.changes(1, "TITLE:by the server"), sync(), sync(), given=1),
    Scenario(22, "conflict: client updates, server deletes", "conflicts", client.changes(1, "TITLE:by the client"), server.deletes(1), sync(), sync(), given=1),
    Scenario(23, "conflict: client deletes, server updates", "conflicts", client.deletes(1), server.changes(1, "TITLE:by the server"), sync(), sync(), given=1),
    Scenario(24, "conflict: delete, delete", "conflicts", client.deletes(1), server.deletes(1), sync(), sync(), given=1),
    Scenario(25, "conflict: identical adds", "conflicts", client.adds(1), server.adds(1), sync(), sync()),

    Scenario(30, "one-way from client", "one way", both_edit(0), sync("one-way-from-client"), sync(), given=range(3, 7)),
    Scenario(31, "one-way from server", "one way", both_edit(0), sync("one-way-from-server"), sync(), given=range(3, 7)),
    Scenario(32, "refresh from client", "refresh", both_edit(0), sync("refresh-from-client"), sync(), given=range(3, 7)),
    Scenario(33, "refresh from server", "refresh", both_edit(0), sync("refresh-from-server", true_refresh=True), sync(), given=range(3, 7)),
    Scenario(34, "refresh from server, as a wiped client", "refresh", both_edit(0), sync("refresh-from-server"), sync(), given=range(3, 7)),
    Scenario(35, "client deleted everything", "emptied", client.empties(), sync(sure=True), sync(), given=12),

    Scenario(40, "large objects", "large", client.adds(1, photo=60000), server.adds(2, photo=60000), sync(max_msg=20000, fails="?"), sync(max_msg=20000, fails="?")),
    Scenario(41, "large objects, updated", "large updates", client.adds(1, photo=60000), client.adds(2, photo=60000), sync(record=False, fails="?"), client.changes(1, "TITLE:Client"), server.changes(2, "TITLE:Server"), sync(max_msg=20000, fails="?"), sync(max_msg=20000, fails="?")),
    Scenario(42, "many messages", "many", [client.adds(i, note=60) for i in MANY], [server.adds(100 + i, note=60) for i in MANY], sync(max_msg=10240), sync(max_msg=10240)),

    Scenario(50, "client lost its anchors", "lost", client.forgets(), client.adds(11), client.changes(1, "TITLE:Client"), server.adds(12), sync(), sync(), given=3),
    Scenario(51, "server lost its anchors", "lost", server.forgets(), client.adds(11), client.changes(1, "TITLE:Client"), server.adds(12), sync(), sync(), given=3),
    Scenario(52, "bad password", "refused", client.adds(11), server.adds(12), sync(fails="401", password="wrong"), sync(), given=1),
    Scenario(53, "unknown datastore", "refused", client.adds(11), server.adds(12), sync(fails="404", uri="nosuchstore"), sync(), given=1),

    Scenario(60, "suspended in a slow sync, resumed", "suspended slow", [client.adds(i, note=250) for i in LONG], [server.adds(100 + i, note=250) for i in LONG],
             sync("slow", record=False, fails="?", max_msg=10240, interrupt=(3, 1)), sync(max_msg=10240), sync(max_msg=10240)),
    Scenario(61, "suspended in a two-way sync, resumed", "suspended", [client.adds(i, note=250) for i in LONG], [server.adds(100 + i, note=250) for i in LONG],
             sync(record=False, fails="?", max_msg=10240, interrupt=(3, 1)), sync(max_msg=10240), sync(max_msg=10240), given=1),
    Scenario(62, "stopped at once in a two-way sync, then again", "stopped", [client.adds(i, note=250) for i in LONG], [server.adds(100 + i, note=250) for i in LONG],
             sync(record=False, fails="?", max_msg=10240, interrupt=(3, 2)), sync(max_msg=10240), sync(max_msg=10240), given=1),
    Scenario(63, "every request lost once", "requests lost", both_edit(0), sync(plan=each_lost_once(LOSE_REQUEST), patience=60), sync(), given=range(3, 7), undisturbed=True),
    Scenario(64, "every reply lost once", "replies lost", both_edit(0), sync(plan=each_lost_once(LOSE_REPLY), patience=60), sync(), given=range(3, 7), undisturbed=True),
    Scenario(65, "aborted in each message, the request lost", "aborted requests", aborted(LOSE_REQUEST), given=[10 * k + i for k in range(1, 5) for i in range(3, 7)], undisturbed=True),
    Scenario(66, "aborted in each message, the reply lost", "aborted replies", aborted(LOSE_REPLY), given=[10 * k + i for k in range(1, 5) for i in range(3, 7)], undisturbed=True),
    Scenario(70, "several datastores", "stores", client.adds(1), client.adds(2, store="calendar"), server.adds(3, store="calendar"), server.adds(4, store="todo"), client.adds(5, store="memo"),
             server.adds(6, store="memo"), sync("slow"), sync(), client.adds(7, store="todo"), server.adds(8, store="calendar"), sync(), sync(),
             stores=("addressbook", "calendar", "todo", "memo")),
]
