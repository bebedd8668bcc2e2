//! Who may speak, and how it is proven: `cargo run --example device_hmac`.
//!
//! A handset with a MAC over every message and every answer; a platform with a shared secret, which speaks for the accounts
//! that it was granted; and what those hear who are not let in.

mod shared;

use shared::{Outcome, SERVER, add, contacts, names, now, run, secret};
use std::sync::Arc;
use syncml::auth::{DigestKind, Verifier};
use syncml::session::{Client, ClientConfig, Credentials, Server, ServerConfig, ServerIdentity};
use syncml::store::memory::MemoryStore;
use syncml::store::{Principal, PrincipalKind, Store};

fn main() -> Outcome {
    let there = Arc::new(MemoryStore::new([7; 32]));
    let directory = there.directory();
    let alice = directory.put_login("alice", &Verifier::Password(secret("secret")))?;
    add(&*there, alice, "Ann")?;
    let server = Server::new(there.clone(), ServerConfig::default())?;

    // A MAC over the message and a nonce, so that nobody on the way can change a byte; the answers have one, too, and the
    // device takes none without (§5.6 of the binding).
    let mac = || Credentials::Mac { user: "alice".to_owned(), password: secret("secret") };
    let prove = |config: &mut ClientConfig| {
        config.server = Some(ServerIdentity { name: "alice".to_owned(), secret: secret("secret") });
    };
    println!("a handset, by MAC: {}", device(&server, "IMEI:490154203237518", mac(), prove)?);

    // Base64(MD5(secret, device id)): what is kept here opens nothing else.
    let verifier = Verifier::device(DigestKind::Md5, &secret("open sesame"), "platform-1");
    directory.put_principal("platform-1", &Principal { kind: PrincipalKind::Platform, verifiers: vec![verifier] })?;
    let speak_for = |account: &str| Credentials::Device { account: account.to_owned(), secret: secret("open sesame") };
    let refused = device(&server, "platform-1", speak_for("alice"), |_| ());
    println!("a platform that was granted nothing: {}", refused.err().ok_or("it was let in")?);
    directory.set_grant("platform-1", "alice", true)?;
    println!("the same, granted: {}", device(&server, "platform-1", speak_for("alice"), |_| ())?);
    Ok(())
}

/// A new device syncs; whom it has then.
fn device(server: &Server, id: &str, credentials: Credentials, change: impl Fn(&mut ClientConfig)) -> Outcome<String> {
    let store = Arc::new(MemoryStore::new([8; 32]));
    let own = store.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    let mut config = ClientConfig::new(SERVER, id, credentials, contacts());
    change(&mut config);
    run(server, &mut Client::begin(store.clone(), own, config, now())?)?;
    Ok(names(&*store, own)?.join(", "))
}
