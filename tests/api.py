#!/usr/bin/env python3
"""The public interface of the crate, one line for each item: what a release promises.

    tests/api.py            compares it with tests/api.txt; a line that is gone or other breaks somebody
    tests/api.py --write    writes it

Made of rustdoc's own JSON, which only RUSTC_BOOTSTRAP lets a stable compiler write; nothing else here is unstable.
"""
import json, os, re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests/api.txt"
# Derived everywhere, and in nobody's way.
UNSAID = {"StructuralPartialEq", "Freeze", "Unpin", "UnwindSafe", "RefUnwindSafe", "Send", "Sync"}


def document():
    environment = dict(os.environ, RUSTC_BOOTSTRAP="1", RUSTDOCFLAGS="-Z unstable-options --output-format json")
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    subprocess.run("cargo doc -q --no-deps --lib --all-features".split(), cwd=ROOT, env=environment, check=True)
    return json.loads((Path(target) / "doc/syncml.json").read_text())


class Api:
    def __init__(self, crate):
        self.index, self.files, self.lines = crate["index"], {}, set()
        self.root = crate["root"]

    def source(self, item):
        """What is written of an item, on one line: up to its body."""
        span = item["span"]
        if not span:
            return ""
        if span["filename"] not in self.files:
            self.files[span["filename"]] = (ROOT / span["filename"]).read_text().splitlines()
        lines = self.files[span["filename"]]
        (first, left), (last, right) = span["begin"], span["end"]
        text = lines[first - 1 : last]
        text[-1] = text[-1][:right]
        text[0] = text[0][left - 1 :]
        text = " ".join(line.strip() for line in text if not line.strip().startswith("//"))
        return re.sub(r"\s+", " ", text)

    def signature(self, item, kind):
        text = self.source(item)
        if kind == "function":
            text = text.split(" {")[0]
        elif kind in ("struct", "enum", "trait", "union"):
            text = re.split(r"[{;(]", text)[0]
        elif kind == "constant":
            text = text.split(" = ")[0]
        made_by = re.match(r"(\w+)! ", text)
        if made_by or "$" in text:
            return f"{kind} {item['name']}"
        text = re.sub(r"#\[[^\]]*\] ?", "", text)
        return re.sub(r",? \)", ")", text.replace("( ", "(")).strip().rstrip(",;")

    def walk(self, number, path):
        item = self.index.get(str(number))
        if item is None:
            return
        ((kind, inner),) = item["inner"].items()
        if kind == "use":
            target = self.index.get(str(inner["id"]))
            if target is None:
                self.lines.add(f"{'::'.join(path)}: use {inner['source']}")
            elif inner["is_glob"]:
                self.children(target, path)
            else:
                self.item(target, path + [inner["name"]])
            return
        self.item(item, path + [item["name"]] if item["name"] else path)

    def item(self, item, path):
        ((kind, inner),) = item["inner"].items()
        name = "::".join(path)
        if kind == "module":
            self.children(item, path)
            return
        if kind == "impl":
            return
        self.lines.add(f"{name}: {self.signature(item, kind)}")
        if kind == "struct":
            form = inner["kind"]
            fields = form.get("plain", {}).get("fields", []) if isinstance(form, dict) else []
            tuple_fields = form.get("tuple", []) if isinstance(form, dict) else []
            for number in fields:
                self.walk(number, path)
            for at, number in enumerate(tuple_fields):
                field = self.index.get(str(number)) if number is not None else None
                if field:
                    self.lines.add(f"{name}.{at}: {self.signature(field, 'field')}")
        if kind == "enum":
            for number in inner["variants"]:
                variant = self.index[str(number)]
                self.lines.add(f"{name}::{variant['name']}: {self.signature(variant, 'variant')}")
        if kind == "trait":
            for number in inner["items"]:
                self.walk(number, path)
        derived = [self.impl(self.index.get(str(number)), path) for number in (inner.get("impls", ()) if isinstance(inner, dict) else ())]
        if any(derived):
            self.lines.add(f"{name}: impl {', '.join(sorted(filter(None, derived)))}")

    def impl(self, item, path):
        """Adds what an impl has; the trait's name, if it was derived."""
        if item is None:
            return None
        inner = item["inner"]["impl"]
        if kind_of := inner["trait"]:
            name = kind_of["path"].split("::")[-1]
            if inner["is_synthetic"] or inner["blanket_impl"] or name in UNSAID:
                return None
            text = self.source(item)
            if not text.startswith("impl"):
                return name
            self.lines.add(f"{'::'.join(path)}: {text.split(' {')[0]}")
            return None
        for number in inner["items"]:
            self.walk(number, path)
        return None

    def children(self, item, path):
        for number in item["inner"]["module"]["items"]:
            self.walk(number, path)


def main():
    api = Api(document())
    api.children(api.index[str(api.root)], ["syncml"])
    made = sorted(api.lines)
    if sys.argv[1:] == ["--write"]:
        KEPT.write_text("".join(line + "\n" for line in made))
        return 0
    kept = KEPT.read_text().splitlines()
    gone, new = sorted(set(kept) - set(made)), sorted(set(made) - set(kept))
    for sign, lines in (("-", gone), ("+", new)):
        for line in lines:
            print(sign, line)
    if gone or new:
        print("the public interface is not what tests/api.txt says: tests/api.py --write, and a line in CHANGELOG.md")
        return 1
    print(f"{len(made)} public items")
    return 0


sys.exit(main())
