//! What the schemes compute (§5.2, §5.6, mission S3). All results are raw octets; the wire carries them in base64.

use super::{Digester, Secret, b64};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

/// `MD5(user ":" password)`: all that 1.1 and later need of a password, and as good as it there.
#[must_use]
pub fn login_hash(user: &str, password: &Secret) -> Zeroizing<[u8; 16]> {
    md5(&[user.as_bytes(), b":", password.expose().as_bytes()])
}

/// The MD5 credential of SyncML 1.0: `MD5(user ":" password ":" nonce)`. Without a nonce it still ends with `:`.
#[must_use]
pub fn md5_v10(user: &str, password: &Secret, nonce: &[u8]) -> [u8; 16] {
    *md5(&[user.as_bytes(), b":", password.expose().as_bytes(), b":", nonce])
}

/// The MD5 credential of 1.1 and later: `MD5(B64(login hash) ":" nonce)`.
#[must_use]
pub fn md5_v11(login_hash: &[u8; 16], nonce: &[u8]) -> [u8; 16] {
    let hash = Zeroizing::new(b64::encode(login_hash));
    *md5(&[hash.as_bytes(), b":", nonce])
}

/// The message authentication code of §5.6, and the digest of a notification (§8.2):
/// `MD5(B64(login hash) ":" nonce ":" B64(body hash))`, where the body hash is the MD5 of the octets on the wire.
#[must_use]
pub fn mac(login_hash: &[u8; 16], nonce: &[u8], body_hash: &[u8; 16]) -> [u8; 16] {
    let hash = Zeroizing::new(b64::encode(login_hash));
    *md5(&[hash.as_bytes(), b":", nonce, b":", b64::encode(body_hash).as_bytes()])
}

/// The code of an answer: the same with the request's code for a nonce, and a word at its end, so that nothing a client was
/// made to sign can be taken for what a server said.
#[must_use]
pub fn answer_mac(login_hash: &[u8; 16], request: &[u8], body_hash: &[u8; 16]) -> [u8; 16] {
    let hash = Zeroizing::new(b64::encode(login_hash));
    *md5(&[hash.as_bytes(), b":", request, b":", b64::encode(body_hash).as_bytes(), b":answer"])
}

/// The MD5 of a message as it stands on the wire, for [`mac`].
#[must_use]
pub fn body_hash(body: &[u8]) -> [u8; 16] {
    *md5(&[body])
}

/// The DeviceID credential: the digest of secret and device id, their UTF-8 octets one after the other (mission S3).
#[must_use]
pub fn device_credential(digester: impl Digester, secret: &Secret, device_id: &str) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(secret.expose().len() + device_id.len()));
    octets.extend_from_slice(secret.expose().as_bytes());
    octets.extend_from_slice(device_id.as_bytes());
    Zeroizing::new(digester.digest(&octets))
}

fn md5(parts: &[&[u8]]) -> Zeroizing<[u8; 16]> {
    super::work::note();
    let mut digest = Md5::new();
    for part in parts {
        digest.update(part);
    }
    Zeroizing::new(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::{body_hash, device_credential, login_hash, mac, md5_v10, md5_v11};
    use crate::auth::{DigestKind, DigestName, Digester, Secret, b64};

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    /// The vectors of §5.2.
    /// Catalogue: AUTH-4, AUTH-5
    #[test]
    fn md5_vectors() {
        let password = secret("OhBehave");
        for (user, v10, v11) in [
            ("Bruce2", Some("UmkqAAZhiQvXXhfaf/u+OQ=="), "Zz6EivR3yeaaENcRN6lpAQ=="),
            ("Bruce1", None, "+MEIKFrF8Qdou2B1H2YmXw=="),
        ] {
            if let Some(v10) = v10 {
                assert_eq!(b64::encode(&md5_v10(user, &password, b"Nonce")), v10);
            }
            assert_eq!(b64::encode(&md5_v11(&login_hash(user, &password), b"Nonce")), v11);
        }
    }

    /// The notifications of §8.2: the same formula, over what follows the digest.
    #[test]
    fn mac_vectors() {
        const HEAD: &[u8] = b"\x03\x18\0\0\0\0\0\x12PC Suite Data Sync\x10\x60\0\0\0\x08";
        let hash = login_hash("PC Suite Data Sync", &secret(""));
        for (book, digest) in [
            ("Contacts", 0x0179_ab67_1b68_f266_9826_9b4c_a782_22ad_u128),
            ("Calendar", 0x65ad_f16b_1fee_d840_0286_83cf_c822_6b8b),
        ] {
            let body = [HEAD, book.as_bytes()].concat();
            assert_eq!(u128::from_be_bytes(mac(&hash, b"", &body_hash(&body))), digest, "{book}");
        }
    }

    /// `printf %s 'SecretIMEI:004999010640000' | md5sum`, `… | sha256sum`.
    /// Catalogue: S3
    #[test]
    fn device_vectors() {
        for (digest, text) in [
            (DigestKind::Md5, "2PAgVqDQYe3MAlk9SLm6Vg=="),
            (DigestKind::Sha256, "wIqzC2PPNbfV5fL3b2+eu+4FSCzQA0csXaM/b3vi+To="),
        ] {
            let credential = device_credential(digest, &secret("Secret"), "IMEI:004999010640000");
            assert_eq!(b64::encode(&credential), text);
        }
    }

    #[test]
    fn secret_and_device_id_are_utf_8_in_this_order() {
        struct Echo;
        impl Digester for Echo {
            fn name(&self) -> DigestName {
                DigestName::new("echo").unwrap()
            }
            fn digest(&self, octets: &[u8]) -> Vec<u8> {
                octets.to_vec()
            }
        }
        let credential = device_credential(Echo, &secret("пароль"), "设备");
        assert_eq!(credential.as_slice(), "пароль设备".as_bytes());
    }
}
