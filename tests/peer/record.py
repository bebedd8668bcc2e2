"""Keeps a run as a fixture conversation (fixtures/README.md): the bodies as they were on the wire, the cards that were put,
changed and deleted on the server in between, and conversation.json. `SYNCML_BLESS=1 cargo test --test conversations` then
turns the bodies into readable XML without addresses, and writes what the books hold in the end."""
import json, os, re, shutil
from lab import Failed, write


def messages_of(folder):
    """[(direction, extension, path)] of what lab.Tap kept, in the order in which it was said."""
    found = [m for m in (re.fullmatch(r"(\d+)-(c2s|s2c)\.(xml|wbxml)", n) for n in os.listdir(folder)) if m]
    found = [(m.group(2), m.group(3), os.path.join(folder, m.group(0))) for m in sorted(found, key=lambda m: int(m.group(1)))]
    for k, (way, _, path) in enumerate(found):
        if way != ("c2s", "s2c")[k % 2]:
            raise Failed("%s: not in turn: %s" % (folder, path))
    return found


def conversation(out, steps, about):
    """Writes the folder. `steps`: ("exchange", text, [messages]) | ("put" | "replace" | "delete", {"account", "book", "holds"}, card or None)."""
    shutil.rmtree(out, ignore_errors=True)
    number, before = 0, {}
    for kind, what, content in steps:
        if kind == "exchange":
            for way, extension, path in content:
                number += way == "c2s"
                with open(path, "rb") as f:
                    write("%s/%02d-%s.%s" % (out, number, {"c2s": "request", "s2c": "reply"}[way], extension), f.read())
            continue
        edits = before.setdefault(str(number + 1), [])
        edit = {"do": kind, "account": what["account"], "book": what["book"]}
        if kind != "put":
            edit["holds"] = what["holds"]
        if content is not None:
            edit["card"] = "%02d-before-%d.vcf" % (number + 1, len(edits) + 1)
            write("%s/%s" % (out, edit["card"]), content)
        edits.append(edit)
    about = dict(about, volatile=["RespURI", "NextNonce", "Anchor", "GUID", "Version"], before=before)
    write(out + "/conversation.json", json.dumps(about, ensure_ascii=False, indent=2) + "\n")
