#!/usr/bin/python3
"""One raw SyncML message over HTTP, and what came back: for tests that need a client which says wrong things on purpose.

    probe.py URL [--device ID] [--user NAME] [--basic PW | --md5 PW | --secret S] [--proto 1.0|1.1|1.2] [--wbxml] [--alert CODE --book URI]

prints HTTP status, content type, and a line per Status of the reply. WBXML goes through libwbxml's tools, not through our codec."""
import argparse, base64, hashlib, http.client, os, re, subprocess, sys, tempfile, urllib.parse
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape
from lab import WBXML, XML, Failed

DEVICE_SCHEME = "x-syncml:auth-device-md5"


def b64md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def basic(user, password):
    return "syncml:auth-basic", base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def md5(user, password, nonce=b"", proto="1.2"):
    """1.1 and later: H(B64(H(user:password)):nonce); 1.0: H(user:password:nonce)."""
    pair = ("%s:%s" % (user, password)).encode()
    return "syncml:auth-md5", b64md5(pair + b":" + nonce) if proto == "1.0" else b64md5(b64md5(pair).encode() + b":" + nonce)


def device(secret, device_id):
    """Base64(MD5(secret, device id))."""
    return DEVICE_SCHEME, b64md5((secret + device_id).encode())


def message(url, source, user=None, cred=None, body="", proto="1.2", session="1", msg=1, final=True):
    """A SyncML message as XML text; `cred` is a pair of scheme and data, `body` the commands as XML."""
    c = ""
    if cred:
        c = "<Cred><Meta><Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>%s</Type></Meta><Data>%s</Data></Cred>" % cred
    name = "<LocName>%s</LocName>" % escape(user) if user is not None else ""
    return ("<?xml version='1.0' encoding='UTF-8'?><SyncML xmlns='SYNCML:SYNCML%s'><SyncHdr><VerDTD>%s</VerDTD><VerProto>SyncML/%s</VerProto><SessionID>%s</SessionID><MsgID>%d</MsgID>"
            "<Target><LocURI>%s</LocURI></Target><Source><LocURI>%s</LocURI>%s</Source>%s<Meta><MaxMsgSize xmlns='syncml:metinf'>150000</MaxMsgSize></Meta></SyncHdr><SyncBody>%s%s</SyncBody></SyncML>"
            % (proto, proto, proto, session, msg, escape(url), escape(source), name, c, body, "<Final/>" if final else ""))


def alert(code, book, number=1, last=None, next_="20260101T000000Z"):
    a = "<Anchor xmlns='syncml:metinf'>%s<Next>%s</Next></Anchor>" % ("<Last>%s</Last>" % last if last else "", next_)
    return "<Alert><CmdID>%d</CmdID><Data>%d</Data><Item><Target><LocURI>%s</LocURI></Target><Source><LocURI>./%s</LocURI></Source><Meta>%s</Meta></Item></Alert>" % (number, code, escape(book), escape(book), a)


def convert(tool, data):
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/in", "wb") as f:
            f.write(data)
        p = subprocess.run([tool, "-o", d + "/out", d + "/in"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        if p.returncode or not os.path.exists(d + "/out"):
            raise Failed("%s: %s" % (tool, p.stdout.decode("utf-8", "replace").strip()))
        with open(d + "/out", "rb") as f:
            return f.read()


class Reply:
    """An HTTP reply; `root` is its SyncML without namespaces, when it holds any."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.kind = (headers.get("Content-Type") or "").split(";")[0].strip().lower()
        self.root = None
        if self.kind in (XML, WBXML):
            text = convert("wbxml2xml", body) if self.kind == WBXML else body
            text = re.sub(rb"<!DOCTYPE[^>]*>", b"", text)
            try:
                self.root = ET.fromstring(text)
            except ET.ParseError as e:
                raise Failed("the reply is not well-formed: %s" % e)
            for e in self.root.iter():
                e.tag = re.sub(r"^\{.*\}", "", e.tag)

    def statuses(self):
        """[(command, MsgRef, CmdRef, code)] in their order."""
        if self.root is None:
            raise Failed("HTTP %d %s instead of a SyncML reply: %r" % (self.status, self.kind, self.body[:200]))
        text = lambda e, p: (e.findtext(p) or "").strip()
        return [(text(s, "Cmd"), text(s, "MsgRef"), text(s, "CmdRef"), int(text(s, "Data"))) for s in self.root.iter("Status")]

    def header_status(self):
        """The code that answers the SyncHdr."""
        for cmd, _, ref, code in self.statuses():
            if cmd == "SyncHdr" or ref == "0":
                return code
        raise Failed("the reply has no Status for SyncHdr")

    def challenges(self):
        """The schemes asked for in Chal elements."""
        return [(c.findtext("Meta/Type") or "").strip() for c in self.root.iter("Chal")]


def post(url, body, kind=XML, timeout=30):
    u = urllib.parse.urlsplit(url)
    c = http.client.HTTPConnection(u.hostname, u.port, timeout=timeout)
    try:
        c.request("POST", (u.path or "/") + ("?" + u.query if u.query else ""), body if isinstance(body, bytes) else body.encode(), {"Content-Type": kind})
        r = c.getresponse()
        return Reply(r.status, r.headers, r.read())
    except (OSError, http.client.HTTPException) as e:
        raise Failed("POST %s: %r" % (url, e))
    finally:
        c.close()


def ask(url, *args, wbxml=False, **more):
    """Builds a message (see `message`), posts it in XML or in WBXML, and returns the reply."""
    text = message(url, *args, **more)
    return post(url, convert("xml2wbxml", text.encode()) if wbxml else text, WBXML if wbxml else XML)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("url")
    p.add_argument("--device", default="probe-1")
    p.add_argument("--user")
    p.add_argument("--basic")
    p.add_argument("--md5")
    p.add_argument("--secret")
    p.add_argument("--proto", default="1.2")
    p.add_argument("--wbxml", action="store_true")
    p.add_argument("--alert", type=int)
    p.add_argument("--book", default="contacts")
    a = p.parse_args()
    cred = basic(a.user, a.basic) if a.basic is not None else md5(a.user, a.md5, proto=a.proto) if a.md5 is not None else device(a.secret, a.device) if a.secret is not None else None
    try:
        r = ask(a.url, a.device, a.user, cred, alert(a.alert, a.book) if a.alert else "", proto=a.proto, wbxml=a.wbxml)
        print("HTTP %d %s, %d bytes" % (r.status, r.kind, len(r.body)))
        for s in r.statuses():
            print("Status %s (message %s, command %s): %d" % s)
        for c in r.challenges():
            print("asks for %s" % c)
    except Failed as e:
        print("probe.py: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
