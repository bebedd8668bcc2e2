//! Credentials, challenges, MAC headers and tokens (§5): whatever is presented, nobody is let in who has not the secret.

use super::input::parts;
use crate::auth::{
    Challenge, DigestKind, MacHeader, Policy, Presented, Secret, Transport, Verifier, parse_token, token_parameter,
    token_text, verify,
};
use crate::codec::{Encoding, decode_header};
use crate::message::{Chal, Cred, Location, Meta};

/// Type, Format, Data and name of a credential, then a MAC header, a token and a nonce, kept apart by the byte 1E.
pub fn auth(bytes: &[u8]) {
    let [media_type, format, data, name, mac, token, nonce] = parts::<7>(bytes);
    let [media_type, format, name, mac, token, nonce] =
        [media_type, format, name, mac, token, nonce].map(String::from_utf8_lossy);
    let meta = Meta {
        format: (!format.is_empty()).then(|| format.clone()),
        media_type: (!media_type.is_empty()).then(|| media_type.clone()),
        next_nonce: Some(nonce.clone()),
        ..Meta::default()
    };
    let source = Location { uri: "IMEI:1".into(), name: (!name.is_empty()).then(|| name.clone()) };
    let cred = Cred { meta: Some(meta.clone()), data: data.into() };
    match Presented::read(&cred, &source) {
        Ok(Some(presented)) => judges(&presented),
        Ok(None) => {}
        Err(error) => assert!(error.status().0 >= 400, "{error}"),
    }
    if let Ok(challenge) = Challenge::read(&Chal { meta }) {
        assert_eq!(Challenge::read(&challenge.to_chal()).as_ref(), Ok(&challenge), "a challenge is read as it was put");
    }
    if let Some(header) = MacHeader::parse(&mac) {
        if let Ok(presented) = Presented::of_mac(&header, &source, data) {
            judges(&presented);
        }
        // A control is no part of a name; the algorithm and the code stand without quotes and have no separators.
        let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
        if !header.user.chars().any(char::is_control) && plain(&header.algorithm) && plain(&header.mac) {
            let written = header.to_string();
            assert_eq!(MacHeader::parse(&written).as_ref(), Some(&header), "{written:?}");
        }
    }
    if let Some((account, octets)) = parse_token(token_parameter(&token).unwrap_or(&token)) {
        assert_eq!(parse_token(&token_text(account, &octets)), Some((account, octets)));
    }
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        if let Ok(header) = decode_header(bytes, encoding, &super::codec::LIMITS)
            && let Ok(Some(presented)) = Presented::of_header(&header)
        {
            judges(&presented);
        }
    }
}

fn judges(presented: &Presented<'_>) {
    let secret = Secret::new("no fuzzer guesses this \u{1F511}".to_owned());
    let user = presented.user().unwrap_or_default();
    let verifiers = [
        Verifier::Password(Secret::new(secret.expose().to_owned())),
        Verifier::md5(user, &secret),
        Verifier::device(DigestKind::Md5, &secret, presented.suspect()),
        Verifier::device(DigestKind::Sha256, &secret, presented.suspect()),
    ];
    assert_eq!(verify(presented, &verifiers, &[b"nonce", b""]), None, "nobody is let in without the secret");
    assert_eq!(verify(presented, &[], &[b"nonce"]), None, "nobody is nobody");
    for verifier in &verifiers {
        let again = Verifier::from_bytes(verifier.scheme(), &verifier.to_bytes());
        assert_eq!(again.map(|it| it.to_bytes()), Some(verifier.to_bytes()), "a verifier comes back as it was stored");
    }
    let open = Transport::default();
    let strict = Policy { refuse_md5: true, require_mac: true, ..Policy::default() };
    for policy in [Policy::default(), strict] {
        let wanted = policy.challenge(Some(presented.scheme()), open);
        assert!(policy.accepts(wanted, open), "what is asked for is taken");
    }
    assert!(!format!("{presented:?}").contains("assword"), "Debug tells no secret");
}
