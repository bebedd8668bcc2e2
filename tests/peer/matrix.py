#!/usr/bin/python3
"""The matrix: every scenario (scenarios.py) x variant x who is client and who is server, judged by what SyncEvolution reaches with itself.

    matrix.py [--roles peer-ours,ours-peer,ours-ours] [--variants xml12,wbxml12,...] [--only TEXT,...] [--jobs N] [--program PATH] [--work DIR] [--verbose]
    matrix.py --small      what tests/run does: two variants for each role
    matrix.py --record     SyncEvolution with itself; writes reference.json, needs no program of ours
    matrix.py --markdown   prints the table that the README keeps; --check FILE: the file holds it; both run nothing

After each recorded sync the books of both sides are compared with the reference, card by card (compare.py reads them). What may differ, and why, is in
differences.json, line by line: a difference that is not listed fails, and so does a listed one that does not occur. The table in the README follows from that
file alone, therefore: a run that passes proves it. Prints a table, and for each failed cell its lines; exit 0 = all as expected, 1 = not, 2 = could not run."""
import argparse, collections, concurrent.futures, hashlib, json, os, re, shutil, sys, threading, time, traceback
import cards, compare, lab, scenarios
from lab import Failed
from pair import STORES, VARIANTS, Pair
from scenarios import SCENARIOS

ROLES = {"peer-ours": "SyncEvolution, our server", "ours-peer": "our client, SyncEvolution", "ours-ours": "our client, our server"}
SMALL = {"peer-ours": ("xml12", "wbxml11"), "ours-peer": ("xml11", "wbxml12"), "ours-ours": ("xml10", "wbxml12")}
REFERENCE, DIFFERENCES = os.path.join(lab.HERE, "reference.json"), os.path.join(lab.HERE, "differences.json")
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


def snapshot(pair, scenario):
    """({side: items of the scenario}, {side: all others}), both as sorted lists of lists of lines."""
    own, rest = {}, {}
    for side, stores in pair.books().items():
        own[side], rest[side] = [], []
        for store, items in stores.items():
            for data in items.values():
                mark = cards.tag_of(data)
                here = mark is not None and int(mark[1:]) // 1000 == scenario.number
                (own if here else rest)[side].append(lines_of(store, data))
        own[side].sort()
        rest[side].sort()
    return own, rest


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


# ---- running --------------------------------------------------------------------------------------------------------

class Run:
    """What one scenario came to: the books after each recorded sync, or why it failed."""

    def __init__(self, states=(), reason=None):
        self.states, self.reason = list(states), reason


def step(pair, scenario, what, undisturbed):
    """Does one edit or sync."""
    kind = what[0]
    if kind == "sync":
        _, mode, _, fails, how = what
        if undisturbed:
            fails, how = None, {k: v for k, v in how.items() if k not in ("plan", "interrupt", "patience")}
        code, text = pair.sync(mode, **how)
        tail = " | ".join(text.strip().splitlines()[-4:])
        if fails is None and code:
            raise Failed("%s: exit %d: %s" % (mode, code, tail))
        if fails not in (None, "?") and (not code or fails not in text):
            raise Failed("%s: exit %d, and no %s in: %s" % (mode, code, fails, tail))
        return
    if kind == "forget":
        return pair.forget(what[1])
    side = getattr(pair, what[1])[what[2]]
    if kind == "add":
        return side.put(scenarios.item(what[2], scenario, *what[3:]))
    held = side.cards()
    if kind == "empty":
        for i in held:
            side.delete(i)
        return
    mark = scenarios.tag(scenario, what[3])
    found = [i for i, data in held.items() if cards.tag_of(data) == mark]
    if len(found) != 1:
        raise Failed("%s: %d cards %s at the %s, to be edited" % (kind, len(found), mark, what[1]))
    if kind == "change":
        side.put(scenarios.edited(held[found[0]], what[4]), found[0])
    else:
        side.delete(found[0])


def play(pair, scenario, undisturbed):
    """Plays a scenario on a pair of books; the cards of the others must not change."""
    states = []
    _, before = snapshot(pair, scenario)
    for what in scenario.steps:
        step(pair, scenario, what, undisturbed)
        if what[0] == "sync" and what[2]:
            own, _ = snapshot(pair, scenario)
            states.append(own)
    if "empty" not in [s[0] for s in scenario.steps]:
        _, after = snapshot(pair, scenario)
        for side in after:
            wrong = difference(before[side], after[side])
            if wrong:
                raise Failed("cards that nobody touched changed at the %s: %s" % (side, "; ".join(wrong[:4])))
    return states


def bench(kinds, variant, todo, options):
    """Plays scenarios one after the other on one pair of books, and after a failure goes on with a new one: {number: Run}."""
    done, attempt = {}, 0
    todo = list(todo)
    while todo:
        attempt += 1
        folder = os.path.join(options.work, "%s-%s-%s-%d" % ("-".join(kinds), variant, todo[0].bench.replace(" ", "-"), attempt))
        pair = None
        try:
            pair = Pair(folder, options.tools, options.program, kinds, variant, sorted({s for x in todo for s in x.stores}), options.peer_log)
            given = [(x, i) for x in todo for i in x.given]
            for x, i in given:
                pair.client["addressbook"].put(scenarios.item("addressbook", x, i))
            if given:
                code, text = pair.sync("slow")
                if code:
                    raise Failed("first sync: exit %d: %s" % (code, text.strip()[-300:]))
            while todo:
                done[todo[0].number] = Run(play(pair, todo[0], options.record and todo[0].undisturbed))
                todo.pop(0)
        except Failed as e:
            done[todo.pop(0).number] = Run(reason="%s (%s)" % (e, folder))
        except Exception:
            done[todo.pop(0).number] = Run(reason=traceback.format_exc())
        finally:
            try:
                if pair:
                    pair.close()
            except Failed as e:
                for n in done:
                    done[n].reason = done[n].reason or "%s (%s)" % (e, folder)
        if lab._stopping.is_set():
            break
    return done


def run_all(roles, options):
    """{(role, variant, number): Run}; benches side by side."""
    jobs = []
    for role, variants in roles.items():
        for variant in variants:
            benches = collections.OrderedDict()
            for s in options.chosen:
                benches.setdefault(s.bench, []).append(s)
            jobs += [(role, variant, todo) for todo in benches.values()]
    jobs.sort(key=lambda j: -sum(1 for s in j[2] for x in s.steps if x[0] == "sync"))
    results, lock = {}, threading.Lock()

    def one(role, variant, todo):
        start = time.time()
        done = bench(tuple(role.split("-")), variant, todo, options)
        with lock:
            for number, r in done.items():
                results[role, variant, number] = r
        if options.verbose:
            print("   %s %s %s: %.1f s" % (role, variant, todo[0].bench, time.time() - start), flush=True)
    pool = concurrent.futures.ThreadPoolExecutor(max(1, options.jobs))
    try:
        for f in concurrent.futures.as_completed([pool.submit(one, *j) for j in jobs]):
            f.result()
    except KeyboardInterrupt:
        lab._stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)
        lab.stop_everything()
        raise
    pool.shutdown(wait=True)
    return results


# ---- the reference --------------------------------------------------------------------------------------------------

def key_of(number, variant=None):
    return "%d" % number + ("@" + variant if variant else "")


def record(results, options):
    """Writes what SyncEvolution reached with itself: what most variants have in common, and what a variant has of its own."""
    book = load(REFERENCE) if os.path.exists(REFERENCE) else {}
    book = {k: x for k, x in book.items() if int(k.split("@")[0]) in {s.number for s in SCENARIOS}}
    for s in options.chosen:
        states = {v: [compact(x) for x in results["peer-peer", v, s.number].states] for v in options.variants}
        common = max(states.values(), key=lambda x: (list(states.values()).count(x)))
        for k in [k for k in book if k.split("@")[0] == key_of(s.number)]:
            del book[k]
        book[key_of(s.number)] = common
        book.update({key_of(s.number, v): x for v, x in states.items() if x != common})
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


def differing(run, want):
    """All that differs from the reference, once each, with the places: 1cs 2s = after the first recorded sync on both sides, after the second at the server."""
    places = collections.OrderedDict()
    for n, (state, got) in enumerate(zip(want, run.states), 1):
        for side in ("client", "server"):
            seen = collections.Counter()
            for line in difference(state[side], got[side]):
                seen[line] += 1
                places.setdefault((line, seen[line]), collections.OrderedDict()).setdefault(n, []).append(side[0])
    return ["%s | %s" % (" ".join("%d%s" % (n, "".join(sides)) for n, sides in where.items()), line) for (line, _), where in places.items()]


def bless(results, reference, differences, options):
    """Writes the lines of the cells that differences.json names: what all variants have in common, and what a variant has of its own."""
    for d in differences:
        cells = sorted({tuple(k.split()[:2]) for k in d["cells"]}, key=lambda c: (int(c[0]), c[1]))
        new = {}
        for number, role in cells:
            by = {v: differing(results[role, v, int(number)], wanted(reference, int(number), v)) for v in options.variants if results.get((role, v, int(number)))}
            if len(by) < len(VARIANTS):
                new.update({k: x for k, x in d["cells"].items() if k.split()[:2] == [number, role]})
                continue
            common = max(by.values(), key=lambda x: list(by.values()).count(x))
            new["%s %s" % (number, role)] = common
            new.update({"%s %s %s" % (number, role, v): x for v, x in by.items() if x != common})
        d["cells"] = new
    with open(DIFFERENCES, "w") as f:
        f.write(json.dumps(differences, ensure_ascii=False, indent=1) + "\n")


def judge(run, reference, differences, number, role, variant):
    """(word for the table, reasons why it failed)."""
    if run is None or run.reason:
        return "FAIL", [run.reason if run else "not run"]
    accepted = listed(differences, number, role, variant)
    got, want = collections.Counter(differing(run, wanted(reference, number, variant))), collections.Counter(x for _, lines in accepted for x in lines)
    wrong = ["not listed: " + x for x in (got - want).elements()] + ["listed, but did not occur: " + x for x in (want - got).elements()]
    return ("FAIL" if wrong else ", ".join(i for i, _ in accepted) or "ok"), wrong


def table(rows, header):
    widths = [max(len(r[c]) for r in rows + [header]) for c in range(len(header))]
    for r in [header] + rows:
        print("  ".join(x.ljust(w) for x, w in zip(r, widths)).rstrip())


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


# ---- the command ----------------------------------------------------------------------------------------------------

def arguments():
    root = os.path.dirname(os.path.dirname(lab.HERE))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--roles", default=",".join(ROLES))
    p.add_argument("--variants", default=",".join(VARIANTS))
    p.add_argument("--small", action="store_true")
    p.add_argument("--only", help="parts of names, or numbers, of scenarios")
    p.add_argument("--jobs", type=int, default=8)
    p.add_argument("--program", default=os.environ.get("SYNCML") or lab.default_program())
    p.add_argument("--work", default=os.path.join(root, "tests", ".work", "matrix"))
    p.add_argument("--record", action="store_true")
    p.add_argument("--bless", action="store_true", help="write the lines of the cells that differences.json names")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--check", metavar="FILE")
    p.add_argument("--peer-log", type=int, default=2)
    p.add_argument("--verbose", action="store_true")
    o = p.parse_args()
    o.variants, o.roles = o.variants.split(","), o.roles.split(",")
    wrong = [v for v in o.variants if v not in VARIANTS] + [r for r in o.roles if r not in ROLES]
    if wrong:
        p.error("unknown: %s" % ", ".join(wrong))
    words = o.only.split(",") if o.only else None
    o.chosen = [s for s in SCENARIOS if not words or any(w == str(s.number) or not w.isdigit() and w in s.name for w in words)]
    o.work = os.path.abspath(o.work)
    o.program = o.program and os.path.abspath(o.program)
    return o


def main():
    o = arguments()
    differences = load(DIFFERENCES) if os.path.exists(DIFFERENCES) else []
    if o.markdown:
        print(markdown(differences))
        return 0
    if o.check:
        return kept(o.check, differences)
    if not o.record and not (o.program and os.access(o.program, os.X_OK)):
        print("matrix.py: the program is missing (cargo build --release --features cli, or --program PATH)", file=sys.stderr)
        return 2
    roles = {"peer-peer": o.variants} if o.record else {r: SMALL[r] if o.small else o.variants for r in o.roles}
    start = time.time()
    lab.guard()
    shutil.rmtree(o.work, ignore_errors=True)
    try:
        o.tools = lab.make_ready(o.work)
        results = run_all(roles, o)
        columns = [(r, v) for r, vs in roles.items() for v in vs]
        if o.record:
            failed = [(v, s, results.get(("peer-peer", v, s.number))) for v in o.variants for s in o.chosen]
            failed = [(v, s, r.reason if r else "not run") for v, s, r in failed if not r or r.reason]
            for v, s, reason in failed:
                print("FAIL %s %s: %s" % (s.name, v, reason))
            broken = {s.number for _, s, _ in failed}
            o.chosen = [s for s in o.chosen if s.number not in broken]
            record(results, o)
            print("%d passed, %d failed (%.0f s)" % (len(results) - len(failed), len(failed), time.time() - start))
            return 1 if failed else 0
        reference, rows, bad, good = load(REFERENCE), [], [], 0
        if o.bless:
            bless(results, reference, differences, o)
        for s in o.chosen:
            row = [s.name]
            for role, variant in columns:
                word, reasons = judge(results.get((role, variant, s.number)), reference, differences, s.number, role, variant)
                row.append(word)
                good += not reasons
                if reasons:
                    bad.append("FAIL %d %s, %s %s:\n     %s" % (s.number, s.name, role, variant, "\n     ".join(reasons[:40])))
            rows.append(row)
    except Failed as e:
        print("matrix.py: %s" % e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("matrix.py: interrupted", file=sys.stderr)
        return 130
    table(rows, ["scenario"] + ["%s %s" % c for c in columns])
    print("\n".join(bad))
    print("%d passed, %d failed (%.0f s)" % (good, len(bad), time.time() - start), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
