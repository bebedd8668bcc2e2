#!/usr/bin/python3
"""Compares two books of vCards by content. Shares no code and no table with the engine: it is the second opinion.

    compare.py A B          A and B: folders of cards, or files with one or more cards; exit 0 = equal, 1 = not, 2 = unreadable
    compare.py --self-test  the table of spellings that must (and must not) be taken for equal

A card becomes a sorted list of (name, types, other parameters, value): unfolded, unescaped, base64 and quoted-printable decoded,
types in upper case and in order. Left out: BEGIN END VERSION PRODID REV UID, properties without a value, what a
parameter says about the spelling only (ENCODING, CHARSET, VALUE), the type INTERNET of an EMAIL, groups. Dates lose their dashes, structured values their
trailing empty parts, CATEGORIES and NICKNAME are sets; the order of properties does not count.
Books are multisets of such cards. What XML cannot carry is not expected here; the caller does not generate it."""
import base64, binascii, collections, difflib, hashlib, os, quopri, re, sys

IGNORED = {"BEGIN", "END", "VERSION", "PRODID", "REV", "UID"}
STRUCTURED = {"N", "ADR", "ORG", "GEO"}
LISTS = {"CATEGORIES", "NICKNAME"}
DATES = {"BDAY", "ANNIVERSARY", "X-ANNIVERSARY", "X-EVOLUTION-ANNIVERSARY", "X-KADDRESSBOOK-X-ANNIVERSARY"}
SPELLING = {"ENCODING", "CHARSET", "VALUE"}
ENCODINGS = {"QUOTED-PRINTABLE", "BASE64", "B", "8BIT", "7BIT"}


class Unreadable(Exception):
    """The text is not a vCard."""


def split(text, sep, limit=-1):
    """Splits at unescaped separators; the parts keep their escapes."""
    parts, cur, i = [], "", 0
    while i < len(text):
        if text[i] == "\\" and i + 1 < len(text):
            cur += text[i:i + 2]
            i += 2
        elif text[i] == sep and limit != 0:
            parts.append(cur)
            cur, limit, i = "", limit - 1, i + 1
        else:
            cur += text[i]
            i += 1
    return parts + [cur]


def unescape(text, version):
    if version.startswith("2"):
        text = re.sub(r"\\([;\\])", r"\1", text)
    else:
        text = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) in "nN" else m.group(1), text, flags=re.S)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_head(line):
    """NAME;PARAMS of a content line and its value; a colon in a quoted parameter does not end the head."""
    quoted = False
    for i, c in enumerate(line):
        if c == 0x22:
            quoted = not quoted
        elif c == 0x3A and not quoted:
            return line[:i].decode("utf-8"), line[i + 1:]
    raise Unreadable("no colon in line %r" % line[:60])


def parse(data):
    """Bytes of one card -> (version, [(name, {parameter: [values]}, raw value bytes)])."""
    if isinstance(data, str):
        data = data.encode()
    # Folds go before decoding: a fold may stand inside a UTF-8 sequence.
    data = re.sub(rb"\r?\n[ \t]", b"", data)
    lines = re.split(rb"\r?\n", data)
    props, version, i = [], "", 0
    while i < len(lines):
        line, i = lines[i], i + 1
        if not line.strip():
            continue
        try:
            head, value = split_head(line)
        except UnicodeDecodeError:
            raise Unreadable("a property name that is not UTF-8: %r" % line[:60])
        name, *rest = re.findall(r'(?:[^;"]|"[^"]*"?)+', head)
        name = name.split(".")[-1].upper()
        params = {}
        for p in rest:
            k, eq, v = p.partition("=")
            if not eq:
                k, v = ("ENCODING" if k.upper() in ENCODINGS else "TYPE"), k
            values = [x.strip('"') for x in re.findall(r'(?:[^,"]|"[^"]*"?)+', v)]
            params.setdefault(k.upper(), []).extend(values)
        if params.get("ENCODING", [""])[0].upper() == "QUOTED-PRINTABLE":
            while value.endswith(b"=") and i < len(lines):
                value, i = value[:-1] + lines[i], i + 1
        if name == "VERSION":
            version = value.decode("ascii", "replace").strip()
        props.append((name, params, value))
    if not props or props[0][0] != "BEGIN" or props[-1][0] != "END":
        raise Unreadable("not one BEGIN ... END")
    return version, props


def canonical(data):
    """The card as a sorted tuple of (name, types, parameters, value)."""
    version, props = parse(data)
    out, sets = [], collections.defaultdict(set)
    for name, params, value in props:
        if name in IGNORED:
            continue
        encoding = params.get("ENCODING", [""])[0].upper()
        types = {t.upper() for v in params.get("TYPE", []) for t in v.split(",") if t}
        if "PREF" in params:
            types.add("PREF")
        if name == "EMAIL":
            types.discard("INTERNET")
        others = tuple(sorted((k, tuple(sorted(v))) for k, v in params.items() if k not in SPELLING | {"TYPE", "PREF"}))
        if encoding in ("B", "BASE64"):
            try:
                raw = base64.b64decode(re.sub(rb"\s", b"", value), validate=True)
            except binascii.Error:
                raise Unreadable("base64 of %s is damaged" % name)
            if raw:
                out.append((name, tuple(sorted(types)), others, "%d bytes, sha256 %s" % (len(raw), hashlib.sha256(raw).hexdigest()[:24])))
            continue
        if encoding == "QUOTED-PRINTABLE":
            value = quopri.decodestring(value)
        charset = params.get("CHARSET", ["utf-8"])[0]
        try:
            text = value.decode(charset)
        except (UnicodeDecodeError, LookupError):
            raise Unreadable("%s is not %s: %r" % (name, charset, value[:60]))
        if name in LISTS:
            sets[name] |= {unescape(v, version).strip() for v in split(text, ",")}
            continue
        if name in STRUCTURED:
            parts = [unescape(v, version) for v in split(text, ";")]
            while parts and not parts[-1]:
                parts.pop()
            value = tuple(parts)
        else:
            value = unescape(text, version)
            if name in DATES:
                value = re.sub(r"(?<=\d)[-:](?=\d)", "", value)
        if value:
            out.append((name, tuple(sorted(types)), others, value))
    for name, values in sets.items():
        values.discard("")
        if values:
            out.append((name, (), (), tuple(sorted(values))))
    return tuple(sorted(out, key=repr))


def cards_of(path):
    """A book on disk: {file name (with a running number when it holds several cards): bytes}."""
    files = [path] if os.path.isfile(path) else [os.path.join(path, f) for f in sorted(os.listdir(path))]
    book = {}
    for f in files:
        base = os.path.basename(f)
        if base.startswith(".") or not os.path.isfile(f):
            continue
        data = open(f, "rb").read()
        found = re.findall(rb"BEGIN:VCARD.*?END:VCARD[^\r\n]*", data, re.S | re.I)
        if not found:
            raise Unreadable("%s holds no card" % f)
        for n, c in enumerate(found):
            book[base if len(found) == 1 else "%s#%d" % (base, n + 1)] = c
    return book


def show(prop):
    name, types, others, value = prop
    head = name + "".join(";" + t for t in types) + "".join(";%s=%s" % (k, ",".join(v)) for k, v in others)
    value = repr("; ".join(value) if isinstance(value, tuple) else value)
    return "%s: %s" % (head, value if len(value) < 400 else value[:250] + "... %d characters ..." % len(value) + value[-100:])


def title(card):
    by = {p[0]: p[3] for p in reversed(card)}
    for name in ("FN", "N", "ORG", "EMAIL", "TEL"):
        if name in by:
            return "; ".join(by[name]) if isinstance(by[name], tuple) else by[name]
    return show(card[0]) if card else "(empty card)"


class Report:
    """What differs between two books. True in a condition = they are equal and without duplicates."""

    def __init__(self, a, b, names=("first", "second"), limit=10):
        self.names, self.limit = names, limit
        self.unreadable = []
        self.size = (len(a), len(b))
        self.where = ({}, {})
        counts = []
        for side, book in enumerate((a, b)):
            count = collections.Counter()
            for name, data in book.items():
                try:
                    c = canonical(data)
                except Unreadable as e:
                    self.unreadable.append("%s: %s: %s" % (names[side], name, e))
                    continue
                count[c] += 1
                self.where[side].setdefault(c, []).append(name)
            counts.append(count)
        self.only = (list((counts[0] - counts[1]).elements()), list((counts[1] - counts[0]).elements()))
        self.duplicates = tuple([c for c, n in count.items() if n > 1] for count in counts)

    def __bool__(self):
        return not (self.unreadable or self.only[0] or self.only[1] or self.duplicates[0] or self.duplicates[1])

    def pairs(self):
        """Pairs the left-over cards of both sides that are most alike."""
        rest = list(self.only[1])
        for a in self.only[0]:
            score = [(len(set(a) & set(b)) + 2 * (title(a) == title(b)), -i) for i, b in enumerate(rest)]
            best = max(score, default=(0, 0))
            yield (a, rest.pop(-best[1])) if best[0] > 0 else (a, None)
        for b in rest:
            yield None, b

    def __str__(self):
        a, b = self.names
        if self:
            return "equal: %d cards" % self.size[0]
        out = ["%s holds %d cards, %s %d" % (a, self.size[0], b, self.size[1])]
        out += self.unreadable[:self.limit]
        for side in (0, 1):
            for c in self.duplicates[side][:self.limit]:
                out.append("duplicate in %s: %s (%s)" % (self.names[side], title(c), ", ".join(self.where[side][c])))
        shown = 0
        for x, y in self.pairs():
            shown += 1
            if shown > self.limit:
                out.append("... and more (%d cards only in %s, %d only in %s)" % (len(self.only[0]), a, len(self.only[1]), b))
                break
            if y is None or x is None:
                side = 0 if y is None else 1
                c = x or y
                out.append("only in %s: %s (%s)" % (self.names[side], title(c), ", ".join(self.where[side][c])))
                continue
            out.append("differs: %s (%s in %s, %s in %s)" % (title(x), self.where[0][x][0], a, self.where[1][y][0], b))
            out += ["    %s has  %s" % (a, show(p)) for p in x if p not in y]
            out += ["    %s has  %s" % (b, show(p)) for p in y if p not in x]
            if len(x) != len(set(x)) or len(y) != len(set(y)):
                out += ["    repeated: " + show(p) for p in set(x) | set(y) if x.count(p) != y.count(p)]
        return "\n".join(out)


def self_test():
    v3 = "BEGIN:VCARD\r\nVERSION:3.0\r\n%s\r\nEND:VCARD\r\n"
    v2 = "BEGIN:VCARD\r\nVERSION:2.1\r\n%s\r\nEND:VCARD\r\n"
    table = [  # (equal?, what, one, other)
        (True, "identical", v3 % "FN:A", v3 % "FN:A"),
        (True, "line ends", v3 % "FN:A", (v3 % "FN:A").replace("\r\n", "\n")),
        (True, "order", v3 % "FN:A\r\nTITLE:B", v3 % "TITLE:B\r\nFN:A"),
        (True, "ignored properties", v3 % "FN:A\r\nREV:20200101T000000Z\r\nPRODID:x\r\nUID:1", v3 % "FN:A"),
        (True, "empty properties", v3 % "FN:A\r\nTITLE:\r\nPHOTO:\r\nGEO:;\r\nADR;TYPE=HOME:;;;;;;", v3 % "FN:A"),
        (True, "fold", v3 % "NOTE:one \r\n two", v3 % "NOTE:one two"),
        (True, "fold inside a character", v3 % "NOTE:\u00e4b", (v3 % "NOTE:\u00e4b").encode().replace(b"\xc3\xa4", b"\xc3\r\n \xa4")),
        (True, "escapes", v3 % "NOTE:a\\, b\\; c\\nd", v3 % "NOTE:a, b; c\\Nd"),
        (True, "type lists", v3 % "TEL;TYPE=work,voice:1", v3 % "TEL;TYPE=VOICE;TYPE=WORK:1"),
        (True, "bare types of 2.1", v2 % "TEL;WORK;VOICE:1", v3 % "TEL;TYPE=WORK,VOICE:1"),
        (True, "quoted-printable", v2 % "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J", v3 % "N:M\u00fcller;J;;;"),
        (True, "quoted-printable soft break", v2 % "NOTE;ENCODING=QUOTED-PRINTABLE:ab=\r\ncd=0D=0Aef", v3 % "NOTE:abcd\\nef"),
        (True, "charset", (v2 % "FN;CHARSET=ISO-8859-1:M\u00fcller").encode("latin-1"), v3 % "FN:M\u00fcller"),
        (True, "trailing empty parts", v3 % "ORG:A;B;;", v3 % "ORG:A;B"),
        (True, "dashes of dates", v3 % "BDAY:1990-01-02", v3 % "BDAY;VALUE=date:19900102"),
        (True, "category order", v3 % "CATEGORIES:b,a", v3 % "CATEGORIES:a\r\nCATEGORIES:b"),
        (True, "type INTERNET", v3 % "EMAIL;TYPE=INTERNET,HOME:a@b", v3 % "EMAIL;TYPE=HOME:a@b"),
        (True, "base64 spelling", v3 % "PHOTO;ENCODING=b;TYPE=JPEG:AAEC\r\n AwQ=", v2 % "PHOTO;ENCODING=BASE64;JPEG:AAECAwQ="),
        (True, "group", v3 % "item1.TEL:1", v3 % "TEL:1"),
        (True, "quoted parameter", v3 % 'ADR;X-L="a:b;c":;;S', v3 % 'ADR;X-L="a:b;c":;;S;;;;'),
        (False, "other value", v3 % "FN:A", v3 % "FN:B"),
        (False, "value lost", v3 % "FN:A\r\nTITLE:x", v3 % "FN:A"),
        (False, "other type", v3 % "TEL;TYPE=HOME:1", v3 % "TEL;TYPE=WORK:1"),
        (False, "case of a value", v3 % "FN:a", v3 % "FN:A"),
        (False, "repeated property", v3 % "TEL:1\r\nTEL:1", v3 % "TEL:1"),
        (False, "part moved", v3 % "N:A;B", v3 % "N:A;;B"),
        (False, "separator became text", v3 % "ORG:A\\;B", v3 % "ORG:A;B"),
        (False, "line break lost", v3 % "NOTE:a\\nb", v3 % "NOTE:a b"),
        (False, "backslash doubled", v3 % "NOTE:a\\\\b", v3 % "NOTE:a\\\\\\\\b"),
        (False, "photo damaged", v3 % "PHOTO;ENCODING=b:AAEC", v3 % "PHOTO;ENCODING=b:AAED"),
        (False, "category lost", v3 % "CATEGORIES:a,b", v3 % "CATEGORIES:a"),
        (False, "comma in a category", v3 % "CATEGORIES:a\\,b", v3 % "CATEGORIES:a,b"),
        (False, "mojibake", v3 % "FN:\u00fc", v3 % "FN:\u00c3\u00bc"),
        (False, "other parameter", v3 % "NOTE;LANGUAGE=de:x", v3 % "NOTE;LANGUAGE=en:x"),
    ]
    bad = 0
    for equal, what, one, other in table:
        if (canonical(one) == canonical(other)) != equal:
            bad += 1
            print("FAIL %s: %s" % (what, list(difflib.ndiff([show(p) for p in canonical(one)], [show(p) for p in canonical(other)]))))
    for text in ("", "FN:A", "BEGIN:VCARD\r\nFN:A", v3 % "no colon", v3 % "PHOTO;ENCODING=b:A", (v3 % "FN:\u00fc").encode("latin-1")):
        try:
            canonical(text)
            bad += 1
            print("FAIL: taken for a card: %r" % text)
        except Unreadable:
            pass
    a, b, c = v3 % "FN:A", v3 % "FN:B", v3 % "FN:A\r\nTITLE:x"
    books = [  # (equal?, one, other, in the report)
        (True, [a, b], [b, a], "equal: 2 cards"),
        (False, [a], [a, b], "only in second: B"),
        (False, [a, b], [b], "only in first: A"),
        (False, [a, a], [a, a], "duplicate in first: A"),
        (False, [a], [a, a], "duplicate in second: A"),
        (False, [a, b], [c, b], "second has  TITLE: 'x'"),
        (False, [a, "junk"], [a], "first: 1: no colon"),
        (True, [], [], "equal: 0 cards"),
    ]
    for equal, one, other, text in books:
        r = Report({str(i): x for i, x in enumerate(one)}, {str(i): x for i, x in enumerate(other)})
        if bool(r) != equal or text not in str(r):
            bad += 1
            print("FAIL books %r %r: %s" % (one, other, r))
    n = len(table) + 6 + len(books)
    print("%d passed, %d failed" % (n - bad, bad))
    return 1 if bad else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    try:
        report = Report(cards_of(sys.argv[1]), cards_of(sys.argv[2]), sys.argv[1:3], limit=50)
    except (Unreadable, OSError) as e:
        print("compare.py: %s" % e, file=sys.stderr)
        return 2
    print(report)
    return 0 if report else 1


if __name__ == "__main__":
    sys.exit(main())
