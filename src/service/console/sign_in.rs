//! Signing in, and out.

use super::Asked;
use super::answer::{Answer, Wrong};
use super::form::Fields;
use super::frame::{Frame, button, hidden, warning};
use super::html::{Element, Link, el};
use super::phrases::Phrase;
use super::routes::SESSION_COOKIE;
use super::session::{Denied, Door, form_token, is_id, is_token, random_id};
use axum::http::StatusCode;

/// The name of the cookie that a form for signing in goes with: nobody is signed in yet, and nobody else is to sign a
/// browser in to an account of his own.
const FORM_COOKIE: &str = "syncml-sign-in";
/// How long such a form is good, in seconds.
const FORM_AGE: i64 = 60 * 60;

/// The longest name and password that are looked at, in bytes.
const LONGEST: usize = 1024;

pub(super) fn page(asked: &Asked) -> Result<Answer, Wrong> {
    Ok(form(asked, StatusCode::OK, None))
}

/// The form, with a secret of its browser's own: the one that it has, so that the same form in another tab stays good.
fn form(asked: &Asked, status: StatusCode, problem: Option<&str>) -> Answer {
    let known = asked.cookie(&asked.cookie_name(FORM_COOKIE)).filter(|secret| is_id(secret));
    let secret = known.map_or_else(random_id, str::to_owned);
    let say = |phrase| asked.language.say(phrase);
    let input = |phrase, name, kind, hint| -> Element {
        let input = el("input").attr("id", name).attr("name", name).attr("type", kind).attr("autocomplete", hint);
        el("p")
            .add(el("label").attr("for", name).text(say(phrase)))
            .add(input.flag("required", true).attr("autocapitalize", "none"))
    };
    let content = el("form")
        .class("narrow")
        .attr("method", "post")
        .to("action", &Link::new("/sign-in"))
        .add(hidden("token", &form_token(&secret)))
        .add(problem.map(warning))
        .add(input(Phrase::UserName, "name", "text", "username"))
        .add(input(Phrase::Password, "password", "password", "current-password"))
        .add(el("p").add(button(say(Phrase::SignIn))));
    let frame = Frame { asked, who: None, title: Phrase::SignIn, notice: None };
    let protected = asked.caller.protected;
    frame.answer(status, content).with_cookie(&asked.cookie_name(FORM_COOKIE), &secret, Some(FORM_AGE), protected)
}

pub(super) fn sign_in(door: &Door, asked: &Asked, fields: &Fields) -> Result<Answer, Wrong> {
    let say = |phrase| asked.language.say(phrase);
    let own = asked.cookie(&asked.cookie_name(FORM_COOKIE)).is_some_and(|secret| is_token(fields, secret));
    if !own {
        return Ok(form(asked, StatusCode::FORBIDDEN, Some(say(Phrase::FormTooOld))));
    }
    let (name, password) = (fields.text("name"), fields.get("password").unwrap_or_default());
    if name.len() > LONGEST || password.len() > LONGEST {
        return Ok(form(asked, StatusCode::UNAUTHORIZED, Some(say(Phrase::WrongPassword))));
    }
    let address = asked.caller.address.as_deref().unwrap_or_default();
    Ok(match door.sign_in(name, password, address, asked.now)? {
        Ok(cookie) => Answer::see(&Link::new(""))
            .with_cookie(&asked.cookie_name(SESSION_COOKIE), &cookie, None, asked.caller.protected)
            .with_cookie(&asked.cookie_name(FORM_COOKIE), "", Some(0), asked.caller.protected),
        Err(Denied::Wrong) => form(asked, StatusCode::UNAUTHORIZED, Some(say(Phrase::WrongPassword))),
        Err(Denied::Wait(seconds)) => {
            let text = asked.language.fill(Phrase::TooManyTries, &[&seconds.to_string()]);
            form(asked, StatusCode::TOO_MANY_REQUESTS, Some(&text)).retry_after(seconds)
        }
    })
}

pub(super) fn signed_out(asked: &Asked) -> Answer {
    let name = asked.cookie_name(SESSION_COOKIE);
    Answer::see(&Link::new("/sign-in")).with_cookie(&name, "", Some(0), asked.caller.protected)
}
