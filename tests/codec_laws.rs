//! What decoding and encoding owe each other, for arbitrary messages and arbitrary bytes.

mod messages;

use messages::Choices;
use proptest::prelude::*;
use std::fmt::Debug;
use syncml::codec::{
    DataStyle, Encoder, Encoding, Limits, Options, decode, decode_devinf, decode_header, encode, encode_command,
    encode_devinf,
};
use syncml::message::{Command, Data, Message, Version};

const ENCODINGS: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(Version::ALL.to_vec())
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1500)
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(ENCODINGS.to_vec())
}

fn read(bytes: &[u8], encoding: Encoding) -> Message<'_> {
    decode(bytes, encoding, &Limits::default())
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(bytes)))
}

/// Ways to write a piece of text, and what it says.
const QUOTED: [(&str, &str); 18] = [
    ("a", "a"),
    ("Zo\u{eb}, twice as long as a word", "Zo\u{eb}, twice as long as a word"),
    ("\r\n", "\r\n"),
    (" > ]] ", " > ]] "),
    ("&amp;", "&"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&apos;", "'"),
    ("&#13;", "\r"),
    ("&#xD;", "\r"),
    ("&#233;", "\u{e9}"),
    ("&#x1F600;", "\u{1F600}"),
    ("<![CDATA[]]>", ""),
    ("<![CDATA[<a>&amp;]]]]>", "<a>&amp;]]"),
    ("<!-- <a> &amp; -->", ""),
    ("<?pi <a> & ?>", ""),
    ("\u{1F600}", "\u{1F600}"),
];

/// Equality that names the first line in which two messages differ.
fn same<T: PartialEq + Debug>(left: &T, right: &T) -> Result<(), TestCaseError> {
    if left == right {
        return Ok(());
    }
    let (left, right) = (format!("{left:#?}"), format!("{right:#?}"));
    let difference = left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right);
    Err(TestCaseError::fail(format!("{difference:?}")))
}

/// Damages `bytes` as `edits` say: position, kind, value.
fn damage(bytes: &mut Vec<u8>, edits: &[(u16, u8, u8)]) {
    for (position, kind, value) in edits {
        let position = usize::from(*position) % (bytes.len() + 1);
        match kind % 5 {
            0 if position < bytes.len() => bytes[position] = *value,
            1 => bytes.insert(position, *value),
            2 => bytes.truncate(position),
            3 => {
                let end = (position + usize::from(*value)).min(bytes.len());
                bytes.drain(position..end);
            }
            _ => {
                let end = (position + usize::from(*value)).min(bytes.len());
                let copy = bytes[position..end].to_vec();
                bytes.splice(position..position, copy);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(choices in choices(), version in version(), encoding in encoding()) {
        let carriable = encoding == Encoding::Xml;
        let message = Choices::new(&choices, version, carriable).message();
        let bytes = encode(&message, encoding).unwrap();
        same(&read(&bytes, encoding), &message)?;
        prop_assert_eq!(&decode_header(&bytes, encoding, &Limits::default()).unwrap(), &message.header);
        prop_assert_eq!(Encoding::sniff(&bytes), Some(encoding));
    }

    #[test]
    fn a_message_survives_both_encodings(choices in choices(), version in version()) {
        let message = Choices::new(&choices, version, true).message();
        let first = encode(&message, Encoding::Xml).unwrap();
        let second = encode(&read(&first, Encoding::Xml), Encoding::Wbxml).unwrap();
        let third = encode(&read(&second, Encoding::Wbxml), Encoding::Xml).unwrap();
        same(&read(&third, Encoding::Xml), &message)?;
        prop_assert_eq!(third, first);
    }

    #[test]
    fn the_style_of_data_does_not_matter(choices in choices(), version in version(), namespace: bool) {
        let message = Choices::new(&choices, version, true).message();
        let options = Options::default().with_style(DataStyle::Escaped).with_namespace(namespace);
        let mut encoder = Encoder::new(Encoding::Xml, version, &message.header, options).unwrap();
        for command in &message.body {
            encoder.command(command).unwrap();
        }
        let bytes = encoder.finish(message.last);
        same(&read(&bytes, Encoding::Xml), &message)?;
    }

    #[test]
    fn text_is_one_piece_however_it_is_quoted(pieces in prop::collection::vec((0_usize..QUOTED.len(), 0_usize..3), 0..12)) {
        let mut quoted = String::new();
        let mut text = String::new();
        for (piece, times) in pieces {
            quoted.push_str(&QUOTED[piece].0.repeat(times));
            text.push_str(&QUOTED[piece].1.repeat(times));
        }
        let xml = format!(
            "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>a</LocURI></Target>\
             <Source><LocURI>b</LocURI><LocName>{quoted}</LocName></Source></SyncHdr><SyncBody><Add><CmdID>1</CmdID>\
             <Item><Data>{quoted}</Data></Item></Add><Final/></SyncBody></SyncML>"
        );
        let message = read(xml.as_bytes(), Encoding::Xml);
        prop_assert_eq!(message.header.source.name.as_deref(), Some(&*text));
        let Command::Change(change) = &message.body[0] else { panic!("no Add") };
        prop_assert_eq!(change.items[0].data.as_ref().and_then(Data::as_str), Some(&*text));
        prop_assert!(message.last);
    }

    #[test]
    fn device_information_stands_alone(choices in choices(), version in version(), encoding in encoding()) {
        let devinf = Choices::new(&choices, version, true).devinf();
        let bytes = encode_devinf(&devinf, version, encoding).unwrap();
        same(&decode_devinf(&bytes, &Limits::default()).unwrap(), &devinf)?;
    }

    #[test]
    fn a_message_may_be_written_piece_by_piece(
        choices in choices(), junk in choices(), version in version(), encoding in encoding()
    ) {
        let message = Choices::new(&choices, version, true).message();
        let mut junk = Choices::new(&junk, version, true);
        let mut encoder = Encoder::new(encoding, version, &message.header, Options::default()).unwrap();
        let closed = |encoder: &Encoder| (encoder.len_if_closed(false), encoder.len_if_closed(true));
        for command in &message.body {
            let checkpoint = encoder.checkpoint();
            let before = closed(&encoder);
            match command {
                Command::Sync(sync) => {
                    encoder.open_sync(sync).unwrap();
                    prop_assert!(encoder.open_sync(sync).is_err());
                    for inner in &sync.commands {
                        // Something else first, and back.
                        let checkpoint = encoder.checkpoint();
                        let before = closed(&encoder);
                        encoder.command(&junk.command(1)).unwrap();
                        encoder.rollback(checkpoint);
                        prop_assert_eq!(closed(&encoder), before);
                        match inner {
                            Command::Change(change) => encoder.change(change).unwrap(),
                            _ => encoder.command(inner).unwrap(),
                        }
                    }
                    prop_assert!(closed(&encoder) > before);
                    encoder.close_sync();
                }
                _ => encoder.command(command).unwrap(),
            }
            if junk.command(0).no_resp() {
                encoder.rollback(checkpoint);
                prop_assert_eq!(closed(&encoder), before);
                encoder.command(command).unwrap();
            }
        }
        let size = encoder.len_if_closed(message.last);
        let bytes = encoder.finish(message.last);
        prop_assert_eq!(size, bytes.len());
        prop_assert_eq!(bytes, encode(&message, encoding).unwrap());
    }

    #[test]
    fn the_size_is_exact_wherever_a_message_ends(
        choices in choices(), version in version(), encoding in encoding(), last: bool, stop in 0_usize..6
    ) {
        let message = Choices::new(&choices, version, true).message();
        let mut encoder = Encoder::new(encoding, version, &message.header, Options::default()).unwrap();
        for command in message.body.iter().take(stop) {
            encoder.close_sync();
            match command {
                Command::Sync(sync) => {
                    encoder.open_sync(sync).unwrap();
                    for command in sync.commands.iter().take(stop) {
                        encoder.command(command).unwrap();
                    }
                }
                _ => encoder.command(command).unwrap(),
            }
        }
        let size = encoder.len_if_closed(last);
        let bytes = encoder.finish(last);
        prop_assert_eq!(size, bytes.len());
        prop_assert_eq!(read(&bytes, encoding).last, last);
    }

    #[test]
    fn commands_written_apart_fit_anywhere(choices in choices(), version in version(), encoding in encoding()) {
        let message = Choices::new(&choices, version, true).message();
        let mut encoder = Encoder::new(encoding, version, &message.header, Options::default()).unwrap();
        for (position, command) in message.body.iter().enumerate() {
            if position % 2 == 0 {
                encoder.raw(&encode_command(command, encoding, version).unwrap());
            } else {
                encoder.command(command).unwrap();
            }
        }
        let size = encoder.len_if_closed(message.last);
        let bytes = encoder.finish(message.last);
        prop_assert_eq!(size, bytes.len());
        same(&read(&bytes, encoding), &message)?;
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        choices in choices(),
        version in version(),
        encoding in encoding(),
        edits in prop::collection::vec(any::<(u16, u8, u8)>(), 1..8),
    ) {
        let message = Choices::new(&choices, version, true).message();
        let mut bytes = encode(&message, encoding).unwrap();
        damage(&mut bytes, &edits);
        let tight = Limits { max_depth: 6, max_elements: 40, max_text: 30, max_string_table: 4, ..Limits::default() };
        for encoding in ENCODINGS {
            if let Ok(message) = decode(&bytes, encoding, &Limits::default()) {
                // What was read can be written, if the encoding can carry it, and says the same.
                if let Ok(again) = encode(&message, Encoding::Wbxml) {
                    prop_assert!(decode(&again, Encoding::Wbxml, &Limits::default()).is_ok());
                }
            }
            let _ = decode(&bytes, encoding, &tight);
            let _ = decode_header(&bytes, encoding, &Limits::default());
        }
        let _ = decode_devinf(&bytes, &Limits::default());
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let header: [&[u8]; 4] = [b"", b"\x02\xA4\x01\x6A\x00\x6D", b"\x02\xA4\x01\x6A\x03abc\x6D\x6C", b"<SyncML><SyncHdr>"];
        for prefix in header {
            let bytes = [prefix, &bytes].concat();
            for encoding in ENCODINGS {
                let _ = decode(&bytes, encoding, &Limits::default());
                let _ = decode_header(&bytes, encoding, &Limits::default());
            }
            let _ = decode_devinf(&bytes, &Limits::default());
        }
    }
}
