//! Two nodes on one PostgreSQL, and one session over both: `cargo run --features postgres --example postgres_node -- ADDRESS`.
//!
//! The address is as of libpq, such as `postgres://syncml@localhost/books`; the tables are made when they are not there.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments

mod shared;

use shared::{Outcome, SERVER, add, contacts, names, now, post, secret};
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::session::{Client, ClientConfig, Credentials, Server, ServerConfig};
use syncml::store::Store;
use syncml::store::memory::MemoryStore;
use syncml::store::postgres::{PostgresOptions, PostgresStore};

fn main() -> Outcome {
    let address = std::env::args().nth(1).ok_or("say where the database is: postgres://user@host/name")?;
    // As two processes would, on two machines: they share nothing but the database.
    let open = || PostgresStore::open(&address, PostgresOptions::default());
    let (one, two) = (Arc::new(open()?), Arc::new(open()?));
    let alice = one.directory().put_login("alice", &Verifier::Password(secret("secret")))?;
    if names(&*one, alice)?.is_empty() {
        add(&*one, alice, "Ann")?;
    }
    let nodes = [Server::new(one, ServerConfig::default())?, Server::new(two, ServerConfig::default())?];

    let here = Arc::new(MemoryStore::new([8; 32]));
    let own = here.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    let credentials = Credentials::Md5 { user: "alice".to_owned(), password: secret("secret") };
    let config = ClientConfig::new(SERVER, "IMEI:490154203237518", credentials, contacts());
    let mut client = Client::begin(here.clone(), own, config, now())?;
    // A balancer that turns with every message; each is sent twice, and the other node gives the same answer again.
    for turn in 0.. {
        let Some(out) = client.outgoing() else { break };
        let reply = post(&nodes[turn % 2], &out)?;
        assert_eq!(post(&nodes[(turn + 1) % 2], &out)?.body, reply.body);
        client.received(reply.content_type, &reply.body, now())?;
    }
    println!("in step over two nodes: {}; here: {}", client.report().clean, names(&*here, own)?.join(", "));
    Ok(())
}
