//! How peers write WBXML, and how we do.

use super::first_data;
use crate::codec::{Encoding, Limits, decode, decode_devinf, encode, encode_command, encode_devinf};
use crate::message::{
    Change, CmdId, Command, Cred, Data, DevInf, Header, Item, Location, Message, Meta, MsgId, Op, SessionId, Version,
};

const HEADER_1_2: &[u8] = b"\x02\xA4\x01\x6A\x00";

/// A leaf with an inline string.
fn leaf(token: u8, text: &str) -> Vec<u8> {
    [&[token | 0x40, 3], text.as_bytes(), &[0, 1]].concat()
}

/// A message with that document header, root tag and body.
fn message(document: &[u8], root: &[u8], body: &[u8]) -> Vec<u8> {
    let locations = [&b"\x6E"[..], &leaf(0x17, "s"), b"\x01\x67", &leaf(0x17, "d"), b"\x01"].concat();
    let parts: [&[u8]; 11] = [
        document,
        root,
        b"\x6C",
        &leaf(0x31, "1.2"),
        &leaf(0x32, "SyncML/1.2"),
        &leaf(0x25, "1"),
        &leaf(0x1B, "1"),
        &locations,
        b"\x01\x6B",
        body,
        b"\x01\x01",
    ];
    parts.concat()
}

fn read(bytes: &[u8]) -> Message<'_> {
    decode(bytes, Encoding::Wbxml, &Limits::default()).unwrap_or_else(|error| panic!("{error} {bytes:02X?}"))
}

/// A Put of that data.
fn put(data: &[u8]) -> Vec<u8> {
    [&b"\x5F"[..], &leaf(0x0B, "1"), b"\x54\x4F", data, b"\x01\x01\x01"].concat()
}

/// Catalogue: WBX-2, WBX-4
#[test]
fn documents_begin_in_many_ways() {
    let body = [put(b"\x03x\0"), b"\x12".to_vec()].concat();
    let expected_bytes = message(HEADER_1_2, b"\x6D", &body);
    let expected = read(&expected_bytes);
    for document in [
        &b"\x01\xA4\x01\x6A\x00"[..],
        b"\x03\xA4\x01\x6A\x00",
        b"\x02\x01\x6A\x00",
        b"\x02\xA4\x01\x04\x00",
        b"\x02\xA4\x01\x03\x00",
        b"\x02\xA4\x01\x00\x00",
        b"\x02\x9F\x53\x6A\x00",
        b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.2//EN",
        b"\x02\x00\x00\x6A\x1E-//SYNCML//DTD SyncML 1.2//EN\0",
        b"\x02\x00\x03\x6A\x21ab\0-//SYNCML//DTD SyncML 1.2//EN\0",
        // a length in more bytes than it needs
        b"\x02\xA4\x01\x6A\x80\x80\x00",
    ] {
        assert_eq!(read(&message(document, b"\x6D", &body)), expected, "{document:02X?}");
    }
    // Nokia: attributes on the root, whose name points into a table that is empty.
    let nokia = message(HEADER_1_2, b"\xED\x04\x00\x03SYNCML:SYNCML1.2\0\x01", &body);
    assert_eq!(read(&nokia), expected);
}

/// Catalogue: WBX-3
#[test]
fn strings_come_in_many_pieces() {
    let table = b"\x02\xA4\x01\x6A\x0Dab\0card\0Data\0";
    for (data, text) in [
        (&b"\x03text\0"[..], &b"text"[..]),
        (b"\x83\x03", b"card"),
        (b"\x83\x05", b"rd"),
        (b"\x83\x00\x03-\0\x83\x03", b"ab-card"),
        (b"\xC3\x03a\0b", b"a\0b"),
        (b"\xC3\x80\x03a\0b", b"a\0b"),
        (b"\xC3\x01a\x03b\0\xC3\x01c", b"abc"),
        (b"\x02\x81\x69", "é".as_bytes()),
        (b"\x03a\0\x02\x26\x03b\0", b"a&b"),
        (b"\x43\x05\x03ignored\0\x01\x03x\0", b"x"),
        (b"\x40ext\0\x80\x05\xC0\x03x\0", b"x"),
        (b"\x03caf\xE9\0", b"caf\xE9"),
        (b"", b""),
        (b"\xC3\x00", b""),
    ] {
        let bytes = message(table, b"\x6D", &put(data));
        assert_eq!(first_data(&read(&bytes)).as_bytes(), Some(text), "{data:02X?}");
    }
}

#[test]
fn strings_of_latin_1_documents_are_translated_and_blocks_are_not() {
    let document = b"\x02\xA4\x01\x04\x00";
    let string = message(document, b"\x6D", &put(b"\x03caf\xE9\0"));
    assert_eq!(first_data(&read(&string)).as_str(), Some("café"));
    let block = message(document, b"\x6D", &put(b"\xC3\x04caf\xE9"));
    assert_eq!(first_data(&read(&block)).as_bytes(), Some(&b"caf\xE9"[..]));
    // A name that is not in the character set declared is read all the same, and differs from every other.
    let named = message(
        HEADER_1_2,
        b"\x6D",
        &[&b"\x5F"[..], &leaf(0x0B, "1"), b"\x54\x67\x57\x03\xE9\0\x01\x01\x01\x01"].concat(),
    );
    assert_eq!(super::first_item(&read(&named)).source.as_ref().map(|source| &*source.uri), Some("é"));
}

#[test]
fn tags_may_be_spelled_out() {
    let table = b"\x02\xA4\x01\x6A\x15Put\0s:CmdID\0Item\0Foo\0"; // at 0, 4, 12, 17
    let body = b"\x44\x00\x44\x04\x031\0\x01\x44\x11\x03no\0\x01\x44\x0C\x4F\x03x\0\x01\x01\x01\x44\x11\x44\x04\x032\0\x01\x01";
    let bytes = message(table, b"\x6D", body);
    let read = read(&bytes);
    assert_eq!(first_data(&read).as_str(), Some("x"));
    let Command::Unknown(unknown) = &read.body[1] else { panic!("{:?}", read.body) };
    assert_eq!((&*unknown.name, unknown.cmd_id.as_ref().map(CmdId::as_str)), ("Foo", Some("2")));
}

#[test]
fn unknown_tokens_are_passed_over() {
    let body = [&b"\x7D"[..], &leaf(0x0B, "7"), b"\x01\x00\x05\x45\x03x\0\x01\x00\x00\x12"].concat();
    let bytes = message(HEADER_1_2, b"\x6D", &body);
    let message = read(&bytes);
    let names: Vec<&str> = message.body.iter().map(Command::name).collect();
    assert_eq!(names, ["0x3D", "0x0505"]);
    assert_eq!(message.body[0].cmd_id().map(CmdId::as_str), Some("7"));
    assert!(message.last);
}

#[test]
fn code_pages_turn_at_any_time_and_flags_may_have_an_end() {
    let body = [
        &b"\x5F"[..],
        &leaf(0x0B, "1"),
        b"\x5A\x00\x01\x53\x03t\0\x01\x00\x00\x00\x01\x52\x037\0\x01\x01\x00\x00\x54\x00\x00\x4F\x03x\0\x01\x01\x01\x52\x01",
    ];
    let bytes = message(HEADER_1_2, b"\x6D", &body.concat());
    let message = read(&bytes);
    assert!(message.last);
    let Command::Put(put) = &message.body[0] else { panic!() };
    let meta = put.meta.as_ref().expect("meta");
    assert_eq!((meta.media_type.as_deref(), meta.size), (Some("t"), Some(7)));
}

/// Catalogue: WBX-6
#[test]
fn nonces_and_credentials_may_be_raw() {
    let status = |nonce: &[u8]| {
        let start =
            [&b"\x69"[..], &leaf(0x0B, "1"), &leaf(0x1C, "1"), &leaf(0x0C, "0"), b"\x49\x5A\x00\x01\x50"].concat();
        message(HEADER_1_2, b"\x6D", &[&start, nonce, b"\x01\x01\x01\x00\x00", &leaf(0x0F, "407"), b"\x01"].concat())
    };
    for (nonce, text) in [
        (&b"\x03Tm9uY2U=\0"[..], "Tm9uY2U="),
        (b"\xC3\x08Tm9uY2U=", "Tm9uY2U="),
        (b"\xC3\x04\x00\x01\xFF:", "AAH/Og=="),
        (b"\xC3\x05Nonce", "Tm9uY2U="),
        (b"\x03odd!\0", "odd!"),
        (b"\xC3\x01o\x03dd!\0", "odd!"),
    ] {
        let bytes = status(nonce);
        let message = read(&bytes);
        let Command::Status(status) = &message.body[0] else { panic!() };
        assert_eq!(status.chal.as_ref().and_then(|chal| chal.meta.next_nonce.as_deref()), Some(text), "{nonce:02X?}");
    }
    let raw: Vec<u8> = (0..16).map(|byte| byte * 16 + 10).collect();
    let body = [&b"\x5F"[..], &leaf(0x0B, "1"), b"\x4E\x4F\xC3\x10", &raw, b"\x01\x01\x01"].concat();
    let bytes = message(HEADER_1_2, b"\x6D", &body);
    let message = read(&bytes);
    let Command::Put(put) = &message.body[0] else { panic!() };
    assert_eq!(put.cred.as_ref().map(|cred| &*cred.data), Some(&raw[..]));
}

/// Catalogue: WBX-5
#[test]
fn nested_documents_have_their_own_header_and_pages() {
    let body = b"\x4A\x65\x031.1\0\x01\x49\x03d\0\x01\x28\x01";
    for document in [
        &b"\x02\x9F\x54\x6A\x00"[..],
        b"\x02\x01\x6A\x00",
        b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD DevInf 1.1//EN",
        b"\x02\x9F\x53\x6A\x00", // the identifier of the message, as some write
    ] {
        let nested = [document, body].concat();
        assert_eq!(decode_devinf(&nested, &Limits::default()).expect("read").dev_id, "d");
        let data = [&[0xC3, nested.len() as u8][..], &nested].concat();
        let item = [&b"\x54\x4F"[..], &data, b"\x01\x01"].concat();
        // Meta turns to page 1 before and after: the nested document begins at its own page 0.
        let meta = [&b"\x5A\x00\x01"[..], &leaf(0x13, "application/vnd.syncml-devinf+wbxml"), b"\x01\x00\x00"].concat();
        let put = [&b"\x5F"[..], &leaf(0x0B, "1"), &meta, &item, b"\x01\x12"].concat();
        let bytes = message(HEADER_1_2, b"\x6D", &put);
        let message = read(&bytes);
        let Data::DevInf(devinf) = first_data(&message) else { panic!("{document:02X?}") };
        assert_eq!((&*devinf.dev_id, devinf.utc, message.last), ("d", true, true));
    }
}

#[test]
fn what_is_written_is_what_the_reference_says() {
    let write = |data: &[u8]| {
        let item = Item { data: Some(Data::Bytes(data.into())), ..Item::default() };
        let change = Change { meta: Some(Meta::of_type("t")), ..Change::new(Op::Add, CmdId::from(1), item) };
        encode_command(&Command::Change(change), Encoding::Wbxml, Version::V12).expect("written")
    };
    // Content is opaque, whatever it is.
    let around = |data: &[u8]| {
        [&b"\x45\x4B\x031\0\x01\x5A\x00\x01\x53\x03t\0\x01\x01\x00\x00\x54"[..], data, b"\x01\x01"].concat()
    };
    for (data, expected) in [
        (&b"plain"[..], &b"\x4F\xC3\x05plain\x01"[..]),
        ("Zoë".as_bytes(), b"\x4F\xC3\x04Zo\xC3\xAB\x01"),
        (b"a\r\nb", b"\x4F\xC3\x04a\r\nb\x01"),
        (b"\0", b"\x4F\xC3\x01\0\x01"),
        (b"\xE9", b"\x4F\xC3\x01\xE9\x01"),
        (b"", b"\x0F"),
    ] {
        assert_eq!(write(data), around(expected), "{data:02X?}");
    }
    let long = vec![b'\n'; 300];
    assert_eq!(write(&long), around(&[b"\x4F\xC3\x82\x2C", &long[..], b"\x01"].concat()));
}

#[test]
fn document_headers_follow_the_version() {
    for (version, message_header, devinf_header) in [
        (
            Version::V10,
            &b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.0//EN\x6D"[..],
            &b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD DevInf 1.0//EN\x4A"[..],
        ),
        (Version::V11, b"\x02\x9F\x53\x6A\x00\x6D", b"\x02\x9F\x54\x6A\x00\x4A"),
        (Version::V12, b"\x02\xA4\x01\x6A\x00\x6D", b"\x02\xA4\x03\x6A\x00\x4A"),
    ] {
        let header = Header::new(version, SessionId::from("1"), MsgId(1), Location::new("s"), Location::new("d"));
        let message = Message { header, body: Vec::new(), last: false };
        assert!(encode(&message, Encoding::Wbxml).expect("written").starts_with(message_header));
        let devinf = encode_devinf(&DevInf::default(), version, Encoding::Wbxml).expect("written");
        assert!(devinf.starts_with(devinf_header));
    }
}

#[test]
fn raw_credentials_survive_only_here() {
    let mut header = Header::new(Version::V12, SessionId::from("1"), MsgId(1), Location::new("s"), Location::new("d"));
    header.cred = Some(Cred { meta: None, data: vec![0, 255, 10].into() });
    let message = Message { header, body: Vec::new(), last: true };
    let bytes = encode(&message, Encoding::Wbxml).expect("written");
    assert_eq!(read(&bytes), message);
    assert!(encode(&message, Encoding::Xml).is_err());
}
