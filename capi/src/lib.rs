//! A C interface to `syncml`: a store, a server that answers requests, a client that makes them, and an address book of the
//! host's own behind six functions. The header is `include/syncml.h`, a whole program `examples/two_phones.c`.
//!
//! # Rules
//!
//! * Texts are UTF-8 and end in NUL. What is handed in is read during the call only.
//! * Every call that can fail answers a [`SyncmlCode`]; [`syncml_last_error`] says the rest, to the thread that called.
//! * What the library hands out is freed by the function named beside it, once; NULL may always be freed.
//! * A store and a server may be used by many threads at once, anything else by one at a time. Both go on living inside
//!   what was made of them: they may be closed in any order.
//! * No panic leaves the library. What was being worked on is then of no more use, and says so.
//!
//! This is the only unsafe code of the project: it reads the pointers it is given, and calls the functions of a
//! [`SyncmlBook`].

mod account;
mod book;
mod client;
mod code;
mod given;
mod server;

pub use account::{SyncmlStore, syncml_account_add, syncml_account_find, syncml_store_close, syncml_store_open};
pub use book::{
    SYNCML_BOOK_DONE, SYNCML_BOOK_FAILED, SYNCML_BOOK_OTHERWISE, SyncmlBook, SyncmlCounts, SyncmlSink,
    syncml_book_collect, syncml_book_deliver, syncml_sink_content, syncml_sink_entry, syncml_sink_error,
};
pub use client::{
    SYNCML_SCHEME_BASIC, SYNCML_SCHEME_DEVICE, SYNCML_SCHEME_MAC, SYNCML_SCHEME_MD5, SyncmlClient, SyncmlClientBook,
    SyncmlClientOptions, SyncmlOutgoing, syncml_client_begin, syncml_client_free, syncml_client_outgoing,
    syncml_client_received, syncml_client_report, syncml_client_suspend, syncml_text_free,
};
pub use code::{SyncmlCode, syncml_last_error, syncml_version};
pub use server::{
    SyncmlReply, SyncmlRequest, SyncmlServer, SyncmlServerOptions, syncml_reply_free, syncml_server_answer,
    syncml_server_free, syncml_server_new,
};
