//! Has anything changed? `cargo run --example update_polling`.
//!
//! A question of one message, before a sync is worth its battery: by a device for its account, and by a platform for all that
//! it speaks for.

mod shared;

use shared::{Outcome, SERVER, add, contacts, now, post, run, secret};
use std::sync::Arc;
use syncml::auth::{DigestKind, Verifier};
use syncml::session::{Client, ClientConfig, Credentials, Poll, PollConfig, Server, ServerConfig};
use syncml::store::memory::MemoryStore;
use syncml::store::{Principal, PrincipalKind, Store};

fn main() -> Outcome {
    let there = Arc::new(MemoryStore::new([7; 32]));
    let directory = there.directory();
    let alice = directory.put_login("alice", &Verifier::Password(secret("secret")))?;
    directory.put_login("bob", &Verifier::Password(secret("secret")))?;
    let verifier = Verifier::device(DigestKind::Md5, &secret("open sesame"), "platform-1");
    directory.put_principal("platform-1", &Principal { kind: PrincipalKind::Platform, verifiers: vec![verifier] })?;
    for account in ["alice", "bob"] {
        directory.set_grant("platform-1", account, true)?;
    }
    let server = Server::new(there.clone(), ServerConfig::default())?;

    let here = Arc::new(MemoryStore::new([8; 32]));
    let own = here.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    let md5 = || Credentials::Md5 { user: "alice".to_owned(), password: secret("secret") };
    let phone = "IMEI:490154203237518";
    run(&server, &mut Client::begin(here, own, ClientConfig::new(SERVER, phone, md5(), contacts()), now())?)?;

    let question = || PollConfig::new(SERVER, phone, md5());
    println!("the phone, in step: {:?}", ask(&server, question())?);
    add(&*there, alice, "Ann")?;
    println!("the phone, after a change there: {:?}", ask(&server, question())?);

    // Of all accounts at once: an account without a name.
    let all = Credentials::Device { account: String::new(), secret: secret("open sesame") };
    let question = PollConfig { all: true, ..PollConfig::new(SERVER, "platform-1", all) };
    println!("the platform, for all: {:?}", ask(&server, question)?);
    Ok(())
}

/// The books with news.
fn ask(server: &Server, question: PollConfig) -> Outcome<Vec<String>> {
    let mut poll = Poll::new(question)?;
    while let Some(out) = poll.outgoing() {
        let reply = post(server, &out)?;
        poll.received(reply.content_type, &reply.body)?;
    }
    let changed = poll.news().iter().filter(|news| news.changed);
    Ok(changed
        .map(|news| format!("{}{}", news.account.as_deref().map_or(String::new(), |it| format!("{it}: ")), news.book))
        .collect())
}
