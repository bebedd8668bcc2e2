//! A client's session; the host posts what it says.

use crate::account::SyncmlStore;
use crate::code::{Failure, SyncmlCode, call};
use crate::given::{bytes, free, optional, put, shared, text, unique};
use crate::server::type_of;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;
use syncml::auth::Secret;
use syncml::codec::Encoding;
use syncml::message::{AlertCode, Timestamp, Version};
use syncml::session::{Client, ClientBook, ClientConfig, Credentials, Outgoing};
use syncml::store::{AccountNo, BookNo};

/// `syncml:auth-md5`: the user's name, and the password. The choice where nothing speaks for another.
pub const SYNCML_SCHEME_MD5: u32 = 0;
/// `syncml:auth-basic`: the same, in clear; only over a protected transport, or on this machine.
pub const SYNCML_SCHEME_BASIC: u32 = 1;
/// `syncml:auth-MAC`: the same, with a code over each whole message.
pub const SYNCML_SCHEME_MAC: u32 = 2;
/// The secret shared by server and device, for the account that `user` names.
pub const SYNCML_SCHEME_DEVICE: u32 = 3;

/// One session of a client.
pub struct SyncmlClient {
    /// Not there any more after a fault.
    client: Option<Client>,
    /// What was handed out last.
    out: Option<Handed>,
}

/// A request as C reads it.
struct Handed {
    out: Outgoing,
    uri: CString,
    token: Option<CString>,
    mac: Option<CString>,
}

/// A book of a client's session.
#[repr(C)]
pub struct SyncmlClientBook {
    /// Which of the client's own books: 1 contacts, 2 calendar, 3 tasks, 4 notes, 5 bookmarks, 6 files.
    pub book: i64,
    /// What it is called here, such as `./contacts`.
    pub local_uri: *const c_char,
    /// What it is called at the server.
    pub remote_uri: *const c_char,
    /// The sync wanted, 200 to 205; 0 is 200, both ways.
    pub mode: u16,
}

/// How a client behaves.
#[repr(C)]
pub struct SyncmlClientOptions {
    /// The server's URL.
    pub server_uri: *const c_char,
    /// This device's id; random, and kept with the books.
    pub device_id: *const c_char,
    /// One of `SYNCML_SCHEME_…`.
    pub scheme: u32,
    /// The user's name.
    pub user: *const c_char,
    /// The password, or the secret.
    pub password: *const c_char,
    /// The books to sync.
    pub books: *const SyncmlClientBook,
    /// How many there are.
    pub book_count: usize,
    /// WBXML instead of XML.
    pub is_wbxml: bool,
    /// The version to begin with: 10, 11 or 12; 0 is 12.
    pub version: u32,
    /// The largest message it takes and announces, in bytes; 0 is 65,536.
    pub max_msg_size: u64,
}

/// A request to post. It is the client's, and good until the client is told of the answer, or freed.
#[repr(C)]
pub struct SyncmlOutgoing {
    /// Where to.
    pub uri: *const c_char,
    /// The session's token, if it has one: the parameter `s` of the address' query; else NULL.
    pub token: *const c_char,
    /// Its Content-Type.
    pub content_type: *const c_char,
    /// Its bytes.
    pub body: *const u8,
    /// How many there are.
    pub body_length: usize,
    /// Its header `x-syncml-hmac`; NULL if it has none.
    pub mac: *const c_char,
    /// How long to wait before it is posted, in milliseconds: the server said that it is busy.
    pub wait: u64,
    /// Whether it opens a session: it is not posted again unless the server certainly did nothing for it.
    pub opens: bool,
}

/// Begins a session of an account of the client's own store. To be freed by `syncml_client_free`.
///
/// # Safety
/// `store` is open; `options` is as it says; `client` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_client_begin(
    store: *const SyncmlStore,
    account: i64,
    options: *const SyncmlClientOptions,
    now: i64,
    client: *mut *mut SyncmlClient,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (store, options) = unsafe { (shared(store, "store")?, shared(options, "options")?) };
        if client.is_null() {
            return Err(Failure::argument("client is NULL"));
        }
        // SAFETY: the caller's.
        let config = unsafe { options.read() }?;
        let begun = Client::begin(Arc::clone(&store.store), AccountNo(account), config, Timestamp(now))?;
        let begun = Box::into_raw(Box::new(SyncmlClient { client: Some(begun), out: None }));
        // SAFETY: the caller's.
        unsafe { put(client, begun, "client") }?;
        Ok(SyncmlCode::Ok)
    })
}

/// Frees a client. A session that is not over ends there; the next one goes on.
///
/// # Safety
/// `client` comes from `syncml_client_begin` and was not freed yet, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_client_free(client: *mut SyncmlClient) {
    let _ = call(|| {
        // SAFETY: the caller's.
        unsafe { free(client) };
        Ok(SyncmlCode::Ok)
    });
}

/// The next request to post; `SYNCML_CODE_OVER` when the session is over. It stays the same until the client was told of the
/// answer, so that a failed post is repeated byte for byte.
///
/// # Safety
/// `client` is one; `outgoing` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_client_outgoing(
    client: *mut SyncmlClient,
    outgoing: *mut SyncmlOutgoing,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let client = unsafe { unique(client, "client") }?;
        if client.out.is_none() {
            client.out = client.there()?.outgoing().map(Handed::new).transpose()?;
        }
        let Some(handed) = &client.out else { return Ok(SyncmlCode::Over) };
        // SAFETY: the caller's.
        unsafe { put(outgoing, handed.show(), "outgoing") }?;
        Ok(SyncmlCode::Ok)
    })
}

/// Takes the server's answer to what was posted last; `mac` is its header `x-syncml-hmac`, or NULL.
///
/// # Safety
/// `client` is one; `content_type` is a text; `body` has so many bytes; `mac` is a text or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_client_received(
    client: *mut SyncmlClient,
    content_type: *const c_char,
    body: *const u8,
    body_length: usize,
    mac: *const c_char,
    now: i64,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (client, content_type, body, mac) = unsafe {
            (
                unique(client, "client")?,
                text(content_type, "content_type")?,
                bytes(body, body_length, "body")?,
                optional(mac, "mac")?,
            )
        };
        client.there()?;
        client.out = None;
        // Not there while it works: a fault leaves it so.
        let Some(mut working) = client.client.take() else { return Ok(SyncmlCode::Over) };
        let result = working.received_with_mac(content_type, body, mac, Timestamp(now));
        client.client = Some(working);
        result?;
        Ok(SyncmlCode::Ok)
    })
}

/// Breaks the session off: the next request says so to the server, and the session ends with its answer. What was done so far
/// stays done.
///
/// # Safety
/// `client` is one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_client_suspend(client: *mut SyncmlClient) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let client = unsafe { unique(client, "client") }?;
        client.there()?;
        if let Some(client) = &mut client.client {
            client.suspend();
        }
        Ok(SyncmlCode::Ok)
    })
}

/// What was done so far, as JSON; complete once the session is over. `clean` says whether every book ended cleanly. To be freed
/// by `syncml_text_free`.
///
/// # Safety
/// `client` is one; `report` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_client_report(client: *mut SyncmlClient, report: *mut *mut c_char) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let client = unsafe { unique(client, "client") }?;
        let written = serde_json::to_string(&client.there()?.report());
        let written = written.map_err(|error| Failure::new(SyncmlCode::Fault, error.to_string()))?;
        let written = CString::new(written).map_err(|error| Failure::new(SyncmlCode::Fault, error.to_string()))?;
        if report.is_null() {
            return Err(Failure::argument("report is NULL"));
        }
        // SAFETY: the caller's.
        unsafe { put(report, written.into_raw(), "report") }?;
        Ok(SyncmlCode::Ok)
    })
}

/// Frees a text that the library made.
///
/// # Safety
/// `text` comes from a function that names this one, and was not freed yet; or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_text_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller's.
        drop(unsafe { CString::from_raw(text) });
    }
}

impl SyncmlClient {
    fn there(&self) -> Result<&Client, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::new(SyncmlCode::Fault, "the session was ended by a fault; free it"))
    }
}

impl SyncmlClientOptions {
    /// # Safety
    /// What it points to is as it says.
    unsafe fn read(&self) -> Result<ClientConfig, Failure> {
        // SAFETY: the caller's.
        let (user, password) = unsafe { (text(self.user, "user")?, text(self.password, "password")?) };
        let (user, password) = (user.to_owned(), Secret::new(password.to_owned()));
        let credentials = match self.scheme {
            SYNCML_SCHEME_MD5 => Credentials::Md5 { user, password },
            SYNCML_SCHEME_BASIC => Credentials::Basic { user, password },
            SYNCML_SCHEME_MAC => Credentials::Mac { user, password },
            SYNCML_SCHEME_DEVICE => Credentials::Device { account: user, secret: password },
            other => return Err(Failure::argument(format!("there is no scheme {other}"))),
        };
        let books = match (self.books.is_null(), self.book_count) {
            (true, _) | (_, 0) => return Err(Failure::argument("there is no book to sync")),
            // SAFETY: the caller's.
            (false, count) => unsafe { std::slice::from_raw_parts(self.books, count) },
        };
        // SAFETY: the caller's.
        let books = books.iter().map(|book| unsafe { book.read() }).collect::<Result<Vec<_>, _>>()?;
        // SAFETY: the caller's.
        let (server, device) = unsafe { (text(self.server_uri, "server_uri")?, text(self.device_id, "device_id")?) };
        let mut config = ClientConfig::new(server, device, credentials, books);
        if self.is_wbxml {
            config.encoding = Encoding::Wbxml;
        }
        config.version = match self.version {
            0 | 12 => Version::V12,
            11 => Version::V11,
            10 => Version::V10,
            other => return Err(Failure::argument(format!("there is no version {other}: 10, 11 or 12"))),
        };
        if self.max_msg_size > 0 {
            config.max_msg_size = self.max_msg_size;
        }
        Ok(config)
    }
}

impl SyncmlClientBook {
    /// # Safety
    /// What it points to is as it says.
    unsafe fn read(&self) -> Result<ClientBook, Failure> {
        // SAFETY: the caller's.
        let (local, remote) = unsafe { (text(self.local_uri, "local_uri")?, text(self.remote_uri, "remote_uri")?) };
        let mode = match self.mode {
            0 => AlertCode::TWO_WAY,
            code @ 200..=205 => AlertCode(code),
            other => return Err(Failure::argument(format!("there is no sync {other}: 200 to 205"))),
        };
        Ok(ClientBook { mode, ..ClientBook::new(BookNo(self.book), local, remote) })
    }
}

impl Handed {
    fn new(out: Outgoing) -> Result<Self, Failure> {
        let c_text = |text: &str| {
            CString::new(text).map_err(|_| Failure::new(SyncmlCode::Session, "the server's address has a NUL in it"))
        };
        let token = out.token().map(c_text).transpose()?;
        Ok(Self { uri: c_text(&out.uri)?, token, mac: out.mac.as_deref().map(c_text).transpose()?, out })
    }

    fn show(&self) -> SyncmlOutgoing {
        SyncmlOutgoing {
            uri: self.uri.as_ptr(),
            token: pointer(self.token.as_ref()),
            content_type: type_of(self.out.content_type),
            body: self.out.body.as_ptr(),
            body_length: self.out.body.len(),
            mac: pointer(self.mac.as_ref()),
            wait: u64::try_from(self.out.wait.as_millis()).unwrap_or(u64::MAX),
            opens: self.out.opens,
        }
    }
}

/// NULL, where there is none.
fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(ptr::null(), |text| text.as_ptr())
}
