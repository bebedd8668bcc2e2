#!/usr/bin/python3
"""Makes N varied vCards (3.0), the same ones every time, and edits them.      cards.py DIR N [SEED]

All of them lie within what SyncEvolution 2.0 keeps: what it drops (ANNIVERSARY, RELATED, SOUND, KEY, UID, several values where its field list has one) is
in DROPPED_BY_PEER, for tests without it. No two cards are equal, by name neither; every card carries a tag "#00017" in its name,
or in its note when it has no name, by which tests find it again."""
import base64, os, random, re, sys

FIRST = """Anna Jörg María Chloé Liam Noah Zoë Søren Björn Elif Ravi Priya Omar Igor Greta Inés Niamh Seán Łukasz Žofie Ştefan Đorđe Ægir Þóra Nguyễn Kǎtya
 Ольга Дмитро Ελένη Γιώργος 雪 美咲 小明 지훈 민서 فاطمة يوسف שרה דוד สมชาย अनिल தமிழ் ქეთევან Արամ አበበ""".split()
LAST = """Müller Smith García Kowalski O'Neill Rossi Silva Andersson Tanaka Haddad Dubois Novák Horváth Yılmaz Popescu Fischer-Weber Šťastný Ångström Ørsted d'Été Trần
 Иванов Шевченко Παπαδόπουλος 山田 佐藤 王 李 김 박 العربي كوهين לוי ศรีสุข शर्मा მაისურაძე Պետրոսյան ከበደ""".split()
PREFIX = ["", "", "", "Dr.", "Mr.", "Ms.", "Prof. Dr.", "Señora"]
SUFFIX = ["", "", "", "", "Jr.", "MBA", "III"]
CITY = [("Berlin", "BE", "10115", "Germany"), ("Springfield", "IL", "62701", "USA"), ("São Paulo", "SP", "01310-100", "Brasil"), ("Łódź", "ŁD", "90-001", "Polska"), ("Dublin", "L", "D02 X285", "Ireland"),
        ("東京都千代田区", "", "100-0001", "日本"), ("Київ", "", "01001", "Україна"), ("القاهرة", "", "11511", "مصر"), ("서울", "", "04524", "대한민국")]
STREET = ["Main Street", "Hauptstraße", "Rue de la République", "Calle Mayor; 2º, izq.", "Via Roma, interno 3", "丸の内1丁目", "вул. Хрещатик", "Weg\\Pfad"]
ORG = ["Acme Corp.", "Globex, Inc.", "Müller & Söhne GmbH; Co. KG", "株式会社サンプル", "ООО Ромашка", "Back\\slash Ltd.", "R&D <Lab> \"X\"", "Zażółć Sp. z o.o."]
UNIT = ["R&D", "Sales, EMEA", "HR; Legal", "Поддержка", "開発部", ""]
TITLE = ["Engineer", "Sales Manager; Accounts", "Geschäftsführer", "Director, Finance", "エンジニア", "C++/C# <dev>", "Nurse"]
ROLE = ["", "", "", "Owner", "Buyer, 2nd", "Entwicklerin"]
CATEGORY = ["Friends", "Work", "Family", "Bücher", "VIP", "客户", "Клиенты"]
EMOJI = ["😀", "👩‍💻", "🏳️‍🌈", "🇺🇦", "🎂", "👍🏽", "❤️", "𝔘𝔫𝔦", "🫠"]
WORDS = """met at the conference in spring prefers phone calls after lunch speaks three languages likes cycling and hiking follow up on contract before end of quarter
 birthday gift idea coffee beans façade naïve Straße größer été où ça žluťoučký kůň Привет мир Καλημέρα こんにちは 世界 你好 안녕하세요 مرحبا שלום สวัสดี नमस्ते""".split()
TYPES = ["HOME", "WORK", "CELL", "HOME,VOICE", "WORK,VOICE", "HOME,FAX", "WORK,FAX", "CELL,HOME", "CELL,WORK", "PAGER", "CAR", "CELL,PREF", "WORK,VOICE,PREF"]

DROPPED_BY_PEER = ["ANNIVERSARY:2001-02-03", "RELATED;TYPE=spouse:Kim", "SOUND;ENCODING=b;TYPE=WAVE:AAEC", "KEY;ENCODING=b;TYPE=PGP:AAEC", "UID:0b8a0f64-1"]


def escape(text):
    return text.replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;").replace("\n", "\\n")


def fold(line, width=75):
    """Folds at `width` bytes, never inside a character."""
    out, cur, size = [], "", 0
    for c in line:
        n = len(c.encode())
        if size + n > width:
            out.append(cur)
            cur, size = " ", 1
        cur, size = cur + c, size + n
    return "\r\n".join(out + [cur])


def unfold(card):
    return re.sub(r"\r?\n[ \t]", "", card)


def build(lines):
    return ("\r\n".join(fold(x) for x in ["BEGIN:VCARD", "VERSION:3.0"] + lines + ["END:VCARD"]) + "\r\n").encode()


def photo(r, size=6000):
    """Not a picture, but it begins and ends like one; about 8 KB as base64."""
    return "PHOTO;ENCODING=b;TYPE=JPEG:" + base64.b64encode(b"\xff\xd8\xff\xe0" + r.randbytes(size - 6) + b"\xff\xd9").decode()


def card(i, seed=0):
    """Card number i of a seed, as bytes."""
    r = random.Random(1000003 * i + 7919 * seed)
    tag = "#%05d" % (i + 100000 * seed if seed else i)
    kind = i % 25
    words = lambda n: " ".join(r.choice(WORDS) for _ in range(n))
    first, last, middle = r.choice(FIRST), r.choice(LAST), r.choice(["", "", r.choice(FIRST)])
    if kind == 7:  # very short
        return build(["N:%s;;;;" % tag, "FN:%s" % tag])
    if kind == 13:  # without a name: a company, or only a number and a note
        lines = ["N:;;;;"] + (["ORG:" + escape(r.choice(ORG) + " " + tag)] if i % 2 else [])
        return build(lines + ["TEL;TYPE=WORK:+49 30 %07d" % r.randrange(10 ** 7), "NOTE:" + escape("%s %s" % (tag, words(4)))])
    name = "N:" + ";".join(escape(x) for x in ("%s" % last, "%s %s" % (first, tag), middle, r.choice(PREFIX), r.choice(SUFFIX)))
    full = "%s %s %s" % (first, tag, last)
    if kind == 3:
        full = "%s %s %s" % (full, r.choice(EMOJI), r.choice(EMOJI))
    if kind == 4:  # right to left, with marks of direction
        full = "\u200f%s %s\u200e %s" % ("محمد", "عبد الله", tag)
    lines = [name, "FN:" + escape(full)]
    if r.random() < .5:
        lines.append("NICKNAME:" + escape(first.lower()))
    if r.random() < .7:
        lines.append("ORG:" + ";".join(escape(x) for x in ([r.choice(ORG), r.choice(UNIT), r.choice(UNIT)][:r.randrange(1, 4)])))
        lines.append("TITLE:" + escape(r.choice(TITLE)))
    role = r.choice(ROLE)
    if role:
        lines.append("ROLE:" + escape(role))
    for t in r.sample(TYPES, r.randrange(0, 5)):
        lines.append("TEL;TYPE=%s:%s" % (t, r.choice(["+49 17%d %07d", "+1 (555) %d00-%07d", "0%d1/%07d", "+81-%d-%07d,,12#", "*31#%d%d"]) % (r.randrange(10), r.randrange(10 ** 7))))
    for t in r.sample(["HOME", "WORK", None], r.randrange(0, 4)):
        lines.append("EMAIL%s:%s.%d.%s@example.com" % (";TYPE=" + t if t else "", "user", r.randrange(1000), (t or "x").lower()))
    for t in r.sample(["HOME", "WORK"], r.randrange(0, 3)):
        c = r.choice(CITY)
        lines.append("ADR;TYPE=%s:" % t + ";".join(escape(x) for x in ["", r.choice(["", "", "3. OG"]), "%d %s" % (r.randrange(1, 300), r.choice(STREET))] + list(c)))
    if r.random() < .6:
        lines.append("BDAY:%04d-%02d-%02d" % (r.randrange(1925, 2020), r.randrange(1, 13), r.randrange(1, 29)))
    for t in r.sample(["HOME", "WORK"], r.choice([0, 0, 1, 2])):
        lines.append("URL;TYPE=%s:https://example.com/~%d/?q=a&b=%%20#x" % (t, r.randrange(10 ** 6)))
    if r.random() < .4:
        lines.append("CATEGORIES:" + ",".join(escape(x) for x in sorted(r.sample(CATEGORY, r.randrange(1, 4)))))
    if kind in (5, 6):
        lines += ["IMPP:xmpp:user%d@example.com" % i, "GEO:%d.5;-%d.25" % (i % 90, i % 180), "X-CUSTOM-%d:%s" % (kind, escape("own, property; ü")), "TEL:112", "ADR:;;no type;;;;"]
    if kind == 0:  # very long, several paragraphs
        lines.append("NOTE:" + escape("\n\n".join(words(r.randrange(60, 120)) for _ in range(5))))
    elif kind == 11:  # what a careless parser trips over
        lines.append("NOTE:" + escape("a,b;c\\d \"q\" <![CDATA[x]]> &amp; &lt; ]]> END:VCARD\nBEGIN:VCARD\n=3D=C3 %s 100% \\n" .replace("%s", r.choice(EMOJI))))
    elif r.random() < .7:
        lines.append("NOTE:" + escape(words(r.randrange(3, 45)) + r.choice(["", "", " " + r.choice(EMOJI), "\n" + words(6)])))
    if i % 50 == 25:
        lines.append(photo(r))
    return build(lines)


def tag_of(data):
    m = re.search(rb"#\d{5,}", re.sub(rb"\r?\n[ \t]", b"", data))
    return m.group(0).decode() if m else None


def book(n, seed=0):
    """{file name: bytes} of n cards."""
    return {"c%05d.vcf" % i: card(i, seed) for i in range(1, n + 1)}


def changed(data, k, who):
    """The card edited the way people do, in a manner that depends on k; `who` shows in the result."""
    lines = re.split(r"\r?\n", unfold(data.decode()).strip())
    body = [x for x in lines if not re.match(r"(BEGIN|VERSION|END|REV|PRODID)\b", x)]

    def without(name):
        return [x for x in body if not re.match(name + r"[;:]", x)]
    if k % 4 == 0:
        body = without("TITLE") + ["TITLE:" + escape("Changed by %s, %d; Größe 😀" % (who, k))]
    elif k % 4 == 1:
        body = body + ["TEL;TYPE=CELL,WORK:+44 20 %07d" % (7654321 + k)]
    elif k % 4 == 2:
        note = [x for x in body if x.startswith("NOTE:")]
        body = without("NOTE") + [(note[0] if note else "NOTE:") + escape("\nchanged by %s: 変更 %d" % (who, k))]
    else:
        body = without("URL") + ["URL;TYPE=WORK:https://example.org/%s/%d" % (who, k)]
    return build(body)


def main():
    folder, n = sys.argv[1], int(sys.argv[2])
    os.makedirs(folder, exist_ok=True)
    total = 0
    for name, data in book(n, int(sys.argv[3]) if len(sys.argv) > 3 else 0).items():
        total += len(data)
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    print("%d cards, %d bytes" % (n, total))


if __name__ == "__main__":
    main()
