"""Judges HTML: elements nest and end, ids are unique, what is referred to is there. Knows nothing of the program."""
from html.parser import HTMLParser

VOID = {"br", "hr", "img", "input", "link", "meta"}
PLAIN = {"a", "bdi", "body", "button", "code", "dd", "del", "details", "div", "dl", "dt", "fieldset", "form", "h1", "h2", "h3", "head", "header",
         "html", "ins", "label", "legend", "li", "main", "nav", "option", "p", "script", "section", "select", "small", "span", "strong",
         "summary", "table", "tbody", "td", "textarea", "th", "thead", "time", "title", "tr", "ul"}
# What a paragraph cannot hold: a parser would end it before.
BLOCK = {"div", "dl", "details", "fieldset", "form", "h1", "h2", "h3", "header", "main", "nav", "p", "section", "table", "ul"}


class Judge(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.problems, self.ids, self.refers, self.inputs, self.labels = [], [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        values = dict(attributes)
        if tag not in PLAIN and tag not in VOID:
            self.problems.append(f"<{tag}> is unknown")
        if len(set(names)) != len(names):
            self.problems.append(f"<{tag}> has an attribute twice")
        if any(name.startswith("on") or name == "style" for name in names):
            self.problems.append(f"<{tag}> has inline script or style")
        if tag in BLOCK and "p" in self.open:
            self.problems.append(f"<{tag}> in a paragraph")
        if tag == "li" and self.open[-1:] != ["ul"] or tag in ("td", "th") and self.open[-1:] != ["tr"]:
            self.problems.append(f"<{tag}> in <{self.open[-1] if self.open else ''}>")
        if "id" in values:
            self.ids.append(values["id"])
        for name in ("for", "aria-labelledby", "aria-controls"):
            if name in values:
                self.refers.append(values[name])
        if tag in ("input", "select", "textarea") and values.get("type") != "hidden":
            self.inputs.append(values.get("id"))
        if tag == "label":
            self.labels.append(values.get("for"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID or not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> ends nothing")

    def finish(self):
        self.close()
        self.problems += [f"<{tag}> does not end" for tag in self.open]
        self.problems += [f"id {one} twice" for one in sorted(set(self.ids)) if self.ids.count(one) > 1]
        self.problems += [f"{one} is referred to and not there" for one in self.refers if one not in self.ids]
        self.problems += [f"input {one} has no label" for one in self.inputs if one not in self.labels]
        return self.problems


def problems(text):
    judge = Judge()
    judge.feed(text)
    found = judge.finish()
    if not text.startswith("<!DOCTYPE html>\n<html lang=\""):
        found.append("no doctype or language")
    return found


def self_test():
    good = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>x</title></head><body><p><label for=\"a\">A</label><input id=\"a\"></p></body></html>"
    assert problems(good) == [], problems(good)
    for old, new in [("</p>", ""), ("</label>", "</b>"), ("<p>", "<p><div></div>"), ("id=\"a\"", "id=\"b\""), ("<p>", "<p onclick=\"x\">"),
                     ("<p>", "<blink></blink><p>"), ("<p>", "<p id=\"a\">"), ("<!DOCTYPE html>", ""), ("<p>", "<li></li><p>")]:
        assert problems(good.replace(old, new)), (old, new)
