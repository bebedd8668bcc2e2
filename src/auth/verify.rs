//! Checking a credential against what is known, in constant time.

use super::{DigestName, Presented, Secret, Verifier, formulas};
use md5::Digest;
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// How a credential proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is static: basic or DeviceID.
    Static,
    /// It was made with the nonce at this place of the list.
    Nonce(usize),
}

/// Whether a credential is good against one of `verifiers`, and how it proved itself.
///
/// `verifiers` is what the directory keeps of the speaker: a login has one, a principal one per digest. An empty slice is
/// a speaker nobody knows; the same work is done then, and the answer is `None`, so that nobody can tell by the time it
/// takes. `nonces` are those that count now ([`Nonces::candidates`](super::Nonces::candidates)).
///
/// An **empty nonce never counts**, though the protocol lets a client without one use it (§5.2): such a credential is the
/// same every time, so who overhears it could use it for ever. It only earns a challenge, and the client repeats its
/// message, as all do.
///
/// MD5 comes in two formulas, of 1.0 and of 1.1 and later, and there are peers that use the one and declare the other.
/// Both are tried, whatever the message's version. That weakens nothing: each needs a fresh nonce and something as
/// good as the password, and who has it could as well declare the version that goes with it. A [`Verifier::Md5`] knows
/// the second formula only.
#[must_use]
pub fn verify(presented: &Presented<'_>, verifiers: &[Verifier], nonces: &[&[u8]]) -> Option<Proof> {
    let nobody;
    let (verifiers, known) = if verifiers.is_empty() {
        nobody = [dummy(presented)];
        (nobody.as_slice(), Choice::from(0))
    } else {
        (verifiers, Choice::from(1))
    };
    match presented {
        Presented::Basic { user, password } => {
            let good = any(verifiers, |verifier| basic(verifier, user, password));
            bool::from(good & known).then_some(Proof::Static)
        }
        Presented::Device { digest, credential, .. } => {
            let hash = Verifier::device_hash(credential);
            let good = any(verifiers, |verifier| device(verifier, *digest, &hash));
            bool::from(good & known).then_some(Proof::Static)
        }
        Presented::Md5 { user, digest } => by_nonce(nonces, known, |nonce| {
            any(verifiers, |verifier| {
                let login = Login::of(verifier, user);
                let later = formulas::md5_v11(&login.hash, nonce).ct_eq(digest);
                let first = formulas::md5_v10(user, &login.password, nonce).ct_eq(digest);
                (later & login.has_hash) | (first & login.has_password)
            })
        }),
        Presented::Mac { user, mac, body_hash } => by_nonce(nonces, known, |nonce| {
            any(verifiers, |verifier| {
                let login = Login::of(verifier, user);
                formulas::mac(&login.hash, nonce, body_hash).ct_eq(mac) & login.has_hash
            })
        }),
    }
}

/// A verifier that nothing fits, of the kind the scheme is checked against.
fn dummy(presented: &Presented<'_>) -> Verifier {
    match presented {
        Presented::Device { digest, .. } => Verifier::Device(*digest, [0; 32]),
        _ => Verifier::Password(nobodys_password()),
    }
}

fn nobodys_password() -> Secret {
    Secret::new("nobody's".to_owned())
}

/// All are tried, whichever is good.
fn any(verifiers: &[Verifier], good: impl Fn(&Verifier) -> Choice) -> Choice {
    verifiers.iter().fold(Choice::from(0), |found, verifier| found | good(verifier))
}

/// All are tried, whichever is good.
fn by_nonce(nonces: &[&[u8]], known: Choice, good: impl Fn(&[u8]) -> Choice) -> Option<Proof> {
    let mut found = u64::MAX;
    for (place, nonce) in nonces.iter().enumerate() {
        let counts = Choice::from(u8::from(!nonce.is_empty()));
        found.conditional_assign(&(place as u64), good(nonce) & counts & known);
    }
    usize::try_from(found).ok().filter(|place| *place < nonces.len()).map(Proof::Nonce)
}

fn basic(verifier: &Verifier, user: &str, password: &Secret) -> Choice {
    let login = Login::of(verifier, user);
    let same_hash = formulas::login_hash(user, password).ct_eq(&*login.hash);
    // Texts of different length are not compared in constant time: their hashes are.
    let same_password = sha256(password).ct_eq(&*sha256(&login.password));
    (same_password & login.has_password) | (same_hash & login.has_hash & !login.has_password)
}

fn sha256(text: &Secret) -> Zeroizing<[u8; 32]> {
    super::work::note();
    Zeroizing::new(Sha256::digest(text.expose().as_bytes()).into())
}

fn device(verifier: &Verifier, digest: DigestName, hash: &[u8; 32]) -> Choice {
    match verifier {
        Verifier::Device(name, kept) if *name == digest => kept.ct_eq(hash),
        _ => Choice::from(0),
    }
}

/// What a verifier says of a login, made with the same work for each kind.
struct Login {
    password: Secret,
    has_password: Choice,
    hash: Zeroizing<[u8; 16]>,
    has_hash: Choice,
}

impl Login {
    fn of(verifier: &Verifier, user: &str) -> Self {
        let (password, has_password) = match verifier {
            Verifier::Password(password) => (password.clone(), true),
            Verifier::Md5(_) | Verifier::Device(..) => (nobodys_password(), false),
        };
        let made = formulas::login_hash(user, &password);
        let (hash, has_hash) = match verifier {
            Verifier::Password(_) => (made, true),
            Verifier::Md5(hash) => (Zeroizing::new(*hash), true),
            Verifier::Device(..) => (made, false),
        };
        let (has_password, has_hash) = (Choice::from(u8::from(has_password)), Choice::from(u8::from(has_hash)));
        Self { password, has_password, hash, has_hash }
    }
}

#[cfg(test)]
mod tests {
    use super::{Proof, verify};
    use crate::auth::{DigestKind, DigestName, Presented, Secret, Verifier, formulas};
    use zeroize::Zeroizing;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn basic(user: &str, password: &str) -> Presented<'static> {
        Presented::Basic { user: user.to_owned(), password: secret(password) }
    }

    fn md5(user: &'static str, digest: [u8; 16]) -> Presented<'static> {
        Presented::Md5 { user: user.into(), digest }
    }

    /// One of each kind a login can be kept as.
    fn logins() -> [Verifier; 2] {
        [Verifier::Password(secret("OhBehave")), Verifier::md5("Bruce2", &secret("OhBehave"))]
    }

    fn device(digest: DigestKind, text: &str, id: &'static str) -> Presented<'static> {
        let credential = formulas::device_credential(digest, &secret(text), id);
        Presented::Device {
            device_id: id.into(),
            account: None,
            digest: crate::auth::Digester::name(&digest),
            credential,
        }
    }

    #[test]
    fn basic_needs_name_and_password() {
        for verifier in logins() {
            for (user, password, good) in [
                ("Bruce2", "OhBehave", true),
                ("Bruce2", "ohbehave", false),
                ("Bruce2", "OhBehave ", false),
                ("Bruce2", "", false),
                ("Bruce2", "nobody's", false),
            ] {
                let found = verify(&basic(user, password), std::slice::from_ref(&verifier), &[]);
                assert_eq!(found, good.then_some(Proof::Static), "{verifier:?} {password}");
            }
        }
        assert_eq!(verify(&basic("Bruce1", "OhBehave"), &logins()[1..], &[]), None);
    }

    #[test]
    fn md5_takes_both_formulas() {
        let [password, hash] = logins();
        let v10 = md5("Bruce2", formulas::md5_v10("Bruce2", &secret("OhBehave"), b"Nonce"));
        let v11 = md5("Bruce2", formulas::md5_v11(&formulas::login_hash("Bruce2", &secret("OhBehave")), b"Nonce"));
        for (presented, verifier, nonces, proof) in [
            (&v10, &password, vec![&b"Nonce"[..]], Some(Proof::Nonce(0))),
            (&v11, &password, vec![b"Nonce"], Some(Proof::Nonce(0))),
            (&v10, &hash, vec![b"Nonce"], None),
            (&v11, &hash, vec![b"Nonce"], Some(Proof::Nonce(0))),
            (&v11, &hash, vec![b"other", b"", b"Nonce", b"more"], Some(Proof::Nonce(2))),
            (&v10, &password, vec![b"nonce"], None),
            (&v11, &password, vec![b"Tm9uY2U="], None),
            (&v11, &password, vec![], None),
        ] {
            assert_eq!(verify(presented, std::slice::from_ref(verifier), &nonces), proof, "{verifier:?} {nonces:?}");
        }
        // The digest covers the name.
        let Presented::Md5 { digest, .. } = v10 else { unreachable!("it is one") };
        assert_eq!(verify(&md5("Bruce1", digest), &[password], &[b"Nonce"]), None);
    }

    #[test]
    fn an_empty_nonce_never_counts() {
        let [password, hash] = logins();
        let v10 = md5("Bruce2", formulas::md5_v10("Bruce2", &secret("OhBehave"), b""));
        let v11 = md5("Bruce2", formulas::md5_v11(&formulas::login_hash("Bruce2", &secret("OhBehave")), b""));
        for (presented, verifier) in [(&v10, &password), (&v11, &password), (&v11, &hash)] {
            assert_eq!(verify(presented, std::slice::from_ref(verifier), &[b"", b"Nonce"]), None);
        }
    }

    #[test]
    fn mac_covers_the_message() {
        let login = formulas::login_hash("Bruce2", &secret("OhBehave"));
        let mac = formulas::mac(&login, b"Nonce", &formulas::body_hash(b"body"));
        let over = |body: &[u8]| Presented::Mac { user: "Bruce2".into(), mac, body_hash: formulas::body_hash(body) };
        for verifier in logins() {
            let verifier = std::slice::from_ref(&verifier);
            assert_eq!(verify(&over(b"body"), verifier, &[b"x", b"Nonce"]), Some(Proof::Nonce(1)));
            assert_eq!(verify(&over(b"Body"), verifier, &[b"x", b"Nonce"]), None);
            assert_eq!(verify(&over(b"body"), verifier, &[b"x", b""]), None);
        }
    }

    #[test]
    fn device_needs_secret_device_and_digest() {
        let both = DigestKind::ALL.map(|digest| Verifier::device(digest, &secret("Secret"), "IMEI:1"));
        for digest in DigestKind::ALL {
            for (text, id, good) in
                [("Secret", "IMEI:1", true), ("secret", "IMEI:1", false), ("Secret", "IMEI:2", false)]
            {
                let found = verify(&device(digest, text, id), &both, &[]);
                assert_eq!(found, good.then_some(Proof::Static), "{digest:?} {text} {id}");
            }
        }
        assert_eq!(verify(&device(DigestKind::Md5, "Secret", "IMEI:1"), &both[1..], &[]), None);
    }

    /// Catalogue: S3
    #[test]
    fn a_hosts_own_digest_is_checked_by_its_name() {
        let name = DigestName::new("sm3").unwrap();
        let credential = Zeroizing::new(vec![1, 2, 3]);
        let verifier = Verifier::Device(name, Verifier::device_hash(&credential));
        for (digest, good) in [(name, true), (DigestName::MD5, false)] {
            let presented =
                Presented::Device { device_id: "D".into(), account: None, digest, credential: credential.clone() };
            assert_eq!(verify(&presented, std::slice::from_ref(&verifier), &[]).is_some(), good);
        }
    }

    /// One who is not known costs as much as one whose secret is wrong, however it is kept.
    #[test]
    fn nobody_costs_what_somebody_costs() {
        let devices = DigestKind::ALL.map(|digest| Verifier::device(digest, &secret("Secret"), "IMEI:1"));
        let nonces: [&[u8]; 2] = [b"Nonce", b"another"];
        let mac = Presented::Mac { user: "Bruce2".into(), mac: [1; 16], body_hash: [2; 16] };
        for presented in
            [basic("Bruce2", "wrong"), md5("Bruce2", [1; 16]), mac, device(DigestKind::Md5, "wrong", "IMEI:1")]
        {
            let work = |verifiers: &[Verifier]| {
                crate::auth::work::take();
                assert_eq!(verify(&presented, verifiers, &nonces), None);
                crate::auth::work::take()
            };
            let nobody = work(&[]);
            assert!(nobody > 0, "{presented:?}");
            let [password, hash] = logins();
            assert_eq!([work(&[password]), work(&[hash])], [nobody; 2], "{presented:?}");
            if matches!(presented, Presented::Device { .. }) {
                assert_eq!(work(&devices), nobody, "{presented:?}");
            }
        }
    }

    /// Whatever is presented, also what would fit the stand-in for nobody.
    #[test]
    fn nobody_is_never_good() {
        let password = secret("nobody's");
        let hash = formulas::login_hash("x", &password);
        for presented in [
            basic("x", "nobody's"),
            md5("x", formulas::md5_v10("x", &password, b"Nonce")),
            md5("x", formulas::md5_v11(&hash, b"Nonce")),
            Presented::Mac { user: "x".into(), mac: formulas::mac(&hash, b"Nonce", &[0; 16]), body_hash: [0; 16] },
            device(DigestKind::Md5, "Secret", "IMEI:1"),
        ] {
            assert_eq!(verify(&presented, &[], &[b"Nonce"]), None, "{presented:?}");
        }
    }

    #[test]
    fn a_verifier_serves_its_own_schemes_only() {
        let device_verifier = Verifier::device(DigestKind::Md5, &secret("OhBehave"), "Bruce2");
        let password = secret("nobody's");
        for presented in [
            basic("Bruce2", "OhBehave"),
            basic("Bruce2", "nobody's"),
            md5("Bruce2", formulas::md5_v10("Bruce2", &password, b"Nonce")),
            md5("Bruce2", formulas::md5_v11(&formulas::login_hash("Bruce2", &password), b"Nonce")),
        ] {
            assert_eq!(verify(&presented, std::slice::from_ref(&device_verifier), &[b"Nonce"]), None);
        }
        // The stand-in for the password that a hash does not reveal opens nothing either.
        let v10 = md5("Bruce2", formulas::md5_v10("Bruce2", &password, b"Nonce"));
        assert_eq!(verify(&v10, &logins()[1..], &[b"Nonce"]), None);
        assert_eq!(verify(&device(DigestKind::Md5, "OhBehave", "Bruce2"), &logins(), &[]), None);
    }
}
