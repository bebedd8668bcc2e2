//! The page: a book seen and edited by its owner in a browser (missions B9, R3, R5, C6).
//!
//! Pages are written at the server and work without a script; the script brings search as you type and what is under way.
//! Nothing is fetched from elsewhere, nothing has to be built. An edit is a write like any other, through the one door of a
//! book: devices get it with their next sync, and what it replaced is in the history.
//!
//! Enters: HTTP requests below `/console`. Leaves: HTML. `routes` is the table of all pages; those that need somebody who
//! is signed in get him as an argument, which only `session` can make. What each kind of attacker can and cannot do is told
//! in docs/console.md.

// An edge: here the clock is read and randomness drawn, to be handed in.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod answer;
mod books;
mod card;
mod conflicts;
mod devices;
mod edit;
mod form;
mod frame;
mod held;
mod html;
mod live;
mod lost;
mod past;
mod phrases;
mod restore;
mod routes;
mod search;
mod session;
mod sign_in;

use self::answer::Answer;
use self::form::{Fields, cookie};
use self::html::ROOT;
use self::phrases::Language;
use self::session::Door;
use crate::auth::Attempts;
use crate::message::Timestamp;
use crate::store::Store;
use crate::transport::http::now;
use crate::transport::http::server::{Caller, Options};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::http::request::Parts;
use axum::http::{Method, Response};
use axum::routing::any;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The largest form, in bytes: that of a card with a long note.
const LARGEST_FORM: usize = 1 << 20;
/// How long a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A router for what is below `/console`, over the store that the server serves; to be put into [`Options::beside`] of the
/// options given, which say who is behind TLS and whose request it is. `attempts` is where the server counts failed credentials
/// ([`Server::with_attempts`](crate::session::Server::with_attempts)), so that who guesses here and there is slowed down once.
///
/// Without TLS only this machine itself is served.
pub fn router(store: Arc<dyn Store>, attempts: Arc<Attempts>, options: &Options) -> Router {
    let console = Arc::new(Console { door: Door::new(store, attempts), options: options.clone() });
    let paths = [ROOT.to_owned(), format!("{ROOT}/"), format!("{ROOT}/{{*rest}}")];
    paths.iter().fold(Router::new(), |router, path| router.route(path, any(handle))).with_state(console)
}

struct Console {
    door: Door,
    options: Options,
}

/// What is asked for, by whomever.
struct Asked {
    /// Below [`ROOT`], with a slash before each part.
    path: String,
    method: Method,
    query: Fields,
    language: Language,
    caller: Caller,
    now: Timestamp,
    cookies: Vec<String>,
    /// Whether the browser says that another site sends it.
    foreign: bool,
    /// The numbers in the path.
    numbers: Vec<i64>,
}

impl Asked {
    fn of(head: &Parts, options: &Options) -> Option<Self> {
        let texts = |name| head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let cookies: Vec<_> = texts(COOKIE).map(str::to_owned).collect();
        let chosen = cookie(cookies.iter().map(String::as_str), LANGUAGE_COOKIE).and_then(Language::of_code);
        let accepted = || Language::accepted(&texts(ACCEPT_LANGUAGE).collect::<Vec<_>>().join(","));
        let site = head.headers.get("sec-fetch-site").map(|value| value.as_bytes());
        Some(Self {
            path: head.uri.path().strip_prefix(ROOT)?.trim_end_matches('/').to_owned(),
            method: head.method.clone(),
            query: Fields::parse(head.uri.query().unwrap_or_default().as_bytes())?,
            language: chosen.unwrap_or_else(accepted),
            caller: Caller::of(options, head),
            now: now(),
            foreign: site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")),
            cookies,
            numbers: Vec::new(),
        })
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        cookie(self.cookies.iter().map(String::as_str), name)
    }

    /// Over TLS a cookie's name says that no other host and no plain HTTP can set it.
    fn cookie_name(&self, name: &str) -> String {
        if self.caller.protected { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// The number in that place of the path.
    fn number(&self, at: usize) -> i64 {
        self.numbers.get(at).copied().unwrap_or_default()
    }
}

/// Holds the language that was chosen by hand. It says nothing else, so that it is the same with TLS and without.
const LANGUAGE_COOKIE: &str = "syncml-language";

async fn handle(State(console): State<Arc<Console>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Some(asked) = Asked::of(&head, &console.options) else { return Answer::bad_request().into_response() };
    let form = match asked.method {
        Method::POST => match timeout(PATIENCE, to_bytes(body, LARGEST_FORM)).await {
            Ok(Ok(bytes)) => bytes,
            _ => return Answer::bad_request().into_response(),
        },
        _ => Default::default(),
    };
    let answering = tokio::task::spawn_blocking(move || routes::answer(&console.door, asked, &form));
    answering.await.unwrap_or_else(|_| Answer::failed()).into_response()
}
