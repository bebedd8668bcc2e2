#!/usr/bin/python3
"""What becomes of a card that both sides touched: three scenarios of the matrix with SyncEvolution's client, which tells in its DevInf what it can hold (CTCap) or does not.

    conflicts.py [--variants xml12,wbxml12,...] [--ctcap on,off] [--jobs N] [--program PATH] [--work DIR] [--verbose]
    conflicts.py --small      what tests/run does: two variants
    conflicts.py --record     the same with its own server; writes conflicts.json, needs no program of ours
    conflicts.py --markdown   prints the table that the README keeps; --check FILE: the file holds it; --self-test: the judge is judged; these run nothing

Towards our server both books must be equal (compare.py) after every sync and must have come to what OURS says; what lost must be in `syncml history` with who said it, and
what `syncml serve --json` tells of the session must name the card, the field and the revision that has the loser. What its own server does is recorded and said in the same words; a
run that passes proves our column. Exit 0 = all as expected, 1 = not, 2 = could not run."""
import argparse, concurrent.futures, json, os, re, shutil, sys, time, traceback
import cards, compare, lab, matrix, scenarios, verdict
from lab import Failed
from pair import DEVICE, VARIANTS, Pair

RECORDED = os.path.join(lab.HERE, "conflicts.json")
BEGIN, END = "<!-- conflicts: tests/peer/conflicts.py --markdown -->", "<!-- end of conflicts -->"
SMALL, CTCAP = ("xml12", "wbxml11"), ("on", "off")
CHOSEN = {s.number: s for s in scenarios.SCENARIOS if s.number in (20, 21, 25)}
WHAT = {20: "different fields of one card, edited on both sides", 21: "the same field of one card, edited on both sides", 25: "the same card, added on both sides"}
# What both sides say, as verdict.lines_of writes it, with whose it is.
SAID = {20: {"NOTE: 'by the client'": "client", "TITLE: 'by the server'": "server"}, 21: {"TITLE: 'by the client'": "client", "TITLE: 'by the server'": "server"}}
OURS = {20: "both edits stay, on both sides", 21: "the client's edit stays; the other is in the history, the conflict in the report", 25: "one card"}


# ---- what it came to ------------------------------------------------------------------------------------------------

class Trace:
    """What a server keeps and tells of a conflict: whether the loser is in a history, and how many conflicts the sync's report counts."""

    def __init__(self, history=False, conflicts=0):
        self.history, self.conflicts = history, conflicts


def outcome(number, state, trace):
    """In words: what the books of both sides hold in the end, and what is left of the loser."""
    if number == 25:
        counts = {side: len(state[side]) for side in ("client", "server")}
        words = {0: "no card", 1: "one card", 2: "two cards"}
        word = lambda n: words.get(n, "%d cards" % n)
        return word(counts["client"]) if counts["client"] == counts["server"] else "%s at the client, %s at the server" % (word(counts["client"]), word(counts["server"]))
    held = {side: {who for line, who in SAID[number].items() if any(line in card for card in state[side])} for side in ("client", "server")}
    if held["client"] != held["server"] or not held["client"] or any(len(state[side]) != 1 for side in state):
        return "the sides differ: " + "; ".join("%s holds %s" % (side, " and ".join(sorted(held[side])) or "none") for side in sorted(held))
    if len(held["client"]) == 2:
        return "both edits stay, on both sides"
    fate = ["the other is in the history" if trace.history else "the other is lost"]
    fate.append("the conflict in the report" if trace.conflicts and trace.history else "the report counts a conflict" if trace.conflicts else "nobody is told")
    return "the %s's edit stays; %s" % (held["client"].pop(), ", ".join(fate))


def loser(number, state):
    """The line that is in no book any more, where only one could stay."""
    return [line for line in SAID.get(number, {}) if not any(line in card for side in state.values() for card in side)]


# ---- playing --------------------------------------------------------------------------------------------------------

def declared(folder):
    """Whether the client's messages carried CTCap: the name of a property that no card here has stands in them, in XML and in WBXML."""
    book = lab.Book(folder)
    return any(b"X-EVOLUTION-BLOG-URL" in data for name, data in book.cards().items() if "-c2s" in name)


def own(pair, scenario, side):
    """The scenario's cards at a side: {id: bytes}."""
    mine = lambda data: int(cards.tag_of(data)[1:]) // 1000 == scenario.number
    return {i: data for i, data in getattr(pair, side)["addressbook"].cards().items() if mine(data)}


def books_agree(pair):
    books = pair.books()
    report = compare.Report(books["client"]["addressbook"], books["server"]["addressbook"], ("client", "server"))
    if not report:
        raise Failed("the books differ: %s" % report)


def traced(pair, scenario, state, reports):
    """What our server keeps and tells: every value that was said is in the history, by who said it; the session's report names the card, the field and the
    revision that has what lost."""
    books = [b for r in reports for b in r["books"]]
    if not reports or not all(r["clean"] for r in reports):
        raise Failed("of %d syncs the server tells: %s" % (len(reports), reports))
    counted = sum(b["received"]["conflicts"] for b in books)
    notes = [n for b in books for n in b["conflicts"]]
    if scenario.number not in SAID:
        if counted or notes:
            raise Failed("the report tells of a conflict where none is: %s" % books)
        return Trace()
    guid, = own(pair, scenario, "server")
    rows = pair.host.history(guid)
    for line, who in SAID[scenario.number].items():
        origin = DEVICE if who == "client" else "host"
        by = {r["by"] for r in rows if line in verdict.lines_of("addressbook", r["content"].encode())}
        if origin not in by:
            raise Failed("the history does not have %s by %s, but by %s" % (line, origin, sorted(by)))
    lost = loser(scenario.number, state)
    if len(notes) != len(lost):
        raise Failed("%d edits lost, and the report tells of %d conflicts: %s" % (len(lost), len(notes), notes))
    for note in notes:
        row = next((r for r in rows if r["revision"] == note["lost"]), None)
        if note["fields"] != ["TITLE"] or str(note["guid"]) != str(guid) or row is None or lost[0] not in verdict.lines_of("addressbook", row["content"].encode()):
            raise Failed("the report says of the conflict: %s" % note)
    return Trace(bool(lost), counted)


def run(variant, ctcap, options):
    """{number: (states, trace)}: the scenarios one after the other on one pair of books."""
    folder = os.path.join(options.work, "%s-%s" % (variant, ctcap))
    server = "peer" if options.record else "ours"
    pair, done = Pair(folder, options.tools, options.program, ("peer", server), variant, ("addressbook",), declares=ctcap == "on", reporting=True), {}
    try:
        for s in CHOSEN.values():
            for i in s.given:
                pair.client["addressbook"].put(scenarios.item("addressbook", s, i))
        code, text = pair.sync("slow")
        if code:
            raise Failed("first sync: exit %d: %s" % (code, text.strip()[-300:]))
        if declared(pair.tap.folder) != (ctcap == "on"):
            raise Failed("CTCap should be %s, and is not" % ctcap)
        for number, s in CHOSEN.items():
            known, told = len(pair.host.reports()) if server == "ours" else 0, []
            states = []
            for what in s.steps:
                matrix.step(pair, s, what, False)
                if what[0] == "sync":
                    told.append(pair.counted)
                    states.append(matrix.snapshot(pair, s)[0])
                    if server == "ours":
                        books_agree(pair)
            trace = traced(pair, s, states[-1], pair.host.reports()[known:]) if server == "ours" else Trace(conflicts=sum(n or 0 for n in told))
            done[number] = states, trace
    except Failed as e:
        raise Failed("%s (%s)" % (e, folder))
    finally:
        pair.close()
    return done


def run_all(options):
    """({(number, ctcap, variant): (states, trace)}, [what failed])."""
    results, bad = {}, []

    def one(variant, ctcap):
        start = time.time()
        try:
            done = run(variant, ctcap, options)
        except Failed as e:
            return bad.append("FAIL %s, CTCap %s: %s" % (variant, ctcap, e))
        except Exception:
            return bad.append("FAIL %s, CTCap %s: %s" % (variant, ctcap, traceback.format_exc()))
        results.update({(number, ctcap, variant): x for number, x in done.items()})
        if options.verbose:
            print("   %s, CTCap %s: %.1f s" % (variant, ctcap, time.time() - start), flush=True)
    pool = concurrent.futures.ThreadPoolExecutor(max(1, options.jobs))
    try:
        for f in concurrent.futures.as_completed([pool.submit(one, v, c) for v in options.variants for c in options.ctcap]):
            f.result()
    except KeyboardInterrupt:
        lab._stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)
        lab.stop_everything()
        raise
    pool.shutdown(wait=True)
    return results, bad


# ---- what its own server does, and the table ------------------------------------------------------------------------

def record(results):
    """Writes conflicts.json: for each case and CTCap what most variants come to, and what a variant comes to of its own."""
    book = {}
    for number in CHOSEN:
        for ctcap in CTCAP:
            by = {v: {"counted": t.conflicts, "states": [verdict.compact(s) for s in states]} for (n, c, v), (states, t) in sorted(results.items()) if (n, c) == (number, ctcap)}
            common = max(by.values(), key=lambda x: list(by.values()).count(x))
            book["%d %s" % (number, ctcap)] = common
            book.update({"%d %s %s" % (number, ctcap, v): x for v, x in by.items() if x != common})
    with open(RECORDED, "w") as f:
        f.write("{\n" + ",\n".join("%s: %s" % (json.dumps(k), json.dumps(x, ensure_ascii=False, indent=1)) for k, x in book.items()) + "\n}\n")


def theirs(recorded, number, ctcap):
    """What its own server comes to, in words; where variants differ, each with its own."""
    def words(entry):
        last = entry["states"][-1]
        return outcome(number, {s: last.get("both", last.get(s)) for s in ("client", "server")}, Trace(conflicts=entry["counted"]))
    by = {v: words(recorded.get("%d %s %s" % (number, ctcap, v), recorded["%d %s" % (number, ctcap)])) for v in VARIANTS}
    kinds = sorted(set(by.values()), key=list(by.values()).index)
    return kinds[0] if len(kinds) == 1 else "; ".join("%s: %s" % (" ".join(v for v in by if by[v] == k), k) for k in kinds)


def markdown(recorded):
    out = [BEGIN, "", "| SyncEvolution's client and | CTCap | its own server | our server |", "|---|---|---|---|"]
    for number in CHOSEN:
        cells = {c: theirs(recorded, number, c) for c in CTCAP}
        rows = [("on or off", cells["on"])] if len(set(cells.values())) == 1 else list(cells.items())
        out += ["| %s | %s | %s | %s |" % (WHAT[number], c, x, OURS[number]) for c, x in rows]
    return "\n".join(out + ["", END])


def kept(path):
    with open(path) as f:
        m = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), f.read(), re.S)
    if m and m.group(0) == markdown(verdict.load(RECORDED)):
        return 0
    print("FAIL: %s does not hold the table as it is; tests/peer/conflicts.py --markdown prints it" % path)
    return 1


# ---- the judge is judged --------------------------------------------------------------------------------------------

def self_test():
    note, mine, yours = "NOTE: 'by the client'", "TITLE: 'by the client'", "TITLE: 'by the server'"
    state = lambda client, server: {"client": client, "server": server}
    same = lambda *card: state([list(card)], [list(card)])
    table = [
        (20, same(note, yours), Trace(), OURS[20]), (20, same(note), Trace(), "the client's edit stays; the other is lost, nobody is told"),
        (20, state([[note, yours]], [[note]]), Trace(), "the sides differ: client holds client and server; server holds client"), (20, same("FN: 'A'"), Trace(), "the sides differ: client holds none; server holds none"),
        (20, state([[note, yours]] * 2, [[note, yours]] * 2), Trace(), "the sides differ: client holds client and server; server holds client and server"),
        (21, same(mine), Trace(True, 1), OURS[21]), (21, same(yours), Trace(True, 1), "the server's edit stays; the other is in the history, the conflict in the report"),
        (21, same(mine), Trace(True, 0), "the client's edit stays; the other is in the history, nobody is told"), (21, same(mine), Trace(False, 1), "the client's edit stays; the other is lost, the report counts a conflict"),
        (21, same(mine), Trace(), "the client's edit stays; the other is lost, nobody is told"), (21, state([[mine]], [[yours]]), Trace(), "the sides differ: client holds client; server holds server"),
        (25, same("A"), Trace(), OURS[25]), (25, state([["A"]] * 2, [["A"]] * 2), Trace(), "two cards"), (25, state([["A"]], [["A"]] * 2), Trace(), "one card at the client, two cards at the server"),
        (25, state([], []), Trace(), "no card")]
    bad = ["FAIL %d: %r, right is %r" % (n, outcome(n, s, t), right) for n, s, t, right in table if outcome(n, s, t) != right]
    print("\n".join(bad + ["%d passed, %d failed" % (len(table) - len(bad), len(bad))]))
    return 1 if bad else 0


# ---- the command ----------------------------------------------------------------------------------------------------

def arguments():
    root = os.path.dirname(os.path.dirname(lab.HERE))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--variants", default=",".join(VARIANTS))
    p.add_argument("--ctcap", default=",".join(CTCAP))
    p.add_argument("--small", action="store_true")
    p.add_argument("--jobs", type=int, default=4)
    p.add_argument("--program", default=os.environ.get("SYNCML") or lab.default_program())
    p.add_argument("--work", default=os.path.join(root, "tests", ".work", "conflicts"))
    p.add_argument("--record", action="store_true")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--check", metavar="FILE")
    p.add_argument("--self-test", action="store_true")
    p.add_argument("--verbose", action="store_true")
    o = p.parse_args()
    o.variants, o.ctcap = list(SMALL) if o.small else o.variants.split(","), o.ctcap.split(",")
    wrong = [v for v in o.variants if v not in VARIANTS] + [c for c in o.ctcap if c not in CTCAP]
    if wrong:
        p.error("unknown: %s" % ", ".join(wrong))
    if o.record and (set(o.variants), set(o.ctcap)) != (set(VARIANTS), set(CTCAP)):
        p.error("--record takes all variants")
    o.work = os.path.abspath(o.work)
    o.program = o.program and os.path.abspath(o.program)
    return o


def main():
    o = arguments()
    if o.markdown:
        print(markdown(verdict.load(RECORDED)))
        return 0
    if o.check:
        return kept(o.check)
    if o.self_test:
        return self_test()
    if not o.record and not (o.program and os.access(o.program, os.X_OK)):
        print("conflicts.py: the program is missing (cargo build --release --features cli, or --program PATH)", file=sys.stderr)
        return 2
    start = time.time()
    lab.guard()
    shutil.rmtree(o.work, ignore_errors=True)
    try:
        o.tools = lab.make_ready(o.work)
        results, bad = run_all(o)
    except Failed as e:
        print("conflicts.py: %s" % e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("conflicts.py: interrupted", file=sys.stderr)
        return 130
    failed = len(CHOSEN) * len(bad)
    rows = []
    for (number, ctcap, variant), (states, trace) in sorted(results.items()):
        got = outcome(number, states[-1], trace)
        rows.append([WHAT[number], ctcap, variant, got])
        if not o.record and got != OURS[number]:
            failed += 1
            bad.append("FAIL %s, CTCap %s, %s: %s; right is: %s" % (WHAT[number], ctcap, variant, got, OURS[number]))
    matrix.table(rows, ["both sides", "CTCap", "variant", "in the end"])
    if o.record and not bad:
        record(results)
    print("\n".join(bad + ["%d passed, %d failed (%.0f s)" % (len(CHOSEN) * len(o.variants) * len(o.ctcap) - failed, failed, time.time() - start)]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
