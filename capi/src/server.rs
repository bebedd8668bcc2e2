//! A server that answers requests; the host has the sockets.

use crate::account::SyncmlStore;
use crate::code::{Failure, SyncmlCode, call};
use crate::given::{bytes, free, optional, shared, text, unique};
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;
use syncml::message::Timestamp;
use syncml::session::{Request, Server, ServerConfig};

/// A server over a store. Many threads may ask it at once.
pub struct SyncmlServer {
    server: Server,
}

/// How a server behaves. All zero is good for most.
#[repr(C)]
pub struct SyncmlServerOptions {
    /// The URL under which devices reach it; NULL is the one that a device used.
    pub public_uri: *const c_char,
    /// The largest message it takes and announces, in bytes; 0 is 150,000.
    pub max_msg_size: u64,
    /// The largest object it takes and announces, in bytes; 0 is 4,000,000.
    pub max_obj_size: u64,
    /// Basic credentials are taken on loopback although it is not protected.
    pub allow_basic: bool,
    /// DeviceID credentials are taken over any transport: who overhears one can use it until the secret is changed.
    pub allow_device: bool,
}

/// A request, and what the host's transport knows of it.
#[repr(C)]
pub struct SyncmlRequest {
    /// Its Content-Type.
    pub content_type: *const c_char,
    /// Its bytes.
    pub body: *const u8,
    /// How many there are.
    pub body_length: usize,
    /// The parameter `s` of the URL that it was posted to; NULL if there is none.
    pub token: *const c_char,
    /// Its header `x-syncml-hmac`; NULL if there is none.
    pub mac: *const c_char,
    /// The peer's address, for back-off; NULL if nobody knows it.
    pub address: *const c_char,
    /// Whether it came over TLS or the like.
    pub is_protected: bool,
    /// Whether the peer is on this machine.
    pub is_loopback: bool,
    /// Now, in milliseconds since 1970.
    pub now: i64,
}

/// The answer to a request. To be freed by `syncml_reply_free`.
#[repr(C)]
pub struct SyncmlReply {
    /// The HTTP status.
    pub status: u16,
    /// Its Content-Type.
    pub content_type: *const c_char,
    /// Its bytes.
    pub body: *mut u8,
    /// How many there are.
    pub body_length: usize,
    /// Its header `x-syncml-hmac`; NULL if it has none.
    pub mac: *mut c_char,
}

/// A server over `store`; `options` may be NULL. To be freed by `syncml_server_free`.
///
/// # Safety
/// `store` is open; `options` is as it says; `server` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_server_new(
    store: *const SyncmlStore,
    options: *const SyncmlServerOptions,
    server: *mut *mut SyncmlServer,
) -> SyncmlCode {
    call(|| {
        // SAFETY: the caller's.
        let (store, options, place) = unsafe { (shared(store, "store")?, options.as_ref(), unique(server, "server")?) };
        let mut config = ServerConfig::default();
        if let Some(options) = options {
            // SAFETY: the caller's.
            config.public_uri = unsafe { optional(options.public_uri, "public_uri") }?.map(str::to_owned);
            if options.max_msg_size > 0 {
                config.max_msg_size = options.max_msg_size;
            }
            if options.max_obj_size > 0 {
                config.max_obj_size = options.max_obj_size;
            }
            config.allow_basic = options.allow_basic;
            config.allow_device = options.allow_device;
        }
        let server = Server::new(Arc::clone(&store.store), config)?;
        *place = Box::into_raw(Box::new(SyncmlServer { server }));
        Ok(SyncmlCode::Ok)
    })
}

/// Frees a server.
///
/// # Safety
/// `server` comes from `syncml_server_new` and was not freed yet, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_server_free(server: *mut SyncmlServer) {
    let _ = call(|| {
        // SAFETY: the caller's.
        unsafe { free(server) };
        Ok(SyncmlCode::Ok)
    });
}

/// Answers a request: what it asks for is then done and durable, and the same request gets the same bytes again. A request that
/// gets no SyncML answer is `SYNCML_CODE_REFUSED`; `reply` then bears the HTTP status and a sentence, and is to be freed, too.
/// After any other failure it is empty.
///
/// # Safety
/// `server` and `request` are as they say; `reply` can be written to, and holds nothing that is to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_server_answer(
    server: *const SyncmlServer,
    request: *const SyncmlRequest,
    reply: *mut SyncmlReply,
) -> SyncmlCode {
    call(|| {
        if reply.is_null() {
            return Err(Failure::argument("reply is NULL"));
        }
        // SAFETY: it is not NULL, and the caller says that it can be written to.
        unsafe { reply.write(SyncmlReply::empty()) };
        // SAFETY: the caller's; `reply` was written to just now.
        let (server, request, reply) =
            unsafe { (shared(server, "server")?, shared(request, "request")?, unique(reply, "reply")?) };
        // SAFETY: the caller's.
        let request = unsafe { request.read() }?;
        match server.server.answer(&request) {
            Ok(answer) => {
                let mac = answer.mac.map(CString::new).transpose();
                let mac = mac.map_err(|_| Failure::new(SyncmlCode::Fault, "a header with a NUL in it"))?;
                reply.fill(200, type_of(answer.content_type), answer.body);
                reply.mac = mac.map_or(ptr::null_mut(), CString::into_raw);
                Ok(SyncmlCode::Ok)
            }
            Err(refusal) => {
                let sentence = refusal.to_string();
                reply.fill(refusal.http_status(), c"text/plain; charset=utf-8".as_ptr(), sentence.clone().into_bytes());
                Err(Failure::new(SyncmlCode::Refused, sentence))
            }
        }
    })
}

/// Frees what a reply holds; the structure itself is the caller's, and is empty then.
///
/// # Safety
/// `reply` was filled by `syncml_server_answer`, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncml_reply_free(reply: *mut SyncmlReply) {
    let _ = call(|| {
        // SAFETY: the caller's.
        let Some(reply) = (unsafe { reply.as_mut() }) else { return Ok(SyncmlCode::Ok) };
        let old = std::mem::replace(reply, SyncmlReply::empty());
        if !old.body.is_null() {
            // SAFETY: `fill` made it of a box of as many bytes.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(old.body, old.body_length)) });
        }
        if !old.mac.is_null() {
            // SAFETY: `syncml_server_answer` made it of a text.
            drop(unsafe { CString::from_raw(old.mac) });
        }
        Ok(SyncmlCode::Ok)
    });
}

impl SyncmlRequest {
    /// # Safety
    /// What it points to is as it says, and stays so for `'a`.
    unsafe fn read<'a>(&self) -> Result<Request<'a>, Failure> {
        // SAFETY: the caller's.
        unsafe {
            Ok(Request {
                content_type: text(self.content_type, "content_type")?,
                body: bytes(self.body, self.body_length, "body")?,
                token: optional(self.token, "token")?,
                mac: optional(self.mac, "mac")?,
                protected: self.is_protected,
                loopback: self.is_loopback,
                address: optional(self.address, "address")?,
                now: Timestamp(self.now),
            })
        }
    }
}

impl SyncmlReply {
    const fn empty() -> Self {
        Self { status: 0, content_type: ptr::null(), body: ptr::null_mut(), body_length: 0, mac: ptr::null_mut() }
    }

    fn fill(&mut self, status: u16, content_type: *const c_char, body: Vec<u8>) {
        self.status = status;
        self.content_type = content_type;
        self.body_length = body.len();
        self.body = Box::into_raw(body.into_boxed_slice()).cast();
    }
}

/// A media type of the binding as a text of C.
pub(crate) fn type_of(content_type: &str) -> *const c_char {
    match content_type {
        "application/vnd.syncml+wbxml" => c"application/vnd.syncml+wbxml".as_ptr(),
        _ => c"application/vnd.syncml+xml".as_ptr(),
    }
}
