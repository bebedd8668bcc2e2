/* Two phones and a server in one program, without a network: each phone has an address book of its own, in C, and both
 * books are the same in the end. What a host has to write is all here: six functions of a book, and a loop that posts.
 *
 *   cc -I capi/include capi/examples/two_phones.c -L target/debug -lsyncml_c -o two_phones
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "syncml.h"

#define ROOM 64

/* --- An address book: a table of cards -------------------------------------------------------------------------------- */

typedef struct {
  int id; /* 0: free */
  uint8_t version;
  uint8_t *card;
  size_t length;
} Entry;

typedef struct {
  Entry entries[ROOM];
  int last_id;
} Phone;

static Entry *find(Phone *phone, const char *id) {
  for (int at = 0; at < ROOM; at++)
    if (phone->entries[at].id != 0 && phone->entries[at].id == atoi(id)) return &phone->entries[at];
  return NULL;
}

static void name(const Entry *entry, SyncmlSink *sink) {
  char id[16];
  snprintf(id, sizeof id, "%d", entry->id);
  syncml_sink_entry(sink, id, &entry->version, 1);
}

static int set(Entry *entry, const uint8_t *card, size_t length) {
  uint8_t *copy = malloc(length ? length : 1);
  if (!copy) return 0;
  memcpy(copy, card, length);
  free(entry->card);
  entry->card = copy;
  entry->length = length;
  entry->version++;
  return 1;
}

static Entry *put(Phone *phone, const uint8_t *card, size_t length) {
  for (int at = 0; at < ROOM; at++) {
    Entry *entry = &phone->entries[at];
    if (entry->id != 0) continue;
    if (!set(entry, card, length)) return NULL;
    entry->id = ++phone->last_id;
    return entry;
  }
  return NULL;
}

static int32_t entries(void *context, SyncmlSink *sink) {
  Phone *phone = context;
  for (int at = 0; at < ROOM; at++)
    if (phone->entries[at].id != 0) name(&phone->entries[at], sink);
  return SYNCML_BOOK_DONE;
}

static int32_t version(void *context, const char *id, SyncmlSink *sink) {
  Entry *entry = find(context, id);
  if (!entry) return SYNCML_BOOK_OTHERWISE;
  name(entry, sink);
  return SYNCML_BOOK_DONE;
}

static int32_t read_card(void *context, const char *id, SyncmlSink *sink) {
  Entry *entry = find(context, id);
  if (!entry) return SYNCML_BOOK_OTHERWISE;
  syncml_sink_content(sink, entry->card, entry->length);
  return SYNCML_BOOK_DONE;
}

/* A book in memory forgets what a crash left open, so that the key needs no attention here. */
static int32_t add(void *context, const char *key, const uint8_t *card, size_t length, SyncmlSink *sink) {
  (void)key;
  Entry *entry = put(context, card, length);
  if (!entry) {
    syncml_sink_error(sink, "the phone is full");
    return SYNCML_BOOK_FAILED;
  }
  name(entry, sink);
  return SYNCML_BOOK_DONE;
}

static int is_at(const Entry *entry, const uint8_t *version, size_t size) {
  return entry && size == 1 && entry->version == *version;
}

static int32_t replace(void *context, const char *id, const uint8_t *version, size_t size, const uint8_t *card,
                       size_t length, SyncmlSink *sink) {
  Entry *entry = find(context, id);
  if (!is_at(entry, version, size)) return SYNCML_BOOK_OTHERWISE;
  if (!set(entry, card, length)) return SYNCML_BOOK_FAILED;
  name(entry, sink);
  return SYNCML_BOOK_DONE;
}

static int32_t remove_card(void *context, const char *id, const uint8_t *version, size_t size, SyncmlSink *sink) {
  (void)sink;
  Entry *entry = find(context, id);
  if (!is_at(entry, version, size)) return SYNCML_BOOK_OTHERWISE;
  free(entry->card);
  memset(entry, 0, sizeof *entry);
  return SYNCML_BOOK_DONE;
}

static SyncmlBook book_of(Phone *phone) {
  SyncmlBook book = {phone, entries, version, read_card, add, replace, remove_card};
  return book;
}

/* --- A sync ----------------------------------------------------------------------------------------------------------- */

static int64_t now = 1700000000000;

static void must(SyncmlCode code, const char *what) {
  if (code == SYNCML_CODE_OK) return;
  fprintf(stderr, "%s: %d, %s\n", what, (int)code, syncml_last_error());
  exit(1);
}

/* Where a host would post over HTTP, this asks the server. */
static void post(const SyncmlServer *server, const SyncmlOutgoing *out, SyncmlReply *reply) {
  SyncmlRequest request = {
      .content_type = out->content_type,
      .body = out->body,
      .body_length = out->body_length,
      .token = out->token,
      .mac = out->mac,
      .is_loopback = true,
      .now = now,
  };
  must(syncml_server_answer(server, &request, reply), "the server");
}

static void sync_phone(const SyncmlServer *server, SyncmlStore *store, Phone *phone, const char *device) {
  int64_t account = 0;
  SyncmlBook own = book_of(phone);
  SyncmlClientBook contacts = {.book = 1, .local_uri = "./contacts", .remote_uri = "contacts"};
  SyncmlClientOptions options = {
      .server_uri = "http://sync.example.com/syncml",
      .device_id = device,
      .scheme = SYNCML_SCHEME_MD5,
      .user = "alice",
      .password = "secret",
      .books = &contacts,
      .book_count = 1,
      .is_wbxml = true,
  };
  now += 60000;
  must(syncml_account_find(store, "own", &account), "the phone's account");
  must(syncml_book_collect(store, account, 1, &own, false, now, NULL), "collect");

  SyncmlClient *client = NULL;
  SyncmlOutgoing out;
  SyncmlCode code;
  must(syncml_client_begin(store, account, &options, now, &client), "begin");
  while ((code = syncml_client_outgoing(client, &out)) == SYNCML_CODE_OK) {
    SyncmlReply reply;
    post(server, &out, &reply);
    must(syncml_client_received(client, reply.content_type, reply.body, reply.body_length, reply.mac, now), "received");
    syncml_reply_free(&reply);
  }
  if (code != SYNCML_CODE_OVER) must(code, "outgoing");
  char *report = NULL;
  must(syncml_client_report(client, &report), "report");
  if (!strstr(report, "\"clean\":true")) {
    fprintf(stderr, "%s: %s\n", device, report);
    exit(1);
  }
  syncml_text_free(report);
  syncml_client_free(client);
  must(syncml_book_deliver(store, account, 1, &own, now, NULL), "deliver");
}

/* --- What happens ----------------------------------------------------------------------------------------------------- */

static Entry *enter(Phone *phone, const char *who, const char *number) {
  char card[256];
  int length = snprintf(card, sizeof card,
                        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:%s;;;;\r\nFN:%s\r\nTEL;TYPE=CELL:%s\r\nEND:VCARD\r\n", who, who, number);
  return put(phone, (const uint8_t *)card, (size_t)length);
}

static int has(const Phone *phone, const char *text) {
  int count = 0;
  for (int at = 0; at < ROOM; at++) {
    const Entry *entry = &phone->entries[at];
    size_t size = strlen(text);
    if (entry->id == 0) continue;
    for (size_t from = 0; from + size <= entry->length; from++)
      if (memcmp(entry->card + from, text, size) == 0) {
        count++;
        break;
      }
  }
  return count;
}

static void check(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "not so: %s\n", what);
  exit(1);
}

static SyncmlStore *store_of(const char *path, const char *account) {
  SyncmlStore *store = NULL;
  must(syncml_store_open(path, &store), "open");
  must(syncml_account_add(store, account, "secret", NULL), "account");
  return store;
}

int main(int argc, char **argv) {
  /* The server's database at a path, or in memory. */
  SyncmlStore *servers = store_of(argc > 1 ? argv[1] : NULL, "alice");
  SyncmlServer *server = NULL;
  must(syncml_server_new(servers, NULL, &server), "server");
  syncml_store_close(servers); /* the server has it */
  SyncmlStore *stores[2] = {store_of(NULL, "own"), store_of(NULL, "own")};
  Phone *phones = calloc(2, sizeof *phones);
  if (!phones) return 1;

  /* Somebody whom both know, and one each knows alone. */
  enter(&phones[0], "Ann Meier", "+4917011111");
  enter(&phones[0], "Bob Kurz", "+4917022222");
  enter(&phones[1], "Ann Meier", "+4917011111");
  Entry *cleo = enter(&phones[1], "Cleo Lang", "+4917033333");
  sync_phone(server, stores[0], &phones[0], "IMEI:490154203237518");
  sync_phone(server, stores[1], &phones[1], "IMEI:356938035643809");
  sync_phone(server, stores[0], &phones[0], "IMEI:490154203237518");
  for (int at = 0; at < 2; at++) {
    check(has(&phones[at], "BEGIN:VCARD") == 3, "three cards on each phone");
    check(has(&phones[at], "Ann Meier") == 1 && has(&phones[at], "Bob Kurz") == 1 && has(&phones[at], "Cleo Lang") == 1,
          "everybody once");
  }

  /* One changes, one goes. */
  const char *moved = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Cleo Lang;;;;\r\nFN:Cleo Lang\r\nTEL;TYPE=CELL:+4917044444\r\nEND:VCARD\r\n";
  set(cleo, (const uint8_t *)moved, strlen(moved));
  Entry *bob = find(&phones[0], "2");
  check(bob != NULL, "Bob is the second on the first phone");
  free(bob->card);
  memset(bob, 0, sizeof *bob);
  sync_phone(server, stores[0], &phones[0], "IMEI:490154203237518");
  sync_phone(server, stores[1], &phones[1], "IMEI:356938035643809");
  sync_phone(server, stores[0], &phones[0], "IMEI:490154203237518");
  for (int at = 0; at < 2; at++) {
    check(has(&phones[at], "BEGIN:VCARD") == 2, "two cards on each phone");
    check(has(&phones[at], "+4917044444") == 1 && has(&phones[at], "Bob Kurz") == 0, "the change and the delete are there");
  }

  /* What goes wrong says so, and does nothing. */
  int64_t nobody = 0;
  check(syncml_account_find(stores[0], "nobody", &nobody) == SYNCML_CODE_NOT_FOUND, "there is no such account");
  check(strstr(syncml_last_error(), "nobody") != NULL, "and the sentence names it");
  check(syncml_store_open("/nowhere/at/all", &servers) == SYNCML_CODE_STORE, "there is no such folder");
  check(syncml_server_new(NULL, NULL, &server) == SYNCML_CODE_ARGUMENT, "a server needs a store");
  SyncmlReply reply;
  SyncmlRequest letter = {.content_type = "text/plain", .now = now};
  check(syncml_server_answer(server, &letter, &reply) == SYNCML_CODE_REFUSED && reply.status == 415, "that is no SyncML");
  syncml_reply_free(&reply);
  SyncmlBook broken = {0};
  check(syncml_book_collect(stores[0], 1, 1, &broken, false, now, NULL) == SYNCML_CODE_BOOK, "a book without functions");
  Phone empty = {0};
  SyncmlBook gone = book_of(&empty);
  int64_t account = 0;
  must(syncml_account_find(stores[0], "own", &account), "the phone's account");
  check(syncml_book_collect(stores[0], account, 1, &gone, false, now, NULL) == SYNCML_CODE_MASS_DELETE, "all gone at once");

  for (int phone = 0; phone < 2; phone++) {
    for (int at = 0; at < ROOM; at++) free(phones[phone].entries[at].card);
    syncml_store_close(stores[phone]);
  }
  free(phones);
  syncml_server_free(server);
  printf("Both phones hold the same 2 contacts (syncml %s).\n", syncml_version());
  return 0;
}
