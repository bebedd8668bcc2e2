//! All pages, and who may see them.

use super::answer::{Answer, Wrong};
use super::form::Fields;
use super::frame::{self, Frame};
use super::html::Link;
use super::phrases::{Language, Phrase};
use super::session::{Door, Posted, SignedIn};
use super::{Asked, LANGUAGE_COOKIE, books, conflicts, devices, edit, held, live, lost, past, restore, sign_in};
use axum::http::{Method, StatusCode};
use tracing::error;

/// The name of the cookie that holds the session.
pub(super) const SESSION_COOKIE: &str = "syncml-console";

/// Shows something to somebody.
type See = fn(&SignedIn, &Asked) -> Result<Answer, Wrong>;
/// Does something for somebody, whose form proved to come from this page.
type Do = fn(&SignedIn, &Asked, &Posted) -> Result<Answer, Wrong>;

/// A page of those who are signed in: there is no way to write one that does not get them.
struct Route {
    /// `#` is a number.
    path: &'static str,
    see: Option<See>,
    act: Option<Do>,
}

const fn see(path: &'static str, see: See) -> Route {
    Route { path, see: Some(see), act: None }
}

const fn act(path: &'static str, act: Do) -> Route {
    Route { path, see: None, act: Some(act) }
}

const fn both(path: &'static str, see: See, act: Do) -> Route {
    Route { path, see: Some(see), act: Some(act) }
}

const ROUTES: &[Route] = &[
    see("", books::home),
    see("/book/#", books::list),
    see("/book/#/rows", books::rows),
    both("/book/#/new", edit::blank, edit::add),
    see("/book/#/item/#", edit::show),
    both("/book/#/item/#/edit", edit::form, edit::save),
    act("/book/#/item/#/delete", edit::delete),
    see("/history", past::books),
    see("/book/#/history", past::book),
    see("/book/#/item/#/history", past::item),
    see("/book/#/item/#/history/#", past::revision),
    act("/book/#/item/#/restore", restore::item),
    see("/book/#/conflicts", conflicts::page),
    act("/book/#/conflicts/take", conflicts::take),
    both("/book/#/restore", restore::plan, restore::book),
    see("/devices", devices::page),
    see("/devices/live", live::fragment),
    see("/lost/#", lost::page),
    both("/lost/#/stop", lost::ask_stop, lost::stop),
    both("/lost/#/clear", lost::ask_clear, lost::clear),
    act("/lost/#/cancel", lost::cancel),
    act("/lost/#/enrol", lost::enrol),
    both("/held", held::page, held::decide),
];

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");

/// Answers one request. Four paths are open to those who are not signed in; all others are not.
pub(super) fn answer(door: &Door, mut asked: Asked, form: &[u8]) -> Answer {
    let sees = matches!(asked.method, Method::GET | Method::HEAD);
    if !sees && asked.method != Method::POST {
        return wrong(&asked, None, StatusCode::METHOD_NOT_ALLOWED, Phrase::BadRequest);
    }
    match (sees, asked.path.as_str()) {
        (true, "/style.css") => return Answer::file("text/css; charset=utf-8", STYLE),
        (true, "/script.js") => return Answer::file("text/javascript; charset=utf-8", SCRIPT),
        (true, "/language") => return choose(&asked),
        _ if !asked.caller.protected && !asked.caller.loopback => {
            return wrong(&asked, None, StatusCode::FORBIDDEN, Phrase::NoTls);
        }
        _ => {}
    }
    let fields = (!sees).then(|| Fields::parse(form));
    if asked.foreign && !sees || fields == Some(None) {
        return wrong(&asked, None, StatusCode::FORBIDDEN, Phrase::Refused);
    }
    let fields = fields.flatten();
    let outcome = match (asked.path.as_str(), &fields) {
        ("/sign-in", None) => sign_in::page(&asked),
        ("/sign-in", Some(fields)) => sign_in::sign_in(door, &asked, fields),
        _ => {
            let cookie = asked.cookie(&asked.cookie_name(SESSION_COOKIE)).unwrap_or_default().to_owned();
            match door.find(&cookie, asked.now) {
                Ok(Some(who)) => return answer_to(door, &who, &mut asked, fields),
                Ok(None) => Ok(Answer::see(&Link::new("/sign-in"))),
                Err(error) => Err(error.into()),
            }
        }
    };
    outcome.unwrap_or_else(|why| explained(&asked, None, &why))
}

/// Answers one who is signed in.
fn answer_to(door: &Door, who: &SignedIn, asked: &mut Asked, fields: Option<Fields>) -> Answer {
    let posted = match fields.map(|fields| Posted::check(who, fields)) {
        Some(None) => return wrong(asked, Some(who), StatusCode::FORBIDDEN, Phrase::Refused),
        Some(posted) => posted,
        None => None,
    };
    if asked.path == "/sign-out" && posted.is_some() {
        return match door.sign_out(who, asked.now) {
            Ok(()) => sign_in::signed_out(asked),
            Err(error) => explained(asked, Some(who), &error.into()),
        };
    }
    let found = ROUTES.iter().find_map(|route| Some((route, numbers(route.path, &asked.path)?)));
    let Some((route, numbers)) = found else {
        return wrong(asked, Some(who), StatusCode::NOT_FOUND, Phrase::NotFound);
    };
    asked.numbers = numbers;
    let outcome = match (posted, route.see, route.act) {
        (None, Some(see), _) => see(who, asked),
        (Some(posted), _, Some(act)) => act(who, asked, &posted),
        _ => return wrong(asked, Some(who), StatusCode::METHOD_NOT_ALLOWED, Phrase::BadRequest),
    };
    outcome.unwrap_or_else(|why| explained(asked, Some(who), &why))
}

/// The numbers in a path, if it is of that pattern.
fn numbers(pattern: &str, path: &str) -> Option<Vec<i64>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut numbers = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(numbers),
            (Some("#"), Some(number)) => numbers.push(number.parse().ok()?),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

/// Remembers the language that was chosen, and goes back.
fn choose(asked: &Asked) -> Answer {
    let language = asked.query.get("to").and_then(Language::of_code).unwrap_or(asked.language);
    let year = 365 * 24 * 60 * 60;
    Answer::see(&Link::new("")).with_cookie(LANGUAGE_COOKIE, language.code(), Some(year), asked.caller.protected)
}

fn explained(asked: &Asked, who: Option<&SignedIn>, why: &Wrong) -> Answer {
    match why {
        Wrong::NotFound => wrong(asked, who, StatusCode::NOT_FOUND, Phrase::NotFound),
        Wrong::BadRequest => wrong(asked, who, StatusCode::BAD_REQUEST, Phrase::BadRequest),
        Wrong::Store(why) => {
            // The person is not told what the store says; who runs it is.
            error!(%why, "the page cannot be answered");
            wrong(asked, who, StatusCode::SERVICE_UNAVAILABLE, Phrase::Unavailable)
        }
    }
}

/// A page that says what is wrong.
fn wrong(asked: &Asked, who: Option<&SignedIn>, status: StatusCode, phrase: Phrase) -> Answer {
    let frame = Frame { asked, who, title: Phrase::Title, notice: None };
    frame.answer(status, frame::warning(asked.language.say(phrase)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::console::form::Fields;
    use crate::store::memory::MemoryStore;
    use crate::transport::http::server::Caller;
    use std::sync::Arc;

    fn status(method: &Method, path: &str, (protected, loopback): (bool, bool)) -> u16 {
        let asked = Asked {
            path: path.to_owned(),
            method: method.clone(),
            query: Fields::default(),
            language: Language::English,
            caller: Caller { protected, loopback, address: None },
            now: crate::message::Timestamp(0),
            cookies: Vec::new(),
            foreign: false,
            numbers: Vec::new(),
        };
        let door = Door::new(Arc::new(MemoryStore::new([1; 32])), Arc::default());
        answer(&door, asked, b"").into_response().status().as_u16()
    }

    #[test]
    fn without_tls_only_this_machine_is_served() {
        for (method, path, caller, expected) in [
            (Method::GET, "/sign-in", (false, false), 403),
            (Method::POST, "/sign-in", (false, false), 403),
            (Method::GET, "/book/1", (false, false), 403),
            (Method::GET, "", (false, false), 403),
            (Method::GET, "/style.css", (false, false), 200),
            (Method::GET, "/sign-in", (true, false), 200),
            (Method::GET, "/sign-in", (false, true), 200),
            (Method::GET, "/book/1", (true, false), 303),
            (Method::GET, "/book/1", (false, true), 303),
            (Method::DELETE, "/book/1", (false, true), 405),
        ] {
            assert_eq!(status(&method, path, caller), expected, "{method} {path} {caller:?}");
        }
    }

    #[test]
    fn every_page_wants_somebody() {
        for route in ROUTES {
            let path = route.path.replace('#', "1");
            for method in [Method::GET, Method::POST] {
                assert_eq!(status(&method, &path, (false, true)), 303, "{method} {path}");
            }
        }
    }

    #[test]
    fn paths_are_told_apart() {
        for (pattern, path, expected) in [
            ("", "", Some(vec![])),
            ("/book/#", "/book/7", Some(vec![7])),
            ("/book/#/item/#", "/book/7/item/-3", Some(vec![7, -3])),
            ("/book/#", "/book/x", None),
            ("/book/#", "/book/", None),
            ("/book/#", "/book", None),
            ("/book/#", "/book/7/item", None),
            ("/book/#", "/book/99999999999999999999", None),
            ("/held", "/devices", None),
        ] {
            assert_eq!(numbers(pattern, path), expected, "{pattern} {path}");
        }
    }
}
