//! Messages and device information (§2, §7): whatever the bytes, they are read within the limits or refused; what was read
//! can be written, and then says the same.

use crate::codec::{Encoding, Limits, adapt, decode, decode_devinf, decode_header, encode, encode_devinf};
use crate::message::{Message, Version};

/// The limits under test: small, so that they are met.
pub const LIMITS: Limits =
    Limits { max_message: 1 << 16, max_depth: 16, max_elements: 2_000, max_text: 1 << 14, max_string_table: 1 << 12 };

/// A message in XML.
pub fn xml(bytes: &[u8]) {
    message(bytes, Encoding::Xml);
}

/// A message in WBXML.
pub fn wbxml(bytes: &[u8]) {
    message(bytes, Encoding::Wbxml);
}

fn message(bytes: &[u8], encoding: Encoding) {
    let header = decode_header(bytes, encoding, &LIMITS);
    let Ok(read) = decode(bytes, encoding, &LIMITS) else { return };
    assert_eq!(header.as_ref(), Ok(&read.header), "the header alone says what the message's header says");
    // A quotation of a message is larger than the message was.
    let wide = Limits::default();
    for other in [encoding, Encoding::Xml, Encoding::Wbxml] {
        let mut adapted = read.clone();
        adapt(&mut adapted, other);
        let Ok(written) = encode(&adapted, other) else { continue };
        let again = decode(&written, other, &wide).unwrap_or_else(|error| panic!("written as {other:?}: {error}"));
        assert_eq!(again.last, read.last);
        assert_eq!((&again.header.session_id, again.header.msg_id), (&read.header.session_id, read.header.msg_id));
        assert_eq!(names(&again), names(&read), "the same commands in the same order");
        // What a version or an encoding has no way to say is left out or quoted (a nonce in clear becomes base64 by way of
        // opaque octets); after that nothing changes any more.
        let twice = encode(&again, other).unwrap_or_else(|error| panic!("written again as {other:?}: {error}"));
        let third = decode(&twice, other, &wide).unwrap_or_else(|error| panic!("and read as {other:?}: {error}"));
        assert_eq!(encode(&third, other).as_ref(), Ok(&twice), "the same message is the same bytes");
        assert_eq!(Encoding::sniff(&written), Some(other));
    }
}

fn names<'m>(message: &'m Message<'_>) -> Vec<&'m str> {
    message.body.iter().map(crate::message::Command::name).collect()
}

/// A device information document, in either encoding.
pub fn devinf(bytes: &[u8]) {
    let Ok(read) = decode_devinf(bytes, &LIMITS) else { return };
    for version in Version::ALL {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let Ok(written) = encode_devinf(&read, version, encoding) else { continue };
            let again = decode_devinf(&written, &Limits::default())
                .unwrap_or_else(|error| panic!("written as {version:?} in {encoding:?}: {error}"));
            let twice = encode_devinf(&again, version, encoding);
            assert_eq!(twice.as_ref(), Ok(&written), "what a version has no word for is left out once");
        }
    }
}
