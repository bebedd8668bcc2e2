#!/usr/bin/python3
"""The matrix: every scenario (scenarios.py) x variant x who is client and who is server, judged by what SyncEvolution reaches with itself.

    matrix.py [--roles peer-ours,ours-peer,ours-ours] [--variants xml12,wbxml12,...] [--only TEXT,...] [--jobs N] [--program PATH] [--work DIR] [--verbose]
    matrix.py --small      what tests/run does: two variants for each role
    matrix.py --record     SyncEvolution with itself; writes reference.json, needs no program of ours
    matrix.py --bless      writes into differences.json what occurs in the cells that it names; only with all variants
    matrix.py --markdown   prints the table that the README keeps; --check FILE: the file holds it; --self-test: the judge is judged; these run nothing

After each recorded sync the books of both sides are compared with the reference, card by card (compare.py reads them). What may differ, and why, is in
differences.json, line by line: a difference that is not listed fails, and so does a listed one that does not occur. The table in the README follows from that
file alone, therefore: a run that passes proves it. Prints a table, and for each failed cell its lines; exit 0 = all as expected, 1 = not, 2 = could not run."""
import argparse, collections, concurrent.futures, os, shutil, sys, threading, time, traceback
import cards, lab, scenarios, verdict
from lab import Failed
from pair import VARIANTS, Pair
from scenarios import SCENARIOS
from verdict import ROLES

SMALL = {"peer-ours": ("xml12", "wbxml11"), "ours-peer": ("xml11", "wbxml12"), "ours-ours": ("xml10", "wbxml12")}


# ---- playing --------------------------------------------------------------------------------------------------------

def snapshot(pair, scenario):
    """({side: items of the scenario}, {side: all others}), both as sorted lists of lists of lines."""
    own, rest = {}, {}
    for side, stores in pair.books().items():
        own[side], rest[side] = [], []
        for store, items in stores.items():
            for data in items.values():
                mark = cards.tag_of(data)
                here = mark is not None and int(mark[1:]) // 1000 == scenario.number
                (own if here else rest)[side].append(verdict.lines_of(store, data))
        own[side].sort()
        rest[side].sort()
    return own, rest


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
            wrong = verdict.difference(before[side], after[side])
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


def table(rows, header):
    widths = [max(len(r[c]) for r in rows + [header]) for c in range(len(header))]
    for r in [header] + rows:
        print("  ".join(x.ljust(w) for x, w in zip(r, widths)).rstrip())


# ---- the command ----------------------------------------------------------------------------------------------------

def arguments():
    root = os.path.dirname(os.path.dirname(lab.HERE))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--roles", default=",".join(ROLES))
    p.add_argument("--variants", default=",".join(VARIANTS))
    p.add_argument("--small", action="store_true")
    p.add_argument("--only", help="parts of names, or numbers, of scenarios")
    p.add_argument("--jobs", type=int, default=10)
    p.add_argument("--program", default=os.environ.get("SYNCML") or lab.default_program())
    p.add_argument("--work", default=os.path.join(root, "tests", ".work", "matrix"))
    p.add_argument("--record", action="store_true")
    p.add_argument("--bless", action="store_true", help="write the lines of the cells that differences.json names")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--check", metavar="FILE")
    p.add_argument("--self-test", action="store_true")
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


def report(results, roles, options):
    """Prints the table and what is wrong; how many cells are."""
    reference, differences = verdict.load(verdict.REFERENCE), verdict.load(verdict.DIFFERENCES)
    if options.bless:
        differences = verdict.bless(results, reference, differences, options.variants)
    columns = [(r, v) for r, vs in roles.items() for v in vs]
    rows, bad = [], []
    for s in options.chosen:
        row = [s.name]
        for role, variant in columns:
            word, reasons = verdict.judge(results.get((role, variant, s.number)), reference, differences, s.number, role, variant)
            row.append(word)
            if reasons:
                bad.append("FAIL %d %s, %s %s:\n     %s" % (s.number, s.name, role, variant, "\n     ".join(reasons[:40])))
        rows.append(row)
    table(rows, ["scenario"] + ["%s %s" % c for c in columns])
    print("\n".join(bad))
    return len(bad)


def recorded(results, options):
    """Writes the reference of all scenarios that ended; how many runs did not."""
    failed = [(v, s, results.get(("peer-peer", v, s.number))) for v in options.variants for s in options.chosen]
    failed = [(v, s, r.reason if r else "not run") for v, s, r in failed if not r or r.reason]
    for v, s, reason in failed:
        print("FAIL %s %s: %s" % (s.name, v, reason))
    broken = {s.number for _, s, _ in failed}
    whole = [s.number for s in options.chosen if s.number not in broken]
    verdict.record({n: {v: results["peer-peer", v, n].states for v in options.variants} for n in whole})
    return len(failed)


def main():
    o = arguments()
    if o.markdown:
        print(verdict.markdown(verdict.load(verdict.DIFFERENCES)))
        return 0
    if o.check:
        return verdict.kept(o.check, verdict.load(verdict.DIFFERENCES))
    if o.self_test:
        return verdict.self_test()
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
        failed = recorded(results, o) if o.record else report(results, roles, o)
    except Failed as e:
        print("matrix.py: %s" % e, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("matrix.py: interrupted", file=sys.stderr)
        return 130
    cells = len(o.chosen) * sum(len(v) for v in roles.values())
    print("%d passed, %d failed (%.0f s)" % (cells - failed, failed, time.time() - start), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
