"""What the matrix is judged by: the books that SyncEvolution reaches with itself (reference.json), and what may differ from them (differences.json)."""
import collections, hashlib, json, os, re
import compare, lab
from lab import Failed
from pair import VARIANTS
from scenarios import SCENARIOS

ROLES = {"peer-ours": "SyncEvolution, our server", "ours-peer": "our client, SyncEvolution", "ours-ours": "our client, our server"}
REFERENCE, DIFFERENCES = os.path.join(lab.HERE, "reference.json"), os.path.join(lab.HERE, "differences.json")
# What calendars of SyncEvolution add or write anew.
VOLATILE = {"DTSTAMP", "LAST-MODIFIED", "CREATED", "SEQUENCE", "CLASS", "PRIORITY", "STATUS", "TRANSP"}


# ---- books as lines -------------------------------------------------------------------------------------------------

def lines_of(store, data):
    """What an item says, as a sorted list of lines; long values by their length and hash."""
    if store == "memo":
        return data.decode().replace("\r", "").strip().split("\n")
    out = []
    for prop in compare.canonical(data):
        if store != "addressbook" and prop[0] in VOLATILE:
            continue
        line = compare.show(prop)
        value = repr(prop[3])
        out.append(line if len(value) < 160 else "%s... %d characters, sha256 %s" % (line[:60], len(value), hashlib.sha256(value.encode()).hexdigest()[:16]))
    return sorted(out)


def name_of(lines):
    return next((x.partition(": ")[2].strip("'") for x in lines if x.startswith(("FN: ", "SUMMARY: "))), lines[0] if lines else "(empty)")


def difference(want, got):
    """What is different between two books, as lines: the same ones for the same difference, wherever it occurs."""
    key = lambda items: collections.Counter(tuple(i) for i in items)
    less, more = list((key(want) - key(got)).elements()), list((key(got) - key(want)).elements())
    out = []
    for item in sorted(less):
        twin = next((m for m in sorted(more) if name_of(m) == name_of(item)), None)
        if twin is None:
            out.append("- " + name_of(item))
            continue
        more.remove(twin)
        out += ["%s: - %s" % (name_of(item), x) for x in item if x not in twin] + ["%s: + %s" % (name_of(item), x) for x in twin if x not in item]
        if collections.Counter(item) != collections.Counter(twin) and set(item) == set(twin):
            out.append("%s: repeated lines" % name_of(item))
    return out + ["+ " + name_of(item) for item in sorted(more)]


# ---- the reference --------------------------------------------------------------------------------------------------

def key_of(number, variant=None):
    return "%d" % number + ("@" + variant if variant else "")


def record(runs):
    """Writes what SyncEvolution reached with itself, {number: {variant: states}}: what most variants have in common, and what a variant has of its own."""
    book = load(REFERENCE) if os.path.exists(REFERENCE) else {}
    book = {k: x for k, x in book.items() if int(k.split("@")[0]) in {s.number for s in SCENARIOS}}
    for number, by in runs.items():
        by = {v: [compact(x) for x in states] for v, states in by.items()}
        common = max(by.values(), key=lambda x: list(by.values()).count(x))
        for k in [k for k in book if k.split("@")[0] == key_of(number)]:
            del book[k]
        book[key_of(number)] = common
        book.update({key_of(number, v): x for v, x in by.items() if x != common})
    order = sorted(book, key=lambda k: (int(k.split("@")[0]), k))
    items = lambda x: "[" + ",".join("\n   " + json.dumps(i, ensure_ascii=False) for i in x) + "]"
    state = lambda s: "  {" + ",\n   ".join('"%s": %s' % (side, items(x)) for side, x in s.items()) + "}"
    with open(REFERENCE, "w") as f:
        f.write("{\n" + ",\n".join('"%s": [\n%s]' % (k, ",\n".join(state(s) for s in book[k])) for k in order) + "\n}\n")


def compact(state):
    return {"both": state["client"]} if state["client"] == state["server"] else state


def load(path):
    with open(path) as f:
        return json.load(f)


def wanted(reference, number, variant):
    states = reference.get(key_of(number, variant), reference.get(key_of(number)))
    if states is None:
        raise Failed("no reference for scenario %d; matrix.py --record" % number)
    return [s if "client" in s else {"client": s["both"], "server": s["both"]} for s in states]


# ---- judging --------------------------------------------------------------------------------------------------------

def listed(differences, number, role, variant):
    """[(id, lines)] of a cell: those of the variant, else those of all variants."""
    keys = ("%d %s %s" % (number, role, variant), "%d %s" % (number, role))
    found = [(d["id"], next((d["cells"][k] for k in keys if k in d["cells"]), [])) for d in differences]
    return [(i, lines) for i, lines in found if lines]


def differing(states, want):
    """All that differs from the reference, once each, with the places: 1cs 2s = after the first recorded sync on both sides, after the second at the server."""
    places = collections.OrderedDict()
    for n, (state, got) in enumerate(zip(want, states), 1):
        for side in ("client", "server"):
            seen = collections.Counter()
            for line in difference(state[side], got[side]):
                seen[line] += 1
                places.setdefault((line, seen[line]), collections.OrderedDict()).setdefault(n, []).append(side[0])
    return ["%s | %s" % (" ".join("%d%s" % (n, "".join(sides)) for n, sides in where.items()), line) for (line, _), where in places.items()]


def bless(results, reference, differences, variants):
    """Writes and returns the lines of the cells that differences.json names: what all variants have in common, and what a variant has of its own."""
    for d in differences:
        cells = sorted({tuple(k.split()[:2]) for k in d["cells"]}, key=lambda c: (int(c[0]), c[1]))
        new = {}
        for number, role in cells:
            runs = {v: results.get((role, v, int(number))) for v in variants}
            by = {v: differing(r.states, wanted(reference, int(number), v)) for v, r in runs.items() if r and not r.reason}
            if len(by) < len(VARIANTS):
                new.update({k: x for k, x in d["cells"].items() if k.split()[:2] == [number, role]})
                continue
            common = max(by.values(), key=lambda x: list(by.values()).count(x))
            new["%s %s" % (number, role)] = common
            new.update({"%s %s %s" % (number, role, v): x for v, x in by.items() if x != common})
        d["cells"] = new
    with open(DIFFERENCES, "w") as f:
        f.write(json.dumps(differences, ensure_ascii=False, indent=1) + "\n")
    return differences


def judge(run, reference, differences, number, role, variant):
    """(word for the table, reasons why it failed)."""
    if run is None or run.reason:
        return "FAIL", [run.reason if run else "not run"]
    states = wanted(reference, number, variant)
    if len(states) != len(run.states):
        return "FAIL", ["%d syncs were recorded, and these are %d; matrix.py --record" % (len(states), len(run.states))]
    accepted = listed(differences, number, role, variant)
    got, want = collections.Counter(differing(run.states, states)), collections.Counter(x for _, lines in accepted for x in lines)
    wrong = ["not listed: " + x for x in (got - want).elements()] + ["listed, but did not occur: " + x for x in (want - got).elements()]
    return ("FAIL" if wrong else ", ".join(i for i, _ in accepted) or "ok"), wrong


# ---- the kept table ----------------------------------------------------------------------------------------------------

BEGIN, END = "<!-- matrix: tests/peer/matrix.py --markdown -->", "<!-- end of matrix -->"


def markdown(differences):
    """The kept table: a row a scenario, a column a role; `ok` in all variants, or the number of an accepted difference and where."""
    out = [BEGIN, "", "| scenario | %s |" % " | ".join("%s → %s" % tuple(ROLES[r].split(", ")) for r in ROLES), "|---" * (len(ROLES) + 1) + "|"]
    for s in SCENARIOS:
        cells = []
        for role in ROLES:
            by = {v: ", ".join("[%s]" % i for i, _ in listed(differences, s.number, role, v)) or "ok" for v in VARIANTS}
            kinds = sorted(set(by.values()), key=list(by.values()).index)
            cells.append(kinds[0] if len(kinds) == 1 else "; ".join("%s: %s" % (" ".join(v for v in by if by[v] == k), k) for k in kinds))
        out.append("| %s | %s |" % (s.name, " | ".join(cells)))
    out += [""] + ["- [%s] %s" % (d["id"], d["reason"]) for d in differences] + ["", END]
    return "\n".join(out)


def kept(path, differences):
    with open(path) as f:
        text = f.read()
    m = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), text, re.S)
    if m and m.group(0) == markdown(differences):
        return 0
    print("FAIL: %s does not hold the matrix as it is; tests/peer/matrix.py --markdown prints it" % path)
    return 1


# ---- the judge is judged --------------------------------------------------------------------------------------------

def self_test():
    """What is different must be seen, once each; what is accepted must occur, and nothing else."""
    a, b, c = ["FN: 'A'", "TEL: '1'"], ["FN: 'B'", "TEL: '2'"], ["FN: 'A'", "TEL: '3'"]
    bad, count = [], 0

    def expect(what, got, right):
        nonlocal count
        count += 1
        if got != right:
            bad.append("FAIL %s: %r, right is %r" % (what, got, right))
    for what, want, got, right in [
            ("equal", [a, b], [b, a], []), ("nothing", [], [], []), ("lost", [a, b], [a], ["- B"]), ("come", [a], [a, b], ["+ B"]), ("doubled", [a], [a, a], ["+ A"]),
            ("no longer doubled", [a, a], [a], ["- A"]), ("changed", [a], [c], ["A: - TEL: '1'", "A: + TEL: '3'"]), ("a line twice", [a], [a + a[1:]], ["A: repeated lines"]),
            ("one of two changed", [a, a], [a, c], ["A: - TEL: '1'", "A: + TEL: '3'"])]:
        expect(what, difference(want, got), right)

    class Run:
        reason = None
        states = [{"client": [a, b], "server": [a]}, {"client": [a, b], "server": [a]}]
    reference = {"7": [{"both": [a]}, {"both": [a]}], "7@xml10": [{"client": [a, b], "server": [a]}] * 2}
    entry = lambda lines, key="7 peer-ours": [{"id": "x", "cells": {key: lines}}]
    for what, differences, role, variant, word in [
            ("not listed", [], "peer-ours", "xml12", "FAIL"), ("listed", entry(["1c 2c | + B"]), "peer-ours", "xml12", "x"), ("listed for the other role", entry(["1c 2c | + B"]), "ours-peer", "xml12", "FAIL"),
            ("listed for one place only", entry(["1c | + B"]), "peer-ours", "xml12", "FAIL"), ("more listed than occurs", entry(["1c 2c | + B", "1s | + B"]), "peer-ours", "xml12", "FAIL"),
            ("the variant has its own reference", [], "peer-ours", "xml10", "ok"), ("listed, and does not occur", entry(["1c 2c | + B"]), "peer-ours", "xml10", "FAIL"),
            ("not listed for this variant", entry(["1c 2c | + B"], "7 peer-ours wbxml11"), "peer-ours", "xml12", "FAIL"), ("listed for this variant", entry(["1c 2c | + B"], "7 peer-ours xml12"), "peer-ours", "xml12", "x")]:
        expect(what, judge(Run, reference, differences, 7, role, variant)[0], word)
    expect("not run", judge(None, reference, [], 7, "peer-ours", "xml12")[0], "FAIL")
    Run.states = Run.states[:1]
    expect("another number of syncs", judge(Run, reference, [], 7, "peer-ours", "xml10")[0], "FAIL")
    print("\n".join(bad + ["%d passed, %d failed" % (count - len(bad), len(bad))]))
    return 1 if bad else 0
