//! How we write.

use super::{HEADER, first_item, read, with_body};
use crate::codec::{
    DataStyle, EncodeError, Encoder, Encoding, Limits, Options, adapt, decode, decode_header, encode, encode_command,
};
use crate::message::{
    Alert, AlertCode, Anchor, Change, CmdId, Command, Cred, Data, Filter, Header, Item, Location, Mem, Message, Meta,
    MsgId, Op, Put, SessionId, Sync, Unknown, Version,
};

fn header(version: Version) -> Header<'static> {
    Header::new(version, SessionId::from("1"), MsgId(1), Location::new("s"), Location::new("d"))
}

fn xml(command: &Command<'_>, version: Version) -> String {
    String::from_utf8(encode_command(command, Encoding::Xml, version).expect("written")).expect("UTF-8")
}

fn add(data: &[u8]) -> Command<'_> {
    let item = Item { data: Some(Data::Bytes(data.into())), ..Item::default() };
    Command::Change(Change::new(Op::Add, CmdId::from(1), item))
}

/// Catalogue: 10.2/39, 10.2/44
#[test]
fn a_whole_message_follows_the_dtd() {
    let mut header = header(Version::V12);
    header.resp_uri = Some("http://s/?a=1&b=2".into());
    header.no_resp = true;
    header.cred = Some(Cred { meta: Some(Meta::of_type("syncml:auth-basic")), data: b"QQ=="[..].into() });
    header.meta = Some(Meta { max_obj_size: Some(2), max_msg_size: Some(1), ..Meta::default() });
    let anchor = Anchor { last: Some("1".into()), next: "2".into() };
    let meta = Meta {
        field_level: true,
        format: Some("chr".into()),
        media_type: Some("t/t".into()),
        mark: Some("final".into()),
        size: Some(3),
        anchor: Some(anchor),
        version: Some("v".into()),
        next_nonce: Some("Tg==".into()),
        max_msg_size: None,
        max_obj_size: None,
        emi: vec!["e".into()],
        mem: Some(Mem { shared: true, free_mem: 1, free_id: 2 }),
    };
    let filter = Filter {
        meta: Meta::of_type("text/x-vcard"),
        field: None,
        record: Some(Item {
            meta: Some(Meta::of_type("syncml:filtertype-cgi")),
            data: Some(Data::text("a&EQ;b")),
            ..Item::default()
        }),
        filter_type: Some("INCLUSIVE".into()),
    };
    let item = Item {
        target: Some(Location::named("t", "T")),
        filter: Some(Box::new(filter)),
        source: Some(Location::new("s")),
        source_parent: Some("sp".into()),
        target_parent: Some("tp".into()),
        meta: Some(meta),
        data: Some(Data::text("x")),
        more_data: true,
    };
    let alert = Alert {
        cmd_id: CmdId::from(1),
        no_resp: true,
        cred: None,
        code: Some(AlertCode::TWO_WAY),
        correlator: Some("c".into()),
        items: vec![item],
    };
    let message = Message { header, body: vec![Command::Alert(alert)], last: true };
    let written = String::from_utf8(encode(&message, Encoding::Xml).expect("written")).expect("UTF-8");
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr>\
        <VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
        <Target><LocURI>s</LocURI></Target><Source><LocURI>d</LocURI></Source><RespURI>http://s/?a=1&amp;b=2</RespURI><NoResp/>\
        <Cred><Meta><Type xmlns=\"syncml:metinf\">syncml:auth-basic</Type></Meta><Data>QQ==</Data></Cred>\
        <Meta><MaxMsgSize xmlns=\"syncml:metinf\">1</MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">2</MaxObjSize></Meta></SyncHdr>\
        <SyncBody><Alert><CmdID>1</CmdID><NoResp/><Data>200</Data><Correlator>c</Correlator><Item><Target><LocURI>t</LocURI>\
        <LocName>T</LocName><Filter><Meta><Type xmlns=\"syncml:metinf\">text/x-vcard</Type></Meta><Record><Item>\
        <Meta><Type xmlns=\"syncml:metinf\">syncml:filtertype-cgi</Type></Meta><Data><![CDATA[a&EQ;b]]></Data></Item></Record>\
        <FilterType>INCLUSIVE</FilterType></Filter></Target><Source><LocURI>s</LocURI></Source><SourceParent><LocURI>sp</LocURI>\
        </SourceParent><TargetParent><LocURI>tp</LocURI></TargetParent><Meta><FieldLevel xmlns=\"syncml:metinf\"/>\
        <Format xmlns=\"syncml:metinf\">chr</Format><Type xmlns=\"syncml:metinf\">t/t</Type><Mark xmlns=\"syncml:metinf\">final</Mark>\
        <Size xmlns=\"syncml:metinf\">3</Size><Anchor xmlns=\"syncml:metinf\"><Last>1</Last><Next>2</Next></Anchor>\
        <Version xmlns=\"syncml:metinf\">v</Version><NextNonce xmlns=\"syncml:metinf\">Tg==</NextNonce>\
        <EMI xmlns=\"syncml:metinf\">e</EMI><Mem xmlns=\"syncml:metinf\"><SharedMem/><FreeMem>1</FreeMem><FreeID>2</FreeID></Mem></Meta>\
        <Data>x</Data><MoreData/></Item></Alert><Final/></SyncBody></SyncML>";
    assert_eq!(written, expected);
    assert_eq!(read(&written), message);

    // 1.1 has none of what 1.2 added.
    let mut old = message.clone();
    old.header.ver_dtd = "1.1".into();
    let written = String::from_utf8(encode(&old, Encoding::Xml).expect("written")).expect("UTF-8");
    for new in ["Filter", "Record", "Parent", "FieldLevel", "Correlator"] {
        assert!(!written.contains(new), "{new}");
    }
    assert!(written.contains("SYNCML:SYNCML1.1") && written.contains("MaxObjSize") && written.contains("<MoreData/>"));
}

#[test]
fn what_cannot_be_left_out_is_refused() {
    let refused =
        |command: &Command<'_>, version| encode_command(command, Encoding::Wbxml, version).expect_err("refused");
    let chunk = Command::Change(Change::new(Op::Add, CmdId::from(1), Item { more_data: true, ..Item::default() }));
    assert_eq!(refused(&chunk, Version::V10), EncodeError::NotInVersion { element: "MoreData", version: Version::V10 });
    let moved = Command::Change(Change::new(Op::Move, CmdId::from(1), Item::default()));
    assert_eq!(refused(&moved, Version::V11).to_string(), "Move does not exist in SyncML 1.1");
    let unknown = Command::Unknown(Unknown { name: "X".into(), cmd_id: None });
    assert_eq!(refused(&unknown, Version::V12), EncodeError::UnknownCommand);
}

#[test]
fn version_1_0_counts_no_changes() {
    let sync = Command::Sync(Sync {
        cmd_id: CmdId::from(1),
        no_resp: false,
        cred: None,
        target: None,
        source: None,
        meta: Some(Meta { max_obj_size: Some(1), ..Meta::default() }),
        number_of_changes: Some(3),
        commands: Vec::new(),
    });
    assert_eq!(xml(&sync, Version::V10), "<Sync><CmdID>1</CmdID><Meta></Meta></Sync>");
    assert!(xml(&sync, Version::V11).ends_with("<NumberOfChanges>3</NumberOfChanges></Sync>"));
}

#[test]
fn content_is_quoted_and_other_data_as_needed() {
    let item = |content: &str| format!("<Add><CmdID>1</CmdID><Item><Data>{content}</Data></Item></Add>");
    for (data, expected) in [
        ("plain", "<![CDATA[plain]]>"),
        ("", ""),
        ("a>b", "<![CDATA[a>b]]>"),
        ("a<b", "<![CDATA[a<b]]>"),
        ("a&b", "<![CDATA[a&b]]>"),
        ("N:A\r\n", "<![CDATA[N:A\r\n]]>"),
        ("<![CDATA[x]]>", "<![CDATA[<![CDATA[x]]]]><![CDATA[>]]>"),
    ] {
        assert_eq!(xml(&add(data.as_bytes()), Version::V12), item(expected));
    }
    for (data, expected) in [("plain", "plain"), ("a>b", "a&gt;b"), ("a<b", "<![CDATA[a<b]]>")] {
        let item = Item { data: Some(Data::text(data)), ..Item::default() };
        let put = Command::Put(Put {
            cmd_id: 1.into(),
            no_resp: false,
            lang: None,
            cred: None,
            meta: None,
            items: vec![item],
        });
        assert!(xml(&put, Version::V12).contains(&format!("<Data>{expected}</Data>")));
    }
    let mut encoder = Encoder::new(
        Encoding::Xml,
        Version::V12,
        &header(Version::V12),
        Options::default().with_style(DataStyle::Escaped),
    )
    .expect("header");
    encoder.command(&add(b"N:A<&\r\n")).expect("written");
    let written = String::from_utf8(encoder.finish(false)).expect("UTF-8");
    assert!(written.contains("<Data>N:A&lt;&amp;&#13;\n</Data>"), "{written}");
}

#[test]
fn what_xml_cannot_carry_is_named() {
    for (data, offset) in [(&b"ab\0"[..], 2), (b"\x1B", 0), (b"caf\xE9", 3), ("\u{FFFF}".as_bytes(), 0)] {
        let error = encode_command(&add(data), Encoding::Xml, Version::V12).expect_err("refused");
        assert_eq!(error, EncodeError::NotXml { element: "Data", offset });
        let binary = encode_command(&add(data), Encoding::Wbxml, Version::V12).expect("WBXML carries everything");
        assert!(binary.windows(data.len()).any(|window| window == data));
    }
    let mut named = header(Version::V12);
    named.source.name = Some("a\u{1}".into());
    let refused = Encoder::new(Encoding::Xml, Version::V12, &named, Options::default()).err();
    assert_eq!(refused, Some(EncodeError::NotXml { element: "LocName", offset: 1 }));
}

#[test]
fn a_failed_call_leaves_no_trace() {
    let mut encoder =
        Encoder::new(Encoding::Xml, Version::V12, &header(Version::V12), Options::default()).expect("header");
    encoder.command(&add(b"1")).expect("written");
    let before = encoder.len_if_closed(true);
    assert!(encoder.command(&add(b"\0")).is_err());
    assert_eq!(encoder.len_if_closed(true), before);
    let bytes = encoder.finish(true);
    assert_eq!(bytes.len(), before);
    assert_eq!(decode(&bytes, Encoding::Xml, &Limits::default()).expect("read").body.len(), 1);
}

#[test]
fn the_namespace_can_be_left_out() {
    let options = Options::default().with_namespace(false);
    let encoder = Encoder::new(Encoding::Xml, Version::V10, &header(Version::V10), options).expect("header");
    assert!(String::from_utf8(encoder.finish(true)).expect("UTF-8").contains("?><SyncML><SyncHdr>"));
}

#[test]
fn device_types_follow_the_encoding_when_asked() {
    let xml = with_body(
        "<Get><CmdID>1</CmdID><Meta><Type>application/vnd.syncml-devinf+xml</Type></Meta></Get>\
         <Put><CmdID>2</CmdID><Item><Meta><Type>application/vnd.syncml-devinf+xml</Type></Meta></Item></Put>\
         <Add><CmdID>3</CmdID><Meta><Type>text/x-vcard</Type></Meta><Item/></Add>",
    );
    let mut message = read(&xml);
    adapt(&mut message, Encoding::Wbxml);
    let Command::Get(get) = message.body.remove(0) else { panic!() };
    let wbxml = Some("application/vnd.syncml-devinf+wbxml");
    assert_eq!(get.meta.and_then(|meta| meta.media_type).as_deref(), wbxml);
    assert_eq!(first_item(&message).meta.as_ref().and_then(|meta| meta.media_type.as_deref()), wbxml);
    let Command::Change(add) = &message.body[1] else { panic!() };
    assert_eq!(add.meta.as_ref().and_then(|meta| meta.media_type.as_deref()), Some("text/x-vcard"));
}

/// What would come back in the answer could not be written there.
#[test]
fn names_hold_no_character_that_xml_forbids() {
    for forbidden in ["&#1;", "\u{1}", "<![CDATA[\u{1f}]]>", "&#xFFFE;", "a&#8;b"] {
        for (name, xml) in [
            ("session", HEADER.replacen("<SessionID>1", &format!("<SessionID>1{forbidden}"), 1)),
            ("address", HEADER.replacen("<LocURI>", &format!("<LocURI>{forbidden}"), 1)),
        ] {
            let xml = format!("<SyncML>{xml}<SyncBody><Final/></SyncBody></SyncML>");
            let error = decode_header(xml.as_bytes(), Encoding::Xml, &Limits::default()).expect_err(name);
            assert!(error.to_string().contains("forbids"), "{name} {forbidden:?}: {error}");
        }
        let xml = with_body(&format!("<Add><CmdID>1</CmdID><Item><Data>{forbidden}</Data></Item></Add>"));
        assert!(decode(xml.as_bytes(), Encoding::Xml, &Limits::default()).is_ok(), "contents are taken as they are");
    }
}
