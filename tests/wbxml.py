#!/usr/bin/python3
"""Cross-checks messages with libwbxml, in both directions: every *.wbxml below the given folders must decode with wbxml2xml
to well-formed SyncML, every *.xml that is SyncML must encode with xml2wbxml (the version is taken from its content).

    wbxml.py DIR...          prints "N passed, N failed"; exit 0 only when nothing failed and something passed"""
import os, pathlib, re, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from xml.parsers import expat

# How the WBXML of an XML message must begin after its first byte: the public id of its VerDTD, 0x0FD1, 0x0FD3 or 0x1201.
PUBLIC_ID = {b"1.0": b"\x9f\x51", b"1.1": b"\x9f\x53", b"1.2": b"\xa4\x01"}
VERSION = re.compile(rb"<(?:[A-Za-z]+:)?VerDTD[^>]*>\s*(1\.[0-9])")
ROOT = re.compile(rb"<(?:[A-Za-z]+:)?SyncML[ >/]")
# What XML cannot carry, and what is no UTF-8.
UNREADABLE = dict.fromkeys([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20)])


def convert(tool, path, *options):
    """The output of a tool of libwbxml, or what it complains about as text."""
    with tempfile.NamedTemporaryFile() as out:
        try:
            run = subprocess.run([tool, *options, "-o", out.name, path], capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return "no end after 60 s"
        written = pathlib.Path(out.name)
        if run.returncode:
            return (run.stdout + run.stderr).decode(errors="replace").strip().replace("\n", " ") or f"exit {run.returncode}"
        return written.read_bytes() if written.exists() else b""


def decode(path):
    """What is wrong with a WBXML message, or nothing."""
    xml = convert("wbxml2xml", path)
    if isinstance(xml, str):
        return xml
    if b"<SyncML" not in xml:
        return "decoded, but not to SyncML"
    # Opaque data may be any bytes (SyncEvolution sends an MD5 digest of SyncML 1.0 raw), and libwbxml writes them into its
    # XML as they are, "]]>" inside CDATA too. They are cleared away before looking; with "]]>" inside, its XML cannot be judged.
    if b"]]>" in path.read_bytes():
        return None
    clean = xml.decode(errors="ignore").translate(UNREADABLE).encode()
    try:
        expat.ParserCreate().Parse(clean, True)
    except expat.ExpatError as error:
        return f"decodes to broken XML: {error}"
    return None


def encode(path):
    """What is wrong with an XML message, or nothing; False if it is none to judge."""
    text = path.read_bytes()
    # A Property that stands alone, as in the field part of a filter (§3.16): libwbxml knows it within a DevInf only.
    if not ROOT.search(text) or b"<Data><Property " in text:
        return False
    wbxml = convert("xml2wbxml", path, "-n")
    if isinstance(wbxml, str):
        return wbxml
    if not wbxml:
        return "encoded to nothing"
    version = VERSION.search(text)
    wanted = version and PUBLIC_ID.get(version[1])
    if wanted and wbxml[1:3] != wanted:
        return "encoded as another version than its VerDTD"
    return None


def main():
    folders = sys.argv[1:]
    if not folders or folders[0].startswith("-"):
        sys.exit(__doc__)
    for tool in "wbxml2xml", "xml2wbxml":
        if not shutil.which(tool):
            sys.exit(f"wbxml.py: {tool} is missing (apt-get install libwbxml2-utils)")
    missing = [folder for folder in folders if not os.path.exists(folder)]
    if missing:
        sys.exit(f"wbxml.py: no such folder: {missing[0]}")
    files = sorted(path for folder in folders for path in pathlib.Path(folder).rglob("*") if path.suffix in (".xml", ".wbxml"))
    passed = failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, wrong in zip(files, pool.map(lambda path: (decode if path.suffix == ".wbxml" else encode)(path), files)):
            if wrong:
                failed += 1
                print(f"FAIL {path}: {wrong}")
            elif wrong is None:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
