//! What a browser gets, and the headers that go with everything.

use super::html::{Html, Link};
use crate::service::control::ControlError;
use crate::store::StoreError;
use crate::store::history::HistoryError;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};

/// Nothing but what this server itself serves, and nothing inline; nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// On all that is answered.
const ALWAYS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// An answer to a browser.
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    headers: Vec<(HeaderName, String)>,
}

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, headers: vec![(CACHE_CONTROL, "no-store".to_owned())] }
    }

    /// A whole page.
    pub(super) fn page(status: StatusCode, html: Html) -> Self {
        Self::new(status, "text/html; charset=utf-8", html.document())
    }

    /// A part of a page, which the script puts into it.
    pub(super) fn fragment(html: Html) -> Self {
        Self::new(StatusCode::OK, "text/html; charset=utf-8", html.fragment())
    }

    /// A file that is the same for all.
    pub(super) fn file(content_type: &'static str, text: &'static str) -> Self {
        let mut answer = Self::new(StatusCode::OK, content_type, text.as_bytes().to_vec());
        answer.headers = vec![(CACHE_CONTROL, "max-age=300".to_owned())];
        answer
    }

    /// A file that is saved, and not shown.
    pub(super) fn download(name: &'static str, text: String) -> Self {
        let mut answer = Self::new(StatusCode::OK, "text/plain; charset=utf-8", text.into_bytes());
        answer.headers.push((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
        answer
    }

    /// Sends the browser on with a GET.
    pub(super) fn see(link: &Link) -> Self {
        let mut answer = Self::new(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Vec::new());
        answer.headers.push((LOCATION, link.as_str().to_owned()));
        answer
    }

    /// Sets a cookie for the page that scripts do not see and other sites do not send; over TLS it is never sent without.
    /// `seconds`: how long it lasts; without, as long as the browser runs, and 0 removes it.
    pub(super) fn with_cookie(mut self, name: &str, value: &str, seconds: Option<i64>, protected: bool) -> Self {
        let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = if protected { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{secure}");
        self.headers.push((SET_COOKIE, text));
        self
    }

    pub(super) fn retry_after(mut self, seconds: i64) -> Self {
        self.headers.push((RETRY_AFTER, seconds.to_string()));
        self
    }

    fn plain(status: StatusCode, text: &'static str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
    }

    pub(super) fn bad_request() -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "That cannot be understood.\n")
    }

    pub(super) fn failed() -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, "The server failed on this request.\n")
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in self.headers {
            // All of them are made of what a header may hold; else the browser is better off without.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        response
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Wrong {
    /// There is no such thing, or it is not this account's.
    NotFound,
    /// The form does not say what it should.
    BadRequest,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::NotFound,
            error => Self::Store(error),
        }
    }
}

impl From<ControlError> for Wrong {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => error.into(),
            _ => Self::NotFound,
        }
    }
}

impl From<HistoryError> for Wrong {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => error.into(),
            _ => Self::NotFound,
        }
    }
}
