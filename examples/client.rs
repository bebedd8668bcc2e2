//! A device that syncs its contacts over HTTP: `cargo run --features http --example client -- [URL [FILE]]`.

#![allow(clippy::disallowed_methods)] // a program: it reads its arguments

mod shared;

use shared::{Outcome, add, contacts, names, now, secret};
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::session::{Client, ClientConfig, Credentials};
use syncml::store::Store;
use syncml::store::sqlite::SqliteStore;
use syncml::transport::http::client::{Event, HttpClient, Options, Watch, run};

/// Who looks on: what was done so far, after every message.
struct Progress;

impl Watch for Progress {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Books { books } = event {
            for book in *books {
                println!("{} ({}): {} received, {} sent", book.book, book.mode, book.received.added, book.sent.added);
            }
        }
    }
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080/syncml".to_owned());
    let file = arguments.next().unwrap_or_else(|| "target/example-client.db".to_owned());

    let store = Arc::new(SqliteStore::open(file)?);
    let own = store.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    if names(&*store, own)?.is_empty() {
        add(&*store, own, "Ann")?;
    }
    let credentials = Credentials::Md5 { user: "alice".to_owned(), password: secret("secret") };
    let config = ClientConfig::new(server, "IMEI:490154203237518", credentials, contacts());
    let mut client = Client::begin(store.clone(), own, config, now())?;
    run(&mut client, &HttpClient::new(Options::default())?, &mut Progress)?;
    println!("in step: {}; here: {}", client.report().clean, names(&*store, own)?.join(", "));
    Ok(())
}
