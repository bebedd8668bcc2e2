//! SyncML inside a tokio program of one's own, beside its other routes, by hand: `cargo run --features http --example axum_host`.
//!
//! A message may wait for the database, so it is answered on a thread that may block. `transport::http::server::router` does
//! all this and more (packing, limits on slow senders, request ids) as a router to nest.

mod shared;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use shared::{Outcome, add, contacts, names, now, secret};
use std::sync::Arc;
use syncml::auth::Verifier;
use syncml::session::{Client, ClientConfig, Credentials, Request, Server, ServerConfig};
use syncml::store::Store;
use syncml::store::memory::MemoryStore;
use syncml::transport::http::client::{HttpClient, Options, run};
use syncml::transport::http::{MAC_HEADER, token};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

async fn syncml(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let answer = spawn_blocking(move || {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        server.answer(&Request {
            content_type: header("content-type").unwrap_or_default(),
            body: &body,
            token: token(uri.query()),
            mac: header(MAC_HEADER),
            protected: false,
            loopback: true,
            address: None, // of the connection, for back-off: axum's `ConnectInfo`
            now: now(),
        })
    });
    match answer.await {
        Ok(Ok(reply)) => {
            let mut response = ([(header::CONTENT_TYPE, reply.content_type)], reply.body).into_response();
            if let Some(mac) = reply.mac.and_then(|mac| mac.parse().ok()) {
                response.headers_mut().insert(MAC_HEADER, mac);
            }
            response
        }
        Ok(Err(refusal)) => {
            let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, refusal.to_string()).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let store = Arc::new(MemoryStore::new([7; 32]));
    let alice = store.directory().put_login("alice", &Verifier::Password(secret("secret")))?;
    add(&*store, alice, "Ann")?;
    let server = Arc::new(Server::new(store, ServerConfig::default())?);
    let routes = Router::new().route("/", get(|| async { "the host's own page" })).route("/syncml", post(syncml));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/syncml", listener.local_addr()?);
    tokio::spawn(async move { serve(listener, routes.with_state(server)).await });

    // A device, on a thread that may block.
    let found = spawn_blocking(move || device(uri).map_err(|error| error.to_string())).await??;
    println!("the device has {found}");
    assert_eq!(found, "Ann, Bob");
    Ok(())
}

fn device(uri: String) -> Outcome<String> {
    let store = Arc::new(MemoryStore::new([8; 32]));
    let own = store.directory().put_login("own", &Verifier::Password(secret("nobody asks")))?;
    add(&*store, own, "Bob")?;
    let credentials = Credentials::Md5 { user: "alice".to_owned(), password: secret("secret") };
    let config = ClientConfig::new(uri, "IMEI:490154203237518", credentials, contacts());
    let mut client = Client::begin(store.clone(), own, config, now())?;
    run(&mut client, &HttpClient::new(Options::default())?, &mut ())?;
    Ok(names(&*store, own)?.join(", "))
}
