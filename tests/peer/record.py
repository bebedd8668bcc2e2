#!/usr/bin/python3
"""Makes a fixture conversation out of a recorded run.

    record.py OUT SOURCE... [--title T] [--client C] [--server S] [--force]

SOURCE is a session folder of SyncEvolution (loglevel=5: `..._msgMMM_NNN_outgoing.xml`), of its client or, with the directions turned round, of its
server (`--of-server`), or a folder written by lab.Tap. Several sources become consecutive sessions of one conversation. OUT receives

    NNN-c2s.xml|wbxml, NNN-s2c.xml|wbxml    the bodies as they were on the wire, requests and replies numbered in turn
    edits/NNN.vcf                           cards written by hand in between (only when a run of run.py is recorded)
    conversation.toml                       what it is, who speaks, and the steps in their order; an edit names its card by guid and, as guids are new
                                            in every run, by a text that the card `holds`

The last message that SyncEvolution's client dumps without ever sending it is left out."""
import argparse, os, re, shutil, sys
from lab import Failed, write


def quote(text):
    return '"%s"' % "".join({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(c, c if c >= " " else "\\u%04X" % ord(c)) for c in str(text))


def messages_of(folder, of_server=False):
    """[(direction, extension, path)] of a source folder, in the order in which they were said."""
    found = []
    for n in os.listdir(folder):
        tap = re.fullmatch(r"(\d+)-(c2s|s2c)\.(xml|wbxml)", n)
        dump = re.search(r"_msg\d+_(\d+)_(incoming|outgoing)\.(xml|wbxml)$", n)
        if tap:
            found.append((int(tap.group(1)), tap.group(2), tap.group(3), os.path.join(folder, n)))
        elif dump:
            to_server = (dump.group(2) == "outgoing") != of_server
            found.append((int(dump.group(1)), "c2s" if to_server else "s2c", dump.group(3), os.path.join(folder, n)))
    found = [f[1:] for f in sorted(found)]
    while found and found[-1][0] == "c2s":
        found.pop()
    if not found:
        raise Failed("%s holds no recorded messages" % folder)
    for k, (way, _, path) in enumerate(found):
        if way != ("c2s", "s2c")[k % 2]:
            raise Failed("%s: not in turn (a resent message?): %s" % (folder, path))
    return found


def facts(first):
    """Encoding, version, device and user as the first message names them."""
    data = open(first, "rb").read()
    text = data.decode("utf-8", "replace")
    version = re.search(r"SyncML/(1\.\d)", text)
    out = {"encoding": "wbxml" if first.endswith(".wbxml") else "xml", "proto": version.group(1) if version else "1.2"}
    source = re.search(r"<Source>\s*<LocURI>([^<]*)</LocURI>(?:\s*<LocName>([^<]*)</LocName>)?", text)
    if source:
        out["device"] = source.group(1)
        if source.group(2):
            out["user"] = source.group(2)
    return out


def conversation(out, steps, about, force=False):
    """Writes the folder. `steps`: ("exchange", text, [messages]) | ("put", {..}, card bytes) | ("delete", {..}, None)."""
    if os.path.exists(out):
        if not force:
            raise Failed("%s exists (--force replaces it)" % out)
        shutil.rmtree(out)
    first = next(m for kind, _, m in steps if kind == "exchange")[0][2]
    about = dict(facts(first), **about)
    number, edits, lines = 0, 0, []
    for k in ("title", "client", "server", "encoding", "proto", "auth", "device", "user", "password", "book", "note"):
        if about.get(k) is not None:
            lines.append("%s = %s" % (k, quote(about[k])))
    lines.append("# Differ from run to run: SessionID, anchors, nonces and what is computed from them, RespURI tokens, host and port, REV, dates in DevInf.")
    lines.append("volatile = [%s]" % ", ".join(quote(v) for v in ("SessionID", "Anchor", "NextNonce", "Cred/Data", "RespURI", "Target/LocURI")))
    for kind, what, content in steps:
        lines += ["", "[[step]]", "kind = " + quote(kind)]
        if kind == "exchange":
            lines += ["sync = " + quote(what), "first = %d" % (number + 1), "last = %d" % (number + len(content))]
            for way, extension, path in content:
                number += 1
                write("%s/%03d-%s.%s" % (out, number, way, extension), open(path, "rb").read())
            continue
        lines += ["%s = %s" % (k, quote(v)) for k, v in what.items()]
        if content is not None:
            edits += 1
            write("%s/edits/%03d.vcf" % (out, edits), content)
            lines.append('file = "edits/%03d.vcf"' % edits)
    write(out + "/conversation.toml", "\n".join(lines) + "\n")
    return number


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("source", nargs="+")
    p.add_argument("--of-server", action="store_true")
    p.add_argument("--title", default="recorded by tests/peer/record.py")
    p.add_argument("--client")
    p.add_argument("--server")
    p.add_argument("--force", action="store_true")
    a = p.parse_args()
    try:
        steps = [("exchange", os.path.basename(s.rstrip("/")), messages_of(s, a.of_server)) for s in a.source]
        n = conversation(a.out, steps, {"title": a.title, "client": a.client, "server": a.server}, a.force)
    except (Failed, OSError) as e:
        print("record.py: %s" % e, file=sys.stderr)
        return 1
    print("%s: %d messages" % (a.out, n))
    return 0


if __name__ == "__main__":
    sys.exit(main())
