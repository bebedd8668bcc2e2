//! How peers write XML.

use super::{HEADER, first_data, first_item, read, with_body};
use crate::codec::{Encoding, Limits, decode, decode_header};
use crate::message::{AlertCode, Anchor, Command, Data, Mem, StatusCode};
use std::borrow::Cow;

#[test]
fn names_may_have_any_namespace_or_none() {
    let plain = with_body("<Alert><CmdID>1</CmdID><Data>200</Data></Alert><Final/>");
    let expected = read(&plain);
    for root in [
        "<SyncML xmlns='SYNCML:SYNCML1.2'>",
        "<SyncML xmlns=\"syncml:syncml1.2\">",
        "<SyncML xmlns='urn:whatever' lang='en'>",
        "<?xml version='1.0'?><SyncML>",
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!DOCTYPE SyncML PUBLIC '-//SYNCML//DTD SyncML 1.2//EN' 'x.dtd'><SyncML>",
        "<!-- hello --><?pi?><SyncML>",
    ] {
        assert_eq!(read(&plain.replace("<SyncML>", root)), expected, "{root}");
    }
    let prefixed = plain.replace("</", "\u{1}").replace('<', "<s:").replace('\u{1}', "</s:");
    assert_eq!(read(&prefixed), expected);
}

#[test]
fn order_blanks_and_strangers_do_not_matter() {
    let plain = with_body("<Alert><CmdID>1</CmdID><Data>200</Data></Alert><Final/>");
    let expected = read(&plain);
    let body = "<Final>\n</Final><X><Final/><CmdID>9</CmdID></X><Alert>\n <Data> 200\r\n</Data> <Y a='1'/><CmdID>\t1 </CmdID>text</Alert>";
    let xml = with_body(body);
    let mut message = read(&xml);
    let Command::Unknown(unknown) = message.body.remove(0) else { panic!() };
    assert_eq!((&*unknown.name, unknown.cmd_id.expect("id").as_str()), ("X", "9"));
    assert_eq!(message, expected);

    let turned = format!("<SyncML><SyncBody><Final></Final></SyncBody><Z/>{HEADER}</SyncML>");
    assert!(read(&turned).last);
    assert_eq!(decode_header(turned.as_bytes(), Encoding::Xml, &Limits::default()).expect("header"), expected.header);
}

#[test]
fn the_header_is_found_whatever_follows() {
    let broken = format!("<SyncML>{HEADER}<SyncBody><Broken");
    let header = decode_header(broken.as_bytes(), Encoding::Xml, &Limits::default()).expect("header");
    assert_eq!(header.session_id.as_str(), "1");
    assert!(decode(broken.as_bytes(), Encoding::Xml, &Limits::default()).is_err());
}

#[test]
fn text_is_one_piece_however_it_is_quoted() {
    for (quoted, text, borrowed) in [
        ("BEGIN:VCARD\r\nN:A\r\n", "BEGIN:VCARD\r\nN:A\r\n", true),
        ("<![CDATA[BEGIN:VCARD\r\nN:A<B>\r\n]]>", "BEGIN:VCARD\r\nN:A<B>\r\n", true),
        ("a &amp; b", "a & b", false),
        ("&lt;&gt;&quot;&apos;&amp;", "<>\"'&", false),
        ("a&#233;b&amp;c&lt;&#8364;d", "aéb&c<€d", false),
        ("a<!-- no -->b&amp;c<![CDATA[&]]>d&gt;&#9;e&amp;", "ab&c&d>\te&", false),
        ("<!-- no -->a", "a", true),
        ("<![CDATA[a]]><!-- no -->", "a", true),
        ("&#13;&#10;&#x0D;&#xe9;&#128512;", "\r\n\ré\u{1F600}", false),
        ("a<![CDATA[b]]]]><![CDATA[>c]]>d", "ab]]>cd", false),
        ("a<!-- no -->b<?no?>c", "abc", false),
        (" \n ", " \n ", true),
        ("<![CDATA[]]>", "", true),
        ("", "", true),
    ] {
        let xml = with_body(&format!("<Put><CmdID>1</CmdID><Item><Data>{quoted}</Data></Item></Put>"));
        let message = read(&xml);
        let Data::Bytes(bytes) = first_data(&message) else { panic!("{quoted}") };
        assert_eq!(std::str::from_utf8(bytes), Ok(text), "{quoted}");
        assert_eq!(matches!(bytes, Cow::Borrowed(_)), borrowed, "{quoted}");
    }
}

#[test]
fn markup_that_means_nothing_is_kept_as_it_stands() {
    for inner in ["<contact><a>1</a>&amp;</contact>", " <note/> tail ", "x<y>z</y>"] {
        let xml = with_body(&format!("<Add><CmdID>1</CmdID><Item><Data>{inner}</Data></Item></Add>"));
        assert_eq!(first_data(&read(&xml)).as_str(), Some(inner));
    }
}

#[test]
fn anchors_are_recognised_in_any_wrapping() {
    let both = Anchor { last: Some("1".into()), next: "2".into() };
    let next = Anchor { last: None, next: "2".into() };
    for (data, anchor) in [
        ("<Anchor xmlns='syncml:metinf'><Last>1</Last><Next>2</Next></Anchor>", &both),
        ("<Anchor><Next>2</Next></Anchor>", &next),
        (" <m:Anchor xmlns:m='syncml:metinf'> <m:Next>2</m:Next> </m:Anchor> ", &next),
        ("<Next xmlns='syncml:metinf'>2</Next>", &next),
        ("<Last>1</Last><Next>2</Next>", &both),
        ("<MetInf xmlns='syncml:metinf'><Anchor><Next>2</Next></Anchor></MetInf>", &next),
        ("<![CDATA[<Anchor xmlns='syncml:metinf'><Next>2</Next></Anchor>]]>", &next),
        ("&lt;Anchor&gt;&lt;Last&gt;1&lt;/Last&gt;&lt;Next&gt;2&lt;/Next&gt;&lt;/Anchor&gt;", &both),
    ] {
        let xml = with_body(&format!(
            "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>2</CmdRef><Cmd>Alert</Cmd><Data>200</Data><Item><Data>{data}</Data></Item></Status>"
        ));
        assert_eq!(first_data(&read(&xml)), &Data::Anchor(anchor.clone()), "{data}");
    }
    let in_meta = with_body("<Alert><CmdID>1</CmdID><Item><Meta><MetInf><Next>2</Next></MetInf></Meta></Item></Alert>");
    assert_eq!(first_item(&read(&in_meta)).meta.as_ref().and_then(|meta| meta.anchor.clone()), Some(next));
}

/// Catalogue: 10.2/44
#[test]
fn memory_is_recognised_in_any_wrapping() {
    let memory = Mem { shared: true, free_mem: 10, free_id: 3 };
    for data in [
        "<Mem xmlns='syncml:metinf'><SharedMem/><FreeMem>10</FreeMem><FreeID>3</FreeID></Mem>",
        "<FreeID>3</FreeID><FreeMem> 10 </FreeMem><SharedMem></SharedMem>",
    ] {
        let xml = with_body(&format!("<Put><CmdID>1</CmdID><Item><Data>{data}</Data></Item></Put>"));
        assert_eq!(first_data(&read(&xml)), &Data::Mem(memory), "{data}");
    }
}

#[test]
fn meta_may_be_wrapped_and_repeated() {
    let xml = with_body(
        "<Add><CmdID>1</CmdID><Meta><MetInf xmlns='syncml:metinf'><Type> text/x-vcard </Type></MetInf></Meta>\
         <Meta><Size> 7 </Size><Format/><Size/></Meta><Item/></Add>",
    );
    let message = read(&xml);
    let Command::Change(add) = &message.body[0] else { panic!() };
    let meta = add.meta.as_ref().expect("meta");
    assert_eq!((meta.media_type.as_deref(), meta.format.as_deref(), meta.size), (Some("text/x-vcard"), Some(""), None));
}

#[test]
fn addresses_come_back_as_they_were_unless_laid_out() {
    for (written, read_as) in [(" 7 ", " 7 "), ("\n\t7\n", "7"), ("7\r\n", "7"), ("a\nb", "a\nb"), ("&#32;7", " 7")] {
        let xml =
            with_body(&format!("<Add><CmdID>1</CmdID><Item><Source><LocURI>{written}</LocURI></Source></Item></Add>"));
        assert_eq!(first_item(&read(&xml)).source.as_ref().map(|source| &*source.uri), Some(read_as), "{written:?}");
    }
}

#[test]
fn numbers_and_codes() {
    let message = |code: &str| with_body(&format!("<Alert><CmdID>1</CmdID><Data>{code}</Data></Alert>"));
    for (text, code) in [("200", Some(200)), (" 0201\n", Some(201)), ("", None), ("65535", Some(65535))] {
        let xml = message(text);
        let read = read(&xml);
        let Command::Alert(alert) = &read.body[0] else { panic!() };
        assert_eq!(alert.code, code.map(AlertCode));
    }
    for text in ["+200", "-1", "2 00", "0x1", "65536", "٣", "200.0"] {
        let xml = message(text);
        assert!(decode(xml.as_bytes(), Encoding::Xml, &Limits::default()).is_err(), "{text}");
    }
}

#[test]
fn a_status_tells_everything() {
    let xml = with_body(
        "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><TargetRef>a</TargetRef><TargetRef>b</TargetRef>\
         <SourceRef>c</SourceRef><Chal><Meta><NextNonce xmlns='syncml:metinf'> Tm9uY2U=\n</NextNonce></Meta></Chal><Data>407</Data></Status>",
    );
    let message = read(&xml);
    let Command::Status(status) = &message.body[0] else { panic!() };
    assert_eq!(status.code, StatusCode::MISSING_CREDENTIALS);
    assert_eq!((status.target_refs.len(), status.source_refs.len()), (2, 1));
    assert_eq!(status.chal.as_ref().and_then(|chal| chal.meta.next_nonce.as_deref()), Some("Tm9uY2U="));
}

#[test]
fn declared_character_sets() {
    let body = with_body("<Put><CmdID>1</CmdID><Item><Data>Zoë</Data></Item></Put>");
    for declared in ["UTF-8", "utf-8", "US-ASCII", "ISO-8859-1"] {
        let xml = format!("<?xml version=\"1.0\" encoding=\"{declared}\"?>{body}");
        assert_eq!(first_data(&read(&xml)).as_str(), Some("Zoë"), "{declared}"); // it is UTF-8, whatever it says
    }
    let latin1: Vec<u8> =
        format!("<?xml version='1.0' encoding='ISO-8859-1'?>{body}").chars().map(|c| c as u8).collect();
    let error = decode(&latin1, Encoding::Xml, &Limits::default()).expect_err("not UTF-8");
    assert!(error.to_string().contains("declared character set"), "{error}");
}

#[test]
fn a_chunk_may_be_cut_inside_a_character() {
    let whole = "Größe 😀 &<]";
    let at = |needle: &str| whole.find(needle).expect("it is there");
    // A part; whether it is read where more follows, and where it is the last.
    let table: [(&[u8], bool, bool); 8] = [
        (&whole.as_bytes()[..at("ö") + 1], true, false),
        (&whole.as_bytes()[at("ö") + 1..at("😀") + 3], true, false),
        (&whole.as_bytes()[at("😀") + 1..], true, true),
        (&whole.as_bytes()[at("😀") + 1..at("😀") + 3], true, true),
        (b"a\xC3", true, false),
        (b"\xC3a", false, false),
        (b"Gr\xF6\xDFe", false, false),      // another character set
        (b"\x80\x80\x80\x80", false, false), // no character has so many octets
    ];
    for (part, in_between, last) in table {
        let escaped = part.iter().fold(Vec::new(), |mut text, byte| {
            match byte {
                b'&' => text.extend_from_slice(b"&amp;"),
                b'<' => text.extend_from_slice(b"&lt;"),
                byte => text.push(*byte),
            }
            text
        });
        let section = [b"<![CDATA[".as_slice(), part, b"]]>"].concat();
        let sections = [b"<![CDATA[".as_slice(), &part[..1], b"]]><![CDATA[", &part[1..], b"]]>"].concat();
        for written in [escaped, section, sections] {
            for (more, readable) in [(" <x:MoreData/>", in_between), ("", last)] {
                let xml = with_body(&format!("<Put><CmdID>1</CmdID><Item><Data>{{}}</Data>{more}</Item></Put>"));
                let (before, after) = xml.split_once("{}").expect("it is there");
                let xml = [before.as_bytes(), &written, after.as_bytes()].concat();
                match decode(&xml, Encoding::Xml, &Limits::default()) {
                    Ok(message) => {
                        assert!(readable, "{part:x?} {more}");
                        assert_eq!(first_data(&message).as_bytes(), Some(part));
                        let Command::Put(put) = &message.body[0] else { panic!() };
                        assert_eq!(put.items[0].more_data, !more.is_empty(), "what follows is read too");
                    }
                    Err(error) => {
                        assert!(!readable, "{part:x?} {more}: {error}");
                        assert!(error.to_string().contains("not UTF-8"), "{error}");
                    }
                }
            }
        }
    }
}

#[test]
fn limits_hold_one_below_and_one_above() {
    let xml = with_body("<Put><CmdID>1</CmdID><Item><Data>12345</Data></Item></Put>");
    let read = |limits: Limits| decode(xml.as_bytes(), Encoding::Xml, &limits);
    let all = Limits::default();
    assert!(read(Limits { max_message: xml.len(), ..all }).is_ok());
    assert!(read(Limits { max_message: xml.len() - 1, ..all }).is_err());
    assert!(read(Limits { max_depth: 5, ..all }).is_ok());
    assert!(read(Limits { max_depth: 4, ..all }).is_err());
    assert!(read(Limits { max_elements: 15, ..all }).is_ok());
    assert!(read(Limits { max_elements: 14, ..all }).is_err());
    assert!(read(Limits { max_text: 10, ..all }).is_ok()); // SyncML/1.2
    assert!(read(Limits { max_text: 9, ..all }).is_err());
}
