#!/usr/bin/python3
"""Counts the instructions of six fixed pieces of work, by valgrind, and compares with what is kept beside this file.

    instructions.py [--program target/release/examples/instructions] [--update]

A case that takes more than 5 % more than tests/instructions.json says is an error; --update writes what is counted there, in
the same change as what made it grow. Prints `N passed, M failed`; exit 0 = none grew. The counts are those of one compiler
and of an optimized build; another compiler asks for an --update, too."""
import argparse, json, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = HERE + "/instructions.json"
CASES = ["decode-xml", "decode-wbxml", "encode-wbxml", "drafts", "first-sync", "no-change"]
MOST = 1.05


def count(program, case):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
               "--toggle-collect=instructions::measured*", program, case]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or found.group(1) == "0":
        sys.exit("instructions.py: %s: exit %d: %s" % (case, done.returncode, done.stderr[-2000:]))
    return int(found.group(1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=os.path.dirname(HERE) + "/target/release/examples/instructions")
    p.add_argument("--update", action="store_true")
    options = p.parse_args()
    counted = {case: count(options.program, case) for case in CASES}
    if options.update:
        with open(KEPT, "w") as f:
            json.dump(counted, f, indent=2)
            f.write("\n")
        print(json.dumps(counted))
        return 0
    with open(KEPT) as f:
        kept = json.load(f)
    grown = 0
    for case in CASES:
        share = counted[case] / kept[case]
        print("%s: %d instructions, %+.1f %% of what is kept" % (case, counted[case], 100 * (share - 1)))
        grown += share > MOST
    print("%d passed, %d failed" % (len(CASES) - grown, grown))
    return int(grown > 0)


if __name__ == "__main__":
    sys.exit(main())
