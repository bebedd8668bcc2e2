//! Decoding allocates in proportion to its input and within its limits, whatever the input is (I7). One test only: the
//! allocator counts everything that happens in the process.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use syncml::codec::{Encoding, Limits, decode};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an element may cost, growth of lists included.
const PER_ELEMENT: usize = 1_300;
/// What a byte may cost beyond the elements: the text itself, and its copy while it is put together.
const PER_BYTE: usize = 4;

const XML_HEADER: &str = "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID>\
    <MsgID>1</MsgID><Target><LocURI>s</LocURI></Target><Source><LocURI>d</LocURI></Source></SyncHdr><SyncBody>";
const WBXML_HEADER: &[u8] = b"\x6D\x6C\x71\x031.2\0\x01\x72\x03SyncML/1.2\0\x01\x65\x031\0\x01\x5B\x031\0\x01\
    \x6E\x57\x03s\0\x01\x01\x67\x57\x03d\0\x01\x01\x01\x6B";

fn xml(body: &str) -> Vec<u8> {
    [XML_HEADER, body].concat().into_bytes()
}

fn wbxml(table: &[u8], body: &[u8]) -> Vec<u8> {
    let length = [0x80 | (table.len() >> 14) as u8, 0x80 | (table.len() >> 7) as u8, (table.len() & 0x7F) as u8];
    [&b"\x02\xA4\x01\x6A"[..], &length, table, WBXML_HEADER, body].concat()
}

#[test]
fn allocation_is_bounded() {
    let limits = Limits { max_elements: 20_000, ..Limits::default() };
    let table = [vec![b'a'; 60_000], vec![0]].concat();
    let put = |data: &[u8]| [&b"\x5F\x4B\x031\0\x01\x54\x4F"[..], data, b"\x01\x01\x01"].concat();
    let cases: Vec<(&str, Encoding, Vec<u8>)> = vec![
        ("items", Encoding::Xml, xml(&["<Put><CmdID>1</CmdID>", &"<Item/>".repeat(100_000)].concat())),
        ("items", Encoding::Wbxml, wbxml(b"", &[&b"\x5F\x4B\x031\0\x01"[..], &[0x14; 100_000]].concat())),
        ("items with meta", Encoding::Wbxml, wbxml(b"", &b"\x54\x1A\x01".repeat(50_000))),
        ("commands", Encoding::Xml, xml(&"<Add><CmdID/></Add>".repeat(100_000))),
        ("commands", Encoding::Wbxml, wbxml(b"", &b"\x45\x0B\x01".repeat(100_000))),
        ("commands with an item", Encoding::Wbxml, wbxml(b"", &b"\x45\x0B\x14\x01".repeat(100_000))),
        ("unknown commands", Encoding::Xml, xml(&"<X/>".repeat(100_000))),
        ("unknown commands", Encoding::Wbxml, wbxml(b"", &[0x3D; 100_000])),
        ("a deep tree", Encoding::Xml, xml(&"<Sequence><CmdID/>".repeat(100_000))),
        ("a deep tree", Encoding::Wbxml, wbxml(b"", &[0x64; 100_000])),
        ("references", Encoding::Xml, xml(&["<Put><CmdID>1</CmdID><Item><Data>", &"&lt;".repeat(500_000)].concat())),
        (
            "sections",
            Encoding::Xml,
            xml(&["<Put><CmdID>1</CmdID><Item><Data>", &"<![CDATA[]]>x".repeat(100_000)].concat()),
        ),
        ("long names", Encoding::Xml, xml(&format!("<{0}><{0}>", "n".repeat(1_000_000)))),
        ("attributes", Encoding::Xml, xml(&format!("<Add {}>", "a='b' ".repeat(300_000)))),
        ("references into the table", Encoding::Wbxml, wbxml(&table, &put(&b"\x83\x00".repeat(1_000_000)))),
        ("elements from the table", Encoding::Wbxml, wbxml(&table, &put(b"\x83\x00\x83\x00").repeat(10_000))),
        ("pieces", Encoding::Wbxml, wbxml(b"", &put(&b"\x03x\0\xC3\x01y".repeat(300_000)))),
        ("an opaque block of 4 GiB", Encoding::Wbxml, wbxml(b"", &put(b"\xC3\x8F\xFF\xFF\xFF\x7F"))),
        (
            "a quoted document",
            Encoding::Xml,
            xml(&format!("<Put><CmdID/><Item><Data>&lt;DevInf>{}", "&lt;Ext/>".repeat(100_000))),
        ),
    ];
    for (name, encoding, bytes) in cases {
        let region = Region::new(ALLOCATOR);
        let result = decode(&bytes, encoding, &limits);
        let allocated = region.change().bytes_allocated;
        let bound = PER_ELEMENT * limits.max_elements.min(bytes.len()) + PER_BYTE * bytes.len().max(limits.max_message);
        println!(
            "{name} ({encoding:?}): {} bytes, {allocated} allocated, {}",
            bytes.len(),
            result.as_ref().map_or_else(ToString::to_string, |_| "read".to_owned())
        );
        assert!(allocated <= bound, "{name} ({encoding:?}): {allocated} of {bound}");
    }
}
