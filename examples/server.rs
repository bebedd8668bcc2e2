//! A SyncML server over HTTP, its books in an SQLite file: `cargo run --features http --example server -- [ADDRESS [FILE]]`.
//!
//! `cargo run --features http --example client` syncs with it. Ctrl-C ends it, once what is in hand is done.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program: it reads its arguments and listens

use std::error::Error;
use std::sync::Arc;
use syncml::auth::{Secret, Verifier};
use syncml::session::{Server, ServerConfig};
use syncml::store::Store;
use syncml::store::sqlite::SqliteStore;
use syncml::transport::http::server::{Options, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let file = arguments.next().unwrap_or_else(|| "target/example-server.db".to_owned());

    let store = Arc::new(SqliteStore::open(file)?);
    store.directory().put_login("alice", &Verifier::Password(Secret::new("secret".to_owned())))?;
    let server = Arc::new(Server::new(store, ServerConfig::default())?);

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/syncml", listener.local_addr()?);
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    Ok(serve(listener, server, Options::default(), ctrl_c).await?)
}
