#!/usr/bin/python3
"""What other programs make of the documents that `syncml` writes, and what it makes of theirs (missions I1, I3, I6, I7): LibreOffice, openpyxl,
python-docx and poppler, cell by cell.

    tests/documents.py --program target/release/syncml [--keep FOLDER] [--pictures FOLDER]

Needs libreoffice-calc-nogui, libreoffice-writer-nogui, python3-openpyxl, python3-docx and poppler-utils.
"""
import argparse
import csv
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import docx
    import openpyxl
except ImportError as error:
    sys.exit(f"tests/documents.py: {error}; install python3-openpyxl and python3-docx")

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures/interchange"
FIELDS = "fn,tel.mobile,tel.work,email,org.name,adr.home.street,adr.home.code,adr.home.city,bday,note"
PEOPLE = [
    ("Ann Doe", "+46 70 1740601", "030 1234567", "ann@example.org", 'X, "Y" & <Z>', "Weg 1", "01234", "Bonn", "1990-02-03", "first line\nsecond line"),
    ("王小明", "13800138000", "", "", "某公司", "长安街 1 号", "100000", "北京", "", "第一行\n第二行"),
    ("Zoë Müller", "00123", "", "zoe.mueller@verkauf.example.org", "", "", "", "", "", "  two  spaces"),
    ("李雷", "004930555000", "5550001", "", "=1+1", "", "", "", "", "_x0041_"),
]


def card(person):
    name, mobile, work, mail, org, street, code, city, bday, note = person

    def text(value):
        for char, by in (("\\", "\\\\"), (",", "\\,"), (";", "\\;"), ("\n", "\\n")):
            value = value.replace(char, by)
        return value
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{text(name)}", f"N:{text(name)};;;;"]
    lines += [f"TEL;TYPE=CELL:{mobile}"] if mobile else []
    lines += [f"TEL;TYPE=WORK:{work}"] if work else []
    lines += [f"EMAIL:{mail}"] if mail else []
    lines += [f"ORG:{text(org)}"] if org else []
    lines += [f"ADR;TYPE=HOME:;;{text(street)};{text(city)};;{code};"] if street else []
    lines += [f"BDAY:{bday}"] if bday else []
    lines += [f"NOTE:{text(note)}"] if note else []
    return "\r\n".join([*lines, "END:VCARD", ""])


class Judge:
    def __init__(self, program, work):
        self.program, self.work, self.passed, self.failed = program, work, 0, 0

    def equal(self, what, found, wanted):
        if found == wanted:
            self.passed += 1
            return
        self.failed += 1
        print(f"{what}:\n  found  {found!r}\n  wanted {wanted!r}")

    def holds(self, what, text, pieces):
        """A page has broken lines, so that white space says nothing."""
        bare = "".join(text.split())
        missing = [piece for piece in pieces if "".join(piece.split()) not in bare]
        self.equal(what, missing, [])

    def syncml(self, *args):
        return subprocess.run([self.program, *map(str, args)], capture_output=True, text=True, check=False)

    def written(self, source, name, *more):
        to = self.work / name
        done = self.syncml("convert", source, "--to", to, *more)
        if done.returncode != 0:
            sys.exit(f"tests/documents.py: {name}: {done.stdout}{done.stderr}")
        return to

    def office(self, to, *files):
        """LibreOffice's own version of files; started once for all of them."""
        out = self.work / "office"
        out.mkdir(exist_ok=True)
        profile = f"-env:UserInstallation=file://{self.work}/profile"
        subprocess.run(["soffice", profile, "--headless", "--convert-to", to, "--outdir", out, *files],
                       check=True, capture_output=True, timeout=120)
        return [out / (pathlib.Path(file).stem + "." + to.split(":")[0]) for file in files]


def rows(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return [[cell.replace("\r\n", "\n") for cell in row] for row in csv.reader(file)]


def spreadsheets(judge, cards):
    head = rows(judge.written(cards, "names.csv", "--fields", FIELDS))[0]
    wanted = [head, *map(list, PEOPLE)]
    # A space at the beginning of a text says nothing in a card's value, and is not written.
    for row in wanted[1:]:
        row[-1] = row[-1].strip()
    files = [judge.written(cards, "sheet-x.xlsx", "--fields", FIELDS), judge.written(cards, "sheet-o.ods", "--fields", FIELDS)]
    for path in judge.office("csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false", *files):
        judge.equal(f"{path.name} by LibreOffice", rows(path), wanted)
    book = openpyxl.load_workbook(files[0])
    cells = [[cell.value or "" for cell in row] for row in book.active.iter_rows()]
    judge.equal("by openpyxl", [[str(cell) for cell in row] for row in cells],
                [[cell.replace("_x0041_", "_x005F_x0041_") if isinstance(cell, str) else cell for cell in row] for row in wanted])
    judge.equal("all cells are text", {cell.data_type for row in book.active.iter_rows() for cell in row if cell.value}, {"s"})
    # And back, from what LibreOffice makes of them.
    for path in judge.office("ods", files[0]) + judge.office("xlsx", files[1]):
        judge.equal(f"{path.name} of LibreOffice", rows(judge.written(path, path.name + ".csv", "--fields", FIELDS)),
                    rows(judge.written(cards, path.name + ".wanted.csv", "--fields", FIELDS)))
    whole = judge.written(cards, "whole.xlsx")
    judge.equal("every column", [cell.value for cell in openpyxl.load_workbook(whole).active[1]], rows(judge.written(cards, "whole.csv"))[0])


def documents(judge, cards):
    table = judge.written(cards, "table.docx", "--fields", "fn,tel.mobile,email,note")
    blocks = judge.written(cards, "blocks.docx")
    found = [[cell.text for cell in row.cells] for row in docx.Document(table).tables[0].rows]
    wanted = [["Name", "Mobile", "E-mail", "Note"]] + [[p[0], p[1], p[3], p[9].strip()] for p in PEOPLE]
    judge.equal("by python-docx", found, wanted)
    headings = [p.text for p in docx.Document(blocks).paragraphs if p.style.name.lower() == "heading 2"]
    judge.equal("headings by python-docx", headings, [person[0] for person in PEOPLE])
    said = [piece for person in PEOPLE for piece in person if piece and piece != "1990-02-03"] + ["1990-02-03"]
    for path in judge.office("txt:Text (encoded):UTF8", blocks):
        judge.holds("blocks.docx by LibreOffice", path.read_text(encoding="utf-8-sig"), said)
    for path in judge.office("docx", table):
        judge.equal("table.docx of LibreOffice", rows(judge.written(path, "again.csv", "--fields", "fn,tel.mobile,email")),
                    rows(judge.written(cards, "again.wanted.csv", "--fields", "fn,tel.mobile,email")))
    pages = judge.office("pdf", table, blocks)
    for path in pages:
        judge.holds(f"{path.name} as pages", pdf_text(path), [person[0] for person in PEOPLE])
    return pages


def pdf_text(path):
    return subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout


def lists(judge, cards):
    path = judge.written(cards, "list.pdf")
    judge.holds("list.pdf", pdf_text(path), [piece for person in PEOPLE for piece in person[:5] if piece] + ["长安街 1 号", "Weg 1", "1 / 1"])
    fonts = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
    judge.equal("fonts are within", [line.split()[-5:-2] for line in fonts], [["yes", "yes", "yes"]] * len(fonts))
    many = judge.work / "many.vcf"
    people = [(f"{name} {at}", f"138{at:08}", "", f"p{at}@example.org", "某公司 & Co", "长安街 1 号", "100000", "北京", "", "")
              for at in range(500) for name in ["Ann Doe" if at % 2 else "王小明"]]
    many.write_text("".join(card(person) for person in people), encoding="utf-8", newline="")
    path = judge.written(many, "many.pdf")
    text = pdf_text(path)
    judge.holds("many.pdf", text, [piece for person in people for piece in (person[0], person[1], person[3])])
    pages = text.count("\f")
    judge.equal("the head is on every page", sum(page.split()[:2] == ["Name", "Company"] for page in text.split("\f")), pages)
    judge.holds("pages are numbered", text, [f"{page} / {pages}" for page in range(1, pages + 1)])
    return path


def others(judge):
    """Files of others, made anew with what is installed here."""
    for name in ("openpyxl.xlsx", "libreoffice.xlsx", "libreoffice.ods", "python-docx-table.docx", "libreoffice.docx", "python-docx-text.docx"):
        found = rows(judge.written(FIXTURES / name, name + ".csv", "--fields", "fn,tel.mobile"))[1:]
        judge.equal(name, found, [["Ann Doe", "13800138000"], ["王小明", "13900139000"], ["李雷", "004930555000"]])


def pictures(folder, **files):
    """What people see, as small pictures."""
    for name, path in files.items():
        subprocess.run(["pdftoppm", "-png", "-r", "60", "-f", "1", "-l", "1", "-singlefile", path, folder / name], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/release/syncml")
    parser.add_argument("--pictures", type=pathlib.Path)
    args = parser.parse_args()
    missing = [tool for tool in ("soffice", "pdftotext", "pdffonts", "pdftoppm") if not shutil.which(tool)]
    if missing:
        sys.exit(f"tests/documents.py: {', '.join(missing)} not found; install libreoffice-calc-nogui, libreoffice-writer-nogui, poppler-utils")
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(pathlib.Path(args.program).resolve(), pathlib.Path(folder))
        cards = judge.work / "people.vcf"
        cards.write_text("".join(map(card, PEOPLE)), encoding="utf-8", newline="")
        others(judge)
        spreadsheets(judge, cards)
        table, blocks = documents(judge, cards)
        printed = lists(judge, cards)
        if args.pictures:
            pictures(args.pictures, **{"document-table": table, "document-blocks": blocks, "document-list": printed})
    print(f"{judge.passed} passed, {judge.failed} failed")
    sys.exit(judge.failed > 0)


main()
