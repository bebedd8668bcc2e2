//! A phone that needs things done differently, told as data: `cargo run --example device_profile`.
//!
//! The shipped rules know some dozens of peers; a host's own come first. This one knows a make of phones by their ids, and
//! sends them no ids longer than eight characters.

mod shared;

use shared::{Outcome, SERVER, add, contacts, now, post, secret};
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::session::{Client, ClientConfig, Credentials, Profiles, Server, ServerConfig};
use syncml::store::Store;
use syncml::store::memory::MemoryStore;

const RULES: &str = r#"[{
    "name": "acme-phones",
    "when": { "id": ["ACME-*"] },
    "because": "their firmware cuts longer ids, and then means another card",
    "then": { "max_guid": 8 }
}]"#;

fn main() -> Outcome {
    let mut profiles = Profiles::shipped();
    profiles.read(RULES)?;
    println!("ACME-7 is treated by: {:?}", profiles.about("ACME-7", None));
    println!("others are treated by: {:?}", profiles.about("IMEI:490154203237518", None));

    let there = Arc::new(MemoryStore::new([7; 32]));
    let alice = there.directory().put_login("alice", &Verifier::Password(secret("secret")))?;
    add(&*there, alice, "Ann")?;
    let mut config = ServerConfig::default();
    config.profiles = profiles;
    let server = Server::new(there, config)?;

    let here = Arc::new(MemoryStore::new([8; 32]));
    let own = here.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    let credentials = Credentials::Md5 { user: "alice".to_owned(), password: secret("secret") };
    let mut client = Client::begin(here, own, ClientConfig::new(SERVER, "ACME-7", credentials, contacts()), now())?;
    // The server's last answer of the session bears its report, which names the rules.
    let mut applied = Vec::new();
    while let Some(out) = client.outgoing() {
        let reply = post(&server, &out)?;
        applied.extend(reply.report.iter().flat_map(|report| report.profile.clone()));
        client.received(reply.content_type, &reply.body, now())?;
    }
    println!("and was, in its session: {applied:?}");
    assert_eq!(applied, ["acme-phones"]);
    Ok(())
}
