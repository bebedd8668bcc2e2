-- Small integers inside, texts at the edge. Every table below the directory begins with the account, or with the place in
-- one of its books: the book's slot and, in the lower 36 bits, a number that is one of its own. Long columns come last, so
-- that the short ones before them are read without them.

-- The directory -------------------------------------------------------------------------------------------------------

-- The newest whose time (since) has come sign, older ones are still believed.
CREATE TABLE keys (
    number INTEGER PRIMARY KEY, since INTEGER NOT NULL, nonce BLOB NOT NULL, token BLOB NOT NULL
) STRICT;
INSERT INTO keys VALUES (1, 0, randomblob(32), randomblob(32));

CREATE TABLE account (account INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE login (
    name TEXT PRIMARY KEY, account INTEGER NOT NULL, scheme TEXT NOT NULL, verifier BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: 0 handset, 1 platform
CREATE TABLE principal (device_id TEXT PRIMARY KEY, kind INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE principal_verifier (
    device_id TEXT NOT NULL, seq INTEGER NOT NULL, scheme TEXT NOT NULL, verifier BLOB NOT NULL,
    PRIMARY KEY (device_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE "grant" (
    device_id TEXT NOT NULL, account INTEGER NOT NULL, PRIMARY KEY (device_id, account)
) STRICT, WITHOUT ROWID;

CREATE INDEX grant_account ON "grant" (account);

-- Which books of which accounts have news for a device that was granted them: what a platform asks for at once.
CREATE TABLE dirty (
    device_id TEXT NOT NULL, account INTEGER NOT NULL, book INTEGER NOT NULL, PRIMARY KEY (device_id, account, book)
) STRICT, WITHOUT ROWID;

-- What was done by whom to what, by numbers; rows are only ever added. account: 0 of what concerns the whole store.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, account INTEGER NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at, seq);

-- Books ---------------------------------------------------------------------------------------------------------------

-- The lock; head + 1 is the next revision. indexed_upto: the last item whose match keys are indexed, while not all are.
-- slot: its number among all books, from 1, which begins its places.
CREATE TABLE book (
    account INTEGER NOT NULL, book INTEGER NOT NULL, slot INTEGER NOT NULL, stamp INTEGER NOT NULL, head INTEGER NOT NULL,
    live_items INTEGER NOT NULL, live_bytes INTEGER NOT NULL, purged_upto INTEGER NOT NULL,
    indexed INTEGER NOT NULL, indexed_upto INTEGER NOT NULL,
    PRIMARY KEY (account, book)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX book_slot ON book (slot);

-- Current items. place: of the guid. changed, parent: the places of the revision and the folder. blob: where large content is,
-- of which size is the length, and content then the beginning. A size without a blob is that of a packed content: the number of
-- its dictionary (dictionary_N.txt), an octet, and a stream of raw deflate. An item that was never changed has its guid as its revision, and
-- no entry in the index of revisions. keys: match keys, eight octets each, little endian.
CREATE TABLE item (
    place INTEGER PRIMARY KEY, changed INTEGER, deleted INTEGER NOT NULL, parent INTEGER, depth INTEGER NOT NULL,
    media_type TEXT, origin INTEGER, at INTEGER NOT NULL, blob INTEGER, size INTEGER, fingerprint BLOB NOT NULL,
    keys BLOB NOT NULL, content BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX item_changed ON item (changed) WHERE changed IS NOT NULL;
CREATE INDEX item_blob ON item (place >> 36, blob) WHERE blob IS NOT NULL;
CREATE INDEX item_parent ON item (parent) WHERE parent IS NOT NULL AND deleted = 0;

-- Superseded contents only. place: of the revision; item: of the guid. kind: what made them, 0 add, 1 replace, 2 delete.
-- until: the revision that superseded them, and when that was.
CREATE TABLE revision (
    place INTEGER PRIMARY KEY, item INTEGER NOT NULL, kind INTEGER NOT NULL, until INTEGER NOT NULL,
    until_at INTEGER NOT NULL, parent INTEGER, depth INTEGER NOT NULL, media_type TEXT, origin INTEGER,
    at INTEGER NOT NULL, blob INTEGER, size INTEGER, content BLOB NOT NULL
) STRICT;
CREATE INDEX revision_item ON revision (item);
CREATE INDEX revision_blob ON revision (place >> 36, blob) WHERE blob IS NOT NULL;

-- Books set back to an earlier state. restore: the head when it began; cursor: how far it got; ended: NULL while it is not
-- done.
CREATE TABLE restore (
    account INTEGER NOT NULL, book INTEGER NOT NULL, restore INTEGER NOT NULL, target INTEGER NOT NULL,
    cursor INTEGER NOT NULL, begun INTEGER NOT NULL, ended INTEGER, revived INTEGER NOT NULL, changed INTEGER NOT NULL,
    deleted INTEGER NOT NULL, PRIMARY KEY (account, book, restore)
) STRICT, WITHOUT ROWID;

-- Conflicts that were decided, by the revision that did. origin: whose word came in. won: 0 what was here, 1 that, 2 both were
-- kept. lost: the item's revision that holds what lost. fields: their names, as JSON.
CREATE TABLE conflict (
    account INTEGER NOT NULL, book INTEGER NOT NULL, revision INTEGER NOT NULL, guid INTEGER NOT NULL, origin INTEGER,
    at INTEGER NOT NULL, won INTEGER NOT NULL, lost INTEGER, fields TEXT NOT NULL, PRIMARY KEY (account, book, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX conflict_lost ON conflict (account, book, lost) WHERE lost IS NOT NULL;

-- Items by the first bits of their fingerprint; and what is not sorted in there yet, in the order of its arrival: nine
-- octets for each, little endian: 0, or 1 where the entry is taken out, and the bits; the item.
CREATE TABLE print (
    account INTEGER NOT NULL, book INTEGER NOT NULL, print INTEGER NOT NULL, guid INTEGER NOT NULL,
    PRIMARY KEY (account, book, print, guid)
) STRICT, WITHOUT ROWID;
CREATE TABLE fresh_print (
    account INTEGER NOT NULL, book INTEGER NOT NULL, pack INTEGER NOT NULL, entries BLOB NOT NULL,
    PRIMARY KEY (account, book, pack)
) STRICT;

CREATE TABLE match_key (
    account INTEGER NOT NULL, book INTEGER NOT NULL, key INTEGER NOT NULL, guid INTEGER NOT NULL,
    PRIMARY KEY (account, book, key, guid)
) STRICT, WITHOUT ROWID;

-- Search: terms of items, without their texts; a term begins with its account. slot << 36 | guid is the rowid of an item's.
-- upto: the revision of the book up to which changes are in it; what came since is put there when somebody searches.
CREATE TABLE words_book (
    slot INTEGER PRIMARY KEY, account INTEGER NOT NULL, book INTEGER NOT NULL, upto INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX words_book_key ON words_book (account, book);
CREATE VIRTUAL TABLE words USING fts5 (
    terms, content = '', contentless_delete = 1, detail = none, tokenize = "ascii tokenchars '.'"
);

CREATE TABLE lens (
    account INTEGER NOT NULL, lens INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (account, lens)
) STRICT;

-- Large contents in pieces of 64 KB, the last may be shorter. before: the fingerprint's state before the piece. What no
-- item, revision, staged change or partial object refers to is removed.
CREATE TABLE blob (
    account INTEGER NOT NULL, blob INTEGER NOT NULL, seq INTEGER NOT NULL, before BLOB NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (account, blob, seq)
) STRICT;

CREATE TABLE book_outbox (
    account INTEGER NOT NULL, book INTEGER NOT NULL, seq INTEGER NOT NULL, op BLOB NOT NULL,
    PRIMARY KEY (account, book, seq)
) STRICT;

-- Devices -------------------------------------------------------------------------------------------------------------

CREATE TABLE device (
    account INTEGER NOT NULL, device INTEGER NOT NULL, device_id TEXT NOT NULL, profile TEXT,
    nonce_count INTEGER NOT NULL, nonce_out BLOB, nonce_in BLOB, last_seen INTEGER NOT NULL, devinf BLOB,
    PRIMARY KEY (account, device)
) STRICT;
CREATE UNIQUE INDEX device_id ON device (account, device_id);

-- holds: what waits for a person's decision, as JSON; its items are map entries in state 5.
-- phase: 0 idle, 1 receiving, 2 settling, 3 sending, 4 confirming
CREATE TABLE pair (
    account INTEGER NOT NULL, device INTEGER NOT NULL, book INTEGER NOT NULL, peer_next TEXT, peer_prev TEXT,
    own_next TEXT, own_prev TEXT, cursor INTEGER NOT NULL, upto INTEGER NOT NULL, start_head INTEGER NOT NULL,
    epoch INTEGER NOT NULL, lens INTEGER, filter_hash BLOB, sync_type INTEGER NOT NULL, last_type INTEGER NOT NULL,
    phase INTEGER NOT NULL, holds TEXT,
    PRIMARY KEY (account, device, book)
) STRICT, WITHOUT ROWID;

-- luid: an integer where the text is one, which half of all devices use. agreed_revision: NULL where it is the guid.
-- view_fp: NULL where it is the item's, which was never changed: who changes it writes it here. Retired entries have theirs.
-- state: 0 live, 1 gone, 2 filtered, 3 soft-deleted, 4 refused, 5 held, 6 unconfirmed, 7 leaving
CREATE TABLE map (
    account INTEGER NOT NULL, device INTEGER NOT NULL, book INTEGER NOT NULL, epoch INTEGER NOT NULL,
    luid ANY NOT NULL, guid INTEGER NOT NULL, agreed_revision INTEGER, lens INTEGER, state INTEGER NOT NULL,
    view_fp BLOB,
    PRIMARY KEY (account, device, book, epoch, luid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX map_guid ON map (account, device, book, epoch, guid) WHERE state <> 1;
CREATE INDEX map_unconfirmed ON map (account, device, book, epoch, guid) WHERE state = 6;

-- op: 0 add, 1 replace, 2 delete, 3 copy, 4 move (also in staged).
-- state: 0 unsent, 1 sent, 2 acknowledged but unmapped, 3 withheld, 4 refused, 5 sent again otherwise
CREATE TABLE outgoing (
    account INTEGER NOT NULL, device INTEGER NOT NULL, book INTEGER NOT NULL, guid INTEGER NOT NULL,
    op INTEGER NOT NULL, sent_revision INTEGER NOT NULL, sent_view_fp BLOB NOT NULL, temp_guid TEXT,
    state INTEGER NOT NULL, reason INTEGER NOT NULL, session BLOB, msg_id INTEGER, cmd_id INTEGER,
    PRIMARY KEY (account, device, book, guid)
) STRICT, WITHOUT ROWID;
CREATE INDEX outgoing_ref ON outgoing (account, device, session, msg_id, cmd_id) WHERE session IS NOT NULL;
-- Adds that may have no Map yet. A list of three states would be made a table of, whenever a row is written or removed.
CREATE INDEX outgoing_view ON outgoing (account, device, book, sent_view_fp, guid)
    WHERE op = 0 AND (state = 1 OR state = 2 OR state = 5);

-- Numbers are never used again, so that a reader who remembers one misses nothing.
CREATE TABLE staged (
    account INTEGER NOT NULL, device INTEGER NOT NULL, book INTEGER NOT NULL, epoch INTEGER NOT NULL,
    luid TEXT NOT NULL, op INTEGER NOT NULL, seq INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT, media_type TEXT,
    blob INTEGER, size INTEGER, view_fp BLOB NOT NULL, keys BLOB NOT NULL, content BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX staged_luid ON staged (account, device, book, luid, epoch);
CREATE INDEX staged_seq ON staged (account, device, book, seq);
CREATE INDEX staged_blob ON staged (account, blob) WHERE blob IS NOT NULL;

CREATE TABLE partial (
    account INTEGER NOT NULL, device INTEGER NOT NULL, book INTEGER NOT NULL, direction INTEGER NOT NULL,
    uri TEXT NOT NULL, op INTEGER NOT NULL, meta BLOB, declared INTEGER, received INTEGER NOT NULL,
    unconfirmed INTEGER NOT NULL, last_status INTEGER, blob INTEGER NOT NULL,
    PRIMARY KEY (account, device, book, direction)
) STRICT;
CREATE INDEX partial_blob ON partial (account, blob);

-- What a device is told to do, and what became of it: as JSON, by whom it is told. errand 0 is what is known of the device
-- itself, its key among it.
CREATE TABLE errand (
    account INTEGER NOT NULL, device INTEGER NOT NULL, errand INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (account, device, errand)
) STRICT, WITHOUT ROWID;

-- Sessions ------------------------------------------------------------------------------------------------------------

-- books: the books it is about, eight octets each, little endian.
CREATE TABLE session (
    account INTEGER NOT NULL, token BLOB NOT NULL, device INTEGER NOT NULL, session_id TEXT NOT NULL,
    books BLOB NOT NULL, deadline INTEGER NOT NULL, auth BLOB, last_msg_id INTEGER NOT NULL, last_digest BLOB NOT NULL,
    recent_digests BLOB NOT NULL, reply_type TEXT NOT NULL, state_version INTEGER NOT NULL, state BLOB NOT NULL,
    last_reply BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX session_token ON session (account, token);
CREATE INDEX session_ids ON session (account, device, session_id);

CREATE TABLE status_queue (
    account INTEGER NOT NULL, token BLOB NOT NULL, seq INTEGER PRIMARY KEY AUTOINCREMENT, bytes BLOB NOT NULL
) STRICT;
CREATE INDEX status_queue_token ON status_queue (account, token, seq);
