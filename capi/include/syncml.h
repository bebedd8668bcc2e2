// The C interface of syncml: SyncML / OMA Data Synchronization, client and server.
//
// Made from capi/src by `SYNCML_BLESS=1 cargo test --test c_header`; not to be edited.

#ifndef SYNCML_H
#define SYNCML_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// A function of a book did what it was asked.
#define SYNCML_BOOK_DONE 0

// It did nothing: the entry is not there, or is no longer at the version it was to have.
#define SYNCML_BOOK_OTHERWISE 1

// It failed; `syncml_sink_error` says why.
#define SYNCML_BOOK_FAILED -1

// `syncml:auth-md5`: the user's name, and the password. The choice where nothing speaks for another.
#define SYNCML_SCHEME_MD5 0

// `syncml:auth-basic`: the same, in clear; only over a protected transport, or on this machine.
#define SYNCML_SCHEME_BASIC 1

// `syncml:auth-MAC`: the same, with a code over each whole message.
#define SYNCML_SCHEME_MAC 2

// The secret shared by server and device, for the account that `user` names.
#define SYNCML_SCHEME_DEVICE 3

// What a call came to.
typedef enum {
  // Done.
  SYNCML_CODE_OK = 0,
  // There is nothing more to do: the session is over.
  SYNCML_CODE_OVER = 1,
  // An argument is missing or wrong. Nothing was done.
  SYNCML_CODE_ARGUMENT = 2,
  // What was named is not there.
  SYNCML_CODE_NOT_FOUND = 3,
  // The store failed.
  SYNCML_CODE_STORE = 4,
  // The own book failed, in its own words. What was done before stays done.
  SYNCML_CODE_BOOK = 5,
  // The own book lost more entries than a person deletes. Nothing was deleted; say `allow_mass_delete` if it was meant.
  SYNCML_CODE_MASS_DELETE = 6,
  // The request gets no SyncML answer. The reply bears the HTTP status, its body is a sentence for people.
  SYNCML_CODE_REFUSED = 7,
  // The session ended early. What was done so far stays done, the next session does the rest.
  SYNCML_CODE_SESSION = 8,
  // The library failed. What it was called with is of no more use; free it.
  SYNCML_CODE_FAULT = 9,
} SyncmlCode;

// One session of a client.
typedef struct SyncmlClient SyncmlClient;

// A server over a store. Many threads may ask it at once.
typedef struct SyncmlServer SyncmlServer;

// Where a function of a book puts what it found. Good during that function only.
typedef struct SyncmlSink SyncmlSink;

// Where books rest: an SQLite database. Many threads may use it at once.
typedef struct SyncmlStore SyncmlStore;

// An address book of the host's own. Its functions answer one of `SYNCML_BOOK_…` and hand what they find to the sink; they are
// called during `syncml_book_collect` and `syncml_book_deliver` only, on the thread that called these.
//
// An entry has an id, and a version that changes whenever its content does, such as a counter or a digest.
typedef struct {
  // Handed to each function.
  void *context;
  // Names every entry, each by `syncml_sink_entry`. A book that cannot be found has failed; it is never empty.
  int32_t (*entries)(void *context, SyncmlSink *sink);
  // Names one entry, if it is there.
  int32_t (*version)(void *context, const char *id, SyncmlSink *sink);
  // Gives the content of an entry by `syncml_sink_content`, if it is there.
  int32_t (*read)(void *context, const char *id, SyncmlSink *sink);
  // Stores a new entry and names it. The same key comes again where a crash left it open whether it was stored.
  int32_t (*add)(void *context, const char *key, const uint8_t *content, size_t length, SyncmlSink *sink);
  // Gives an entry new content and names it, if it still has the version.
  int32_t (*replace)(void *context,
                     const char *id,
                     const uint8_t *version,
                     size_t version_length,
                     const uint8_t *content,
                     size_t length,
                     SyncmlSink *sink);
  // Removes an entry, if it still has the version.
  int32_t (*remove)(void *context, const char *id, const uint8_t *version, size_t version_length, SyncmlSink *sink);
} SyncmlBook;

// What was done in a book.
typedef struct {
  // Entries added.
  uint64_t added;
  // Entries changed.
  uint64_t changed;
  // Entries deleted.
  uint64_t deleted;
  // Entries that both sides had changed.
  uint64_t conflicts;
  // Entries that could not be read or brought up to date; `syncml_last_error` says why of the first of them.
  uint64_t skipped;
} SyncmlCounts;

// A book of a client's session.
typedef struct {
  // Which of the client's own books: 1 contacts, 2 calendar, 3 tasks, 4 notes, 5 bookmarks, 6 files.
  int64_t book;
  // What it is called here, such as `./contacts`.
  const char *local_uri;
  // What it is called at the server.
  const char *remote_uri;
  // The sync wanted, 200 to 205; 0 is 200, both ways.
  uint16_t mode;
} SyncmlClientBook;

// How a client behaves.
typedef struct {
  // The server's URL.
  const char *server_uri;
  // This device's id; random, and kept with the books.
  const char *device_id;
  // One of `SYNCML_SCHEME_…`.
  uint32_t scheme;
  // The user's name.
  const char *user;
  // The password, or the secret.
  const char *password;
  // The books to sync.
  const SyncmlClientBook *books;
  // How many there are.
  size_t book_count;
  // WBXML instead of XML.
  bool is_wbxml;
  // The version to begin with: 10, 11 or 12; 0 is 12.
  uint32_t version;
  // The largest message it takes and announces, in bytes; 0 is 65,536.
  uint64_t max_msg_size;
} SyncmlClientOptions;

// A request to post. It is the client's, and good until the client is told of the answer, or freed.
typedef struct {
  // Where to.
  const char *uri;
  // The session's token, if it has one: the parameter `s` of the address' query; else NULL.
  const char *token;
  // Its Content-Type.
  const char *content_type;
  // Its bytes.
  const uint8_t *body;
  // How many there are.
  size_t body_length;
  // Its header `x-syncml-hmac`; NULL if it has none.
  const char *mac;
  // How long to wait before it is posted, in milliseconds: the server said that it is busy.
  uint64_t wait;
  // Whether it opens a session: it is not posted again unless the server certainly did nothing for it.
  bool opens;
} SyncmlOutgoing;

// How a server behaves. All zero is good for most.
typedef struct {
  // The URL under which devices reach it; NULL is the one that a device used.
  const char *public_uri;
  // The largest message it takes and announces, in bytes; 0 is 150,000.
  uint64_t max_msg_size;
  // The largest object it takes and announces, in bytes; 0 is 4,000,000.
  uint64_t max_obj_size;
  // Basic credentials are taken on loopback although it is not protected.
  bool allow_basic;
  // DeviceID credentials are taken over any transport: who overhears one can use it until the secret is changed.
  bool allow_device;
} SyncmlServerOptions;

// A request, and what the host's transport knows of it.
typedef struct {
  // Its Content-Type.
  const char *content_type;
  // Its bytes.
  const uint8_t *body;
  // How many there are.
  size_t body_length;
  // The parameter `s` of the URL that it was posted to; NULL if there is none.
  const char *token;
  // Its header `x-syncml-hmac`; NULL if there is none.
  const char *mac;
  // The peer's address, for back-off; NULL if nobody knows it.
  const char *address;
  // Whether it came over TLS or the like.
  bool is_protected;
  // Whether the peer is on this machine.
  bool is_loopback;
  // Now, in milliseconds since 1970.
  int64_t now;
} SyncmlRequest;

// The answer to a request. To be freed by `syncml_reply_free`.
typedef struct {
  // The HTTP status.
  uint16_t status;
  // Its Content-Type.
  const char *content_type;
  // Its bytes.
  uint8_t *body;
  // How many there are.
  size_t body_length;
  // Its header `x-syncml-hmac`; NULL if it has none.
  char *mac;
} SyncmlReply;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens the database at `path`, and makes it if it is not there; NULL is one in memory, gone when it is closed. To be closed
// with `syncml_store_close`.
//
// # Safety
// `path` is a text or NULL; `store` can be written to.
SyncmlCode syncml_store_open(const char *path,
                             SyncmlStore **store);

// Closes a store. Servers and clients that were made of it keep it open until they are freed.
//
// # Safety
// `store` comes from `syncml_store_open` and was not closed yet, or is NULL.
void syncml_store_close(SyncmlStore *store);

// Makes an account, or gives it another password; `account` receives its number, and may be NULL. A client keeps its own books
// under an account of its own store, whose password nobody asks for.
//
// # Safety
// `store` is open; `name` and `password` are texts; `account` can be written to, or is NULL.
SyncmlCode syncml_account_add(const SyncmlStore *store,
                              const char *name,
                              const char *password,
                              int64_t *account);

// The number of an account; `SYNCML_CODE_NOT_FOUND` if there is none of that name.
//
// # Safety
// `store` is open; `name` is a text; `account` can be written to.
SyncmlCode syncml_account_find(const SyncmlStore *store, const char *name, int64_t *account);

// Names an entry.
//
// # Safety
// `sink` is one; `id` is a text; `version` has so many bytes.
SyncmlCode syncml_sink_entry(SyncmlSink *sink, const char *id, const uint8_t *version, size_t version_length);

// Gives content, or the next piece of it.
//
// # Safety
// `sink` is one; `content` has so many bytes.
SyncmlCode syncml_sink_content(SyncmlSink *sink, const uint8_t *content, size_t length);

// Says why a function of a book fails: a sentence for its user.
//
// # Safety
// `sink` is one; `sentence` is a text.
SyncmlCode syncml_sink_error(SyncmlSink *sink, const char *sentence);

// Brings what the own book's user did into the store. To be called before a session.
//
// # Safety
// `store` is open; `own` is a book; `counts` can be written to, or is NULL.
SyncmlCode syncml_book_collect(const SyncmlStore *store,
                               int64_t account,
                               int64_t book,
                               const SyncmlBook *own,
                               bool allow_mass_delete,
                               int64_t now,
                               SyncmlCounts *counts);

// Brings what others did into the own book. To be called after a session.
//
// # Safety
// As for `syncml_book_collect`.
SyncmlCode syncml_book_deliver(const SyncmlStore *store,
                               int64_t account,
                               int64_t book,
                               const SyncmlBook *own,
                               int64_t now,
                               SyncmlCounts *counts);

// Begins a session of an account of the client's own store. To be freed by `syncml_client_free`.
//
// # Safety
// `store` is open; `options` is as it says; `client` can be written to.
SyncmlCode syncml_client_begin(const SyncmlStore *store,
                               int64_t account,
                               const SyncmlClientOptions *options,
                               int64_t now,
                               SyncmlClient **client);

// Frees a client. A session that is not over ends there; the next one goes on.
//
// # Safety
// `client` comes from `syncml_client_begin` and was not freed yet, or is NULL.
void syncml_client_free(SyncmlClient *client);

// The next request to post; `SYNCML_CODE_OVER` when the session is over. It stays the same until the client was told of the
// answer, so that a failed post is repeated byte for byte.
//
// # Safety
// `client` is one; `outgoing` can be written to.
SyncmlCode syncml_client_outgoing(SyncmlClient *client,
                                  SyncmlOutgoing *outgoing);

// Takes the server's answer to what was posted last; `mac` is its header `x-syncml-hmac`, or NULL.
//
// # Safety
// `client` is one; `content_type` is a text; `body` has so many bytes; `mac` is a text or NULL.
SyncmlCode syncml_client_received(SyncmlClient *client,
                                  const char *content_type,
                                  const uint8_t *body,
                                  size_t body_length,
                                  const char *mac,
                                  int64_t now);

// Breaks the session off: the next request says so to the server, and the session ends with its answer. What was done so far
// stays done.
//
// # Safety
// `client` is one.
SyncmlCode syncml_client_suspend(SyncmlClient *client);

// What was done so far, as JSON; complete once the session is over. `clean` says whether every book ended cleanly. To be freed
// by `syncml_text_free`.
//
// # Safety
// `client` is one; `report` can be written to.
SyncmlCode syncml_client_report(SyncmlClient *client,
                                char **report);

// Frees a text that the library made.
//
// # Safety
// `text` comes from a function that names this one, and was not freed yet; or is NULL.
void syncml_text_free(char *text);

// Why the last call of this thread that failed did so: a sentence, which is good until this thread calls the library again. It
// is never NULL, and empty if nothing failed yet.
const char *syncml_last_error(void);

// The version of the library, such as `0.1.0`.
const char *syncml_version(void);

// A server over `store`; `options` may be NULL. To be freed by `syncml_server_free`.
//
// # Safety
// `store` is open; `options` is as it says; `server` can be written to.
SyncmlCode syncml_server_new(const SyncmlStore *store, const SyncmlServerOptions *options, SyncmlServer **server);

// Frees a server.
//
// # Safety
// `server` comes from `syncml_server_new` and was not freed yet, or is NULL.
void syncml_server_free(SyncmlServer *server);

// Answers a request: what it asks for is then done and durable, and the same request gets the same bytes again. A request that
// gets no SyncML answer is `SYNCML_CODE_REFUSED`; `reply` then bears the HTTP status and a sentence, and is to be freed, too.
// After any other failure it is empty.
//
// # Safety
// `server` and `request` are as they say; `reply` can be written to, and holds nothing that is to be freed.
SyncmlCode syncml_server_answer(const SyncmlServer *server,
                                const SyncmlRequest *request,
                                SyncmlReply *reply);

// Frees what a reply holds; the structure itself is the caller's, and is empty then.
//
// # Safety
// `reply` was filled by `syncml_server_answer`, or is NULL.
void syncml_reply_free(SyncmlReply *reply);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SYNCML_H */
