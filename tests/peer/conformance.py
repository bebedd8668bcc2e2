#!/usr/bin/python3
"""Plays `syncml conformance` against SyncEvolution's server on loopback. What it fails there, and why that is right or at
least known, stands in conformance.txt; any other outcome, better or worse, fails.

    conformance.py [--program PATH] [--variants xml12,wbxml12,...] [--only PATTERN] [--work DIR] [--show]

--show prints what the table would have to say. Prints `ok NAME` or `FAIL NAME: reason` for each variant, at the end
`N passed, N failed`; exit 0 = all passed, 1 = not, 2 = could not run."""
import argparse, concurrent.futures, fnmatch, os, sys
import lab
from lab import Failed, OurProgram, SyncEvolutionServer

USER, PASSWORD, DEVICES = "alice", "secret", ("kit-1", "kit-2")
VARIANTS = {"xml12": ("xml", "1.2"), "wbxml12": ("wbxml", "1.2"), "xml11": ("xml", "1.1"), "wbxml11": ("wbxml", "1.1"), "xml10": ("xml", "1.0")}
TABLE = os.path.join(lab.HERE, "conformance.txt")


def table():
    """[(variants, id, start of the name, result, reason)]: lines of `variants | id | name | result | reason`."""
    rows = []
    with open(TABLE, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if not line.strip() or line.startswith("#"):
                continue
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) != 5 or cells[3] not in ("fail", "unsupported") or not cells[4]:
                raise Failed("conformance.txt, line %d: not `variants | id | name | fail or unsupported | reason`" % number)
            rows.append(cells)
    return rows


def expected(rows, variant, finding, used):
    for n, (variants, id, name, result, _) in enumerate(rows):
        if any(fnmatch.fnmatchcase(variant, v) for v in variants.split(",")) and id == finding["id"] and finding["name"].startswith(name):
            used.add(n)
            return result
    return "pass"


def play(options, variant, rows, used):
    encoding, version = VARIANTS[variant]
    folder = os.path.join(options.work, "conformance-" + variant)
    server = SyncEvolutionServer(folder + "/server", options.tools, [(d, USER, PASSWORD) for d in DEVICES])
    ours = OurProgram(options.program, folder + "/kit")
    server.start()
    try:
        args = ["conformance", server.url, "--user", USER, "--password-file", ours.secret("password", PASSWORD), "--book", "addressbook", "--device-ids", ",".join(DEVICES),
                "--encoding", encoding, "--version", version, "--json", "--timeout", 60] + (["--only", options.only] if options.only else [])
        out = ours.command(*args, timeout=1800)
        if out.code not in (0, 1):
            raise Failed("exit %d: %s" % (out.code, (out.errors + out.text).strip()[-400:]))
        report = out.json()
        try:
            server.settle(10)
        except Failed:
            pass # A message that it gave up with HTTP 500 may leave it a session that never ends; what was synced is stored.
        left = server.cards()
    finally:
        server.stop()
    wrong = []
    for finding in report["findings"]:
        wanted = expected(rows, variant, finding, used)
        if options.show and finding["result"] != "pass":
            why = finding.get("why") or "%s: expected %s; got %s" % (finding["rule"], finding["expected"], finding["got"])
            print("%s | %s | %s | %s | %s" % (variant, finding["id"], finding["name"], finding["result"], why), flush=True)
        if finding["result"] != wanted:
            wrong.append("%s (%s): %s, the table says %s: %s" % (finding["id"], finding["name"], finding["result"], wanted,
                                                                  finding.get("why") or finding.get("got") or ""))
    if report["left_over"] or left:
        wrong.append("%d cards are left over: %s" % (len(left), report["left_over"]))
    if wrong:
        raise Failed("; ".join(wrong))
    return len(report["findings"])


def main():
    root = os.path.dirname(os.path.dirname(lab.HERE))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=os.environ.get("SYNCML") or lab.default_program())
    p.add_argument("--variants", default="xml12,wbxml12,xml11")
    p.add_argument("--only")
    p.add_argument("--work", default=os.path.join(root, "tests", ".work", "peer"))
    p.add_argument("--show", action="store_true")
    o = p.parse_args()
    if not o.program or not os.access(o.program, os.X_OK):
        print("conformance.py: the program is missing (cargo build --release --features cli, or --program PATH)", file=sys.stderr)
        return 2
    o.program, o.work = os.path.abspath(o.program), os.path.abspath(o.work)
    os.makedirs(o.work, exist_ok=True)
    lab.guard()
    try:
        o.tools, rows, used = lab.make_ready(o.work), table(), set()
    except Failed as e:
        print("conformance.py: %s" % e, file=sys.stderr)
        return 2
    variants, failed = o.variants.split(","), 0
    unknown = [v for v in variants if v not in VARIANTS]
    if unknown:
        p.error("no such variant: %s" % ", ".join(unknown))

    def one(variant):
        try:
            return variant, play(o, variant, rows, used), None
        except Failed as e:
            return variant, 0, e

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for variant, count, error in pool.map(one, variants):
            failed += error is not None
            print("FAIL conformance-%s: %s" % (variant, error) if error else "ok conformance-%s, %d checks" % (variant, count), flush=True)
    if not o.only:
        for n, row in enumerate(rows):
            if n not in used and any(fnmatch.fnmatchcase(v, pattern) for v in variants for pattern in row[0].split(",")):
                failed += 1
                print("FAIL conformance.txt: nothing was %s for: %s" % (row[3], " | ".join(row[:3])), flush=True)
    print("%d passed, %d failed" % (max(0, len(variants) - failed), failed), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
