//! The verified vectors of the reference (§7.7): each pair says the same in XML and in WBXML.

use std::path::{Path, PathBuf};
use syncml::codec::{Encoding, Limits, decode, decode_header, encode};
use syncml::message::{Command, Data, Version};

/// Name, XML, WBXML.
fn pairs() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("fixtures/vectors")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wbxml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 3);
    let read = |path: &Path| std::fs::read(path).expect("fixture");
    let name = |path: &Path| path.file_stem().expect("name").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), read(&path.with_extension("xml")), read(path))).collect()
}

/// Catalogue: WBX-1
#[test]
fn binary_vectors_come_back_byte_for_byte() {
    for (name, _, wbxml) in pairs() {
        let message = decode(&wbxml, Encoding::Wbxml, &Limits::default()).expect(&name);
        assert_eq!(encode(&message, Encoding::Wbxml).expect(&name), wbxml, "{name}");
    }
}

#[test]
fn text_vectors_come_back_equal() {
    for (name, xml, _) in pairs() {
        let message = decode(&xml, Encoding::Xml, &Limits::default()).expect(&name);
        let again = encode(&message, Encoding::Xml).expect(&name);
        assert_eq!(decode(&again, Encoding::Xml, &Limits::default()).expect(&name), message, "{name}");
    }
}

#[test]
fn both_encodings_of_a_vector_say_the_same() {
    for (name, xml, wbxml) in pairs() {
        // The tool that made the pairs read line feeds and wrote line ends of vCard.
        let xml = String::from_utf8(xml).expect(&name).replace('\n', "\r\n").into_bytes();
        let from_xml = decode(&xml, Encoding::Xml, &Limits::default()).expect(&name);
        let from_wbxml = decode(&wbxml, Encoding::Wbxml, &Limits::default()).expect(&name);
        assert_eq!(from_xml, from_wbxml, "{name}");
        for (bytes, encoding) in [(&xml, Encoding::Xml), (&wbxml, Encoding::Wbxml)] {
            assert_eq!(Encoding::sniff(bytes), Some(encoding));
            assert_eq!(decode_header(bytes, encoding, &Limits::default()).expect(&name), from_xml.header, "{name}");
        }
    }
}

/// Catalogue: WBX-1
#[test]
fn vectors_say_what_the_reference_says() {
    let facts = |wanted: &str| pairs().into_iter().find(|(name, ..)| name.starts_with(wanted)).expect(wanted).2;

    let bytes = facts("v1");
    assert_eq!(bytes.len(), 239);
    let message = decode(&bytes, Encoding::Wbxml, &Limits::default()).expect("v1");
    assert_eq!(message.header.version(), Some(Version::V12));
    assert_eq!(message.header.meta.as_ref().and_then(|meta| meta.max_msg_size), Some(10_000));
    assert!(message.last);
    let Some(Command::Put(put)) = message.body.get(1) else { panic!("no Put") };
    let Some(Data::DevInf(devinf)) = &put.items[0].data else { panic!("no DevInf") };
    assert_eq!((devinf.man.as_deref(), &*devinf.dev_id, &*devinf.dev_type), (Some("M"), "dev", "phone"));
    assert!(devinf.large_objects && !devinf.utc);

    let bytes = facts("v2");
    let message = decode(&bytes, Encoding::Wbxml, &Limits::default()).expect("v2");
    let cred = message.header.cred.expect("Cred");
    assert_eq!(&*cred.data, b"Zz6EivR3yeaaENcRN6lpAQ==");
    let Some(Command::Status(status)) = message.body.first() else { panic!("no Status") };
    assert_eq!(status.code.0, 407);
    assert_eq!(status.chal.as_ref().and_then(|chal| chal.meta.next_nonce.as_deref()), Some("Tm9uY2U="));

    let bytes = facts("v3");
    let message = decode(&bytes, Encoding::Wbxml, &Limits::default()).expect("v3");
    assert!(!message.last);
    let Some(Command::Sync(sync)) = message.body.get(1) else { panic!("no Sync") };
    assert_eq!(sync.number_of_changes, Some(1));
    let Some(Command::Change(add)) = sync.commands.first() else { panic!("no Add") };
    assert_eq!(add.meta.as_ref().and_then(|meta| meta.size), Some(40));
    assert_eq!(add.items[0].data.as_ref().and_then(Data::as_bytes), Some(&b"BEGIN:VCARD\r\nN:A\r\n"[..]));
    assert!(add.items[0].more_data);
}
