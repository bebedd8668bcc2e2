-- The tables of schemas/sqlite, for many nodes on one database. Every table below the directory begins with the account,
-- and those that grow with contacts are partitioned by it; all statements of a step name one account. Texts compare by
-- their octets. Rows that every message rewrites leave room for that on their page.

-- The directory -------------------------------------------------------------------------------------------------------

-- The newest whose time (since) has come sign, older ones are still believed.
CREATE TABLE keys (
    number BIGINT PRIMARY KEY, since BIGINT NOT NULL,
    nonce BYTEA NOT NULL DEFAULT sha256((gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid())::bytea),
    token BYTEA NOT NULL DEFAULT sha256((gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid())::bytea)
);
INSERT INTO keys VALUES (1, 0);

CREATE TABLE account (
    account BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE login (
    name TEXT COLLATE "C" PRIMARY KEY, account BIGINT NOT NULL, scheme TEXT NOT NULL, verifier BYTEA NOT NULL
);

-- kind: 0 handset, 1 platform
CREATE TABLE principal (device_id TEXT COLLATE "C" PRIMARY KEY, kind BIGINT NOT NULL);

CREATE TABLE principal_verifier (
    device_id TEXT COLLATE "C" NOT NULL, seq BIGINT NOT NULL, scheme TEXT NOT NULL, verifier BYTEA NOT NULL,
    PRIMARY KEY (device_id, seq)
);

CREATE TABLE "grant" (device_id TEXT COLLATE "C" NOT NULL, account BIGINT NOT NULL, PRIMARY KEY (device_id, account));
CREATE INDEX grant_account ON "grant" (account);

-- Which books of which accounts have news for a device that was granted them: what a platform asks for at once.
CREATE TABLE dirty (
    device_id TEXT COLLATE "C" NOT NULL, account BIGINT NOT NULL, book BIGINT NOT NULL,
    PRIMARY KEY (device_id, account, book)
);

-- What was done by whom to what, by numbers; rows are only ever added. account: 0 of what concerns the whole store.
CREATE SEQUENCE audit_seq;
CREATE TABLE audit (
    account BIGINT NOT NULL, seq BIGINT NOT NULL DEFAULT nextval('audit_seq'), at BIGINT NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (account, seq)
);
CREATE INDEX audit_at ON audit (at, seq);

-- What became of a COMMIT whose answer was lost: one row for each connection of a node, with the number of the last step it
-- committed. Who has to know sets `fenced`, and what is still on its way there cannot commit any more.
CREATE TABLE mark (
    conn UUID PRIMARY KEY, step BIGINT NOT NULL, fenced BOOLEAN NOT NULL DEFAULT false,
    at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

-- Books ---------------------------------------------------------------------------------------------------------------

-- The lock; head + 1 is the next revision. indexed_upto: the last item whose match keys are indexed, while not all are.
CREATE TABLE book (
    account BIGINT NOT NULL, book BIGINT NOT NULL, stamp BIGINT NOT NULL, head BIGINT NOT NULL,
    live_items BIGINT NOT NULL, live_bytes BIGINT NOT NULL, purged_upto BIGINT NOT NULL, indexed BOOLEAN NOT NULL,
    indexed_upto BIGINT NOT NULL, PRIMARY KEY (account, book)
) WITH (fillfactor = 70);

-- Current items. print: the fingerprint's first bits, for a small index. keys: match keys, eight octets each, little
-- endian. blob: where large content is, and size its length; content is then its beginning.
CREATE TABLE item (
    account BIGINT NOT NULL, book BIGINT NOT NULL, guid BIGINT NOT NULL, revision BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL, parent BIGINT, depth BIGINT NOT NULL, media_type TEXT, origin BIGINT, at BIGINT NOT NULL,
    print BIGINT NOT NULL, blob BIGINT, size BIGINT, fingerprint BYTEA NOT NULL, keys BYTEA NOT NULL,
    content BYTEA NOT NULL, PRIMARY KEY (account, book, guid)
) PARTITION BY HASH (account);
CREATE UNIQUE INDEX item_revision ON item (account, book, revision);
CREATE INDEX item_print ON item (account, book, print, guid) WHERE NOT deleted;
CREATE INDEX item_blob ON item (account, blob) WHERE blob IS NOT NULL;
CREATE INDEX item_parent ON item (account, book, parent, guid) WHERE parent IS NOT NULL AND NOT deleted;

-- Superseded contents only. kind: what made them, 0 add, 1 replace, 2 delete. until: the revision that superseded them,
-- and when that was.
CREATE TABLE revision (
    account BIGINT NOT NULL, book BIGINT NOT NULL, guid BIGINT NOT NULL, revision BIGINT NOT NULL, kind BIGINT NOT NULL,
    until BIGINT NOT NULL, until_at BIGINT NOT NULL, parent BIGINT, depth BIGINT NOT NULL, media_type TEXT,
    origin BIGINT, at BIGINT NOT NULL, blob BIGINT, size BIGINT, content BYTEA NOT NULL,
    PRIMARY KEY (account, book, guid, revision)
) PARTITION BY HASH (account);
CREATE UNIQUE INDEX revision_number ON revision (account, book, revision);
CREATE INDEX revision_blob ON revision (account, blob) WHERE blob IS NOT NULL;

-- Books set back to an earlier state. restore: the head when it began; cursor: how far it got; ended: NULL while it is
-- not done.
CREATE TABLE restore (
    account BIGINT NOT NULL, book BIGINT NOT NULL, restore BIGINT NOT NULL, target BIGINT NOT NULL,
    cursor BIGINT NOT NULL, begun BIGINT NOT NULL, ended BIGINT, revived BIGINT NOT NULL, changed BIGINT NOT NULL,
    deleted BIGINT NOT NULL, PRIMARY KEY (account, book, restore)
);

-- Conflicts that were decided, by the revision that did. origin: whose word came in. won: 0 what was here, 1 that, 2 both were
-- kept. lost: the item's revision that holds what lost. fields: their names, as JSON.
CREATE TABLE conflict (
    account BIGINT NOT NULL, book BIGINT NOT NULL, revision BIGINT NOT NULL, guid BIGINT NOT NULL, origin BIGINT,
    at BIGINT NOT NULL, won BIGINT NOT NULL, lost BIGINT, fields TEXT NOT NULL, PRIMARY KEY (account, book, revision)
);
CREATE INDEX conflict_lost ON conflict (account, book, lost) WHERE lost IS NOT NULL;

CREATE TABLE match_key (
    account BIGINT NOT NULL, book BIGINT NOT NULL, key BIGINT NOT NULL, guid BIGINT NOT NULL,
    PRIMARY KEY (account, book, key, guid)
) PARTITION BY HASH (account);

-- Search: terms of items; a term begins with its account. place: slot << 36 | guid. upto: the revision of the book up to which
-- changes are in it; what came since is put there when somebody searches. The key does not begin with the account, which
-- would seem a way to an account's items to the planner, but is none to some of them.
CREATE SEQUENCE words_slot;
CREATE TABLE words_book (
    account BIGINT NOT NULL, book BIGINT NOT NULL, slot BIGINT NOT NULL DEFAULT nextval('words_slot'), upto BIGINT NOT NULL,
    PRIMARY KEY (account, book)
);
CREATE TABLE words (
    place BIGINT NOT NULL, account BIGINT NOT NULL, terms TSVECTOR NOT NULL, PRIMARY KEY (place, account)
) PARTITION BY HASH (account);
CREATE INDEX words_terms ON words USING gin (terms);

-- Large contents in pieces of 64 KB, the last may be shorter. before: the fingerprint's state before the piece. What no
-- item, revision, staged change or partial object refers to is removed.
CREATE TABLE blob (
    account BIGINT NOT NULL, blob BIGINT NOT NULL, seq BIGINT NOT NULL, before BYTEA NOT NULL, bytes BYTEA NOT NULL,
    PRIMARY KEY (account, blob, seq)
) PARTITION BY HASH (account);

-- Devices -------------------------------------------------------------------------------------------------------------

-- A row is also the lock of all that is done with the device.
CREATE TABLE device (
    account BIGINT NOT NULL, device BIGINT NOT NULL, device_id TEXT COLLATE "C" NOT NULL, profile TEXT,
    nonce_count BIGINT NOT NULL, nonce_out BYTEA, nonce_in BYTEA, last_seen BIGINT NOT NULL, devinf BYTEA,
    PRIMARY KEY (account, device)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX device_id ON device (account, device_id);

-- What devices can hold, by the numbers under which pairs and map entries remember it.
CREATE TABLE lens (
    account BIGINT NOT NULL, lens BIGINT NOT NULL, value BYTEA NOT NULL, PRIMARY KEY (account, lens)
);

-- holds: what waits for a person's decision, as JSON; its items are map entries in state 5.
-- phase: 0 idle, 1 receiving, 2 settling, 3 sending, 4 confirming
CREATE TABLE pair (
    account BIGINT NOT NULL, device BIGINT NOT NULL, book BIGINT NOT NULL, peer_next TEXT, peer_prev TEXT,
    own_next TEXT, own_prev TEXT, cursor BIGINT NOT NULL, upto BIGINT NOT NULL, start_head BIGINT NOT NULL,
    epoch BIGINT NOT NULL, lens BIGINT, filter_hash BYTEA, sync_type BIGINT NOT NULL,
    last_type BIGINT NOT NULL, phase BIGINT NOT NULL, holds TEXT, PRIMARY KEY (account, device, book)
) WITH (fillfactor = 70);

-- state: 0 live, 1 gone, 2 filtered, 3 soft-deleted, 4 refused, 5 held, 6 unconfirmed, 7 leaving
CREATE TABLE map (
    account BIGINT NOT NULL, device BIGINT NOT NULL, book BIGINT NOT NULL, epoch BIGINT NOT NULL, guid BIGINT NOT NULL,
    agreed_revision BIGINT NOT NULL, lens BIGINT, state BIGINT NOT NULL, luid TEXT COLLATE "C" NOT NULL,
    view_fp BYTEA NOT NULL, PRIMARY KEY (account, device, book, epoch, luid)
) PARTITION BY HASH (account);
CREATE UNIQUE INDEX map_guid ON map (account, device, book, epoch, guid) WHERE state <> 1;
CREATE INDEX map_unconfirmed ON map (account, device, book, epoch, guid) WHERE state = 6;

-- op: 0 add, 1 replace, 2 delete, 3 copy, 4 move (also in staged).
-- state: 0 unsent, 1 sent, 2 acknowledged but unmapped, 3 withheld, 4 refused, 5 sent again otherwise
CREATE TABLE outgoing (
    account BIGINT NOT NULL, device BIGINT NOT NULL, book BIGINT NOT NULL, guid BIGINT NOT NULL, op BIGINT NOT NULL,
    sent_revision BIGINT NOT NULL, state BIGINT NOT NULL, reason BIGINT NOT NULL, msg_id BIGINT, cmd_id BIGINT,
    session BYTEA, sent_view_fp BYTEA NOT NULL, temp_guid TEXT, PRIMARY KEY (account, device, book, guid)
);
CREATE INDEX outgoing_ref ON outgoing (account, device, session, msg_id, cmd_id) WHERE session IS NOT NULL;
-- Adds that may have no Map yet.
CREATE INDEX outgoing_view ON outgoing (account, device, book, sent_view_fp, guid) WHERE op = 0 AND state IN (1, 2, 5);

-- Numbers are never used again, so that a reader who remembers one misses nothing.
CREATE SEQUENCE staged_seq;
CREATE TABLE staged (
    account BIGINT NOT NULL, device BIGINT NOT NULL, book BIGINT NOT NULL, epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL DEFAULT nextval('staged_seq'), op BIGINT NOT NULL, blob BIGINT, size BIGINT,
    luid TEXT COLLATE "C" NOT NULL, place TEXT, media_type TEXT, view_fp BYTEA NOT NULL, keys BYTEA NOT NULL,
    content BYTEA NOT NULL, PRIMARY KEY (account, device, book, luid, epoch)
);
CREATE UNIQUE INDEX staged_number ON staged (account, device, book, seq);
CREATE INDEX staged_blob ON staged (account, blob) WHERE blob IS NOT NULL;

CREATE TABLE partial (
    account BIGINT NOT NULL, device BIGINT NOT NULL, book BIGINT NOT NULL, direction BIGINT NOT NULL,
    uri TEXT NOT NULL, op BIGINT NOT NULL, meta BYTEA, declared BIGINT, received BIGINT NOT NULL,
    unconfirmed BIGINT NOT NULL, last_status BIGINT, blob BIGINT NOT NULL,
    PRIMARY KEY (account, device, book, direction)
);
CREATE INDEX partial_blob ON partial (account, blob);

-- What a device is told to do, and what became of it: as JSON, by whom it is told. errand 0 is what is known of the device
-- itself, its key among it.
CREATE TABLE errand (
    account BIGINT NOT NULL, device BIGINT NOT NULL, errand BIGINT NOT NULL, content BYTEA NOT NULL,
    PRIMARY KEY (account, device, errand)
);

-- Sessions ------------------------------------------------------------------------------------------------------------

-- seq: the newest is the last. books: the books it is about.
CREATE SEQUENCE session_seq;
CREATE TABLE session (
    account BIGINT NOT NULL, token BYTEA NOT NULL, seq BIGINT NOT NULL DEFAULT nextval('session_seq'),
    device BIGINT NOT NULL, session_id TEXT COLLATE "C" NOT NULL, books BIGINT[] NOT NULL, deadline BIGINT NOT NULL,
    last_msg_id BIGINT NOT NULL, last_digest BYTEA NOT NULL, recent_digests BYTEA NOT NULL, reply_type TEXT NOT NULL,
    state_version BIGINT NOT NULL, state BYTEA NOT NULL, last_reply BYTEA NOT NULL,
    PRIMARY KEY (account, token)
) WITH (fillfactor = 70);
CREATE INDEX session_ids ON session (account, device, session_id, seq);

CREATE SEQUENCE status_queue_seq;
CREATE TABLE status_queue (
    account BIGINT NOT NULL, token BYTEA NOT NULL, seq BIGINT NOT NULL DEFAULT nextval('status_queue_seq'),
    bytes BYTEA NOT NULL, PRIMARY KEY (account, token, seq)
);

-- Eight partitions of each table that grows with contacts, with their indexes. The others are not partitioned: each statement
-- locks and opens all partitions of its tables, which costs more than what a message without changes does with a row.
DO $$
DECLARE
    parent TEXT;
BEGIN
    FOREACH parent IN ARRAY ARRAY['item', 'revision', 'match_key', 'words', 'blob', 'map'] LOOP
        FOR number IN 0..7 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
                           parent || '_p' || number, parent, number);
        END LOOP;
    END LOOP;
END $$;

-- Statistics ----------------------------------------------------------------------------------------------------------

-- A new table has none, and without them PostgreSQL takes the beginning of any index (an account, a book) for one row: until
-- the first ANALYZE every search by a whole key could read a whole book. So rows are made up, analyzed and removed: 48
-- accounts with two books of 32 items.
INSERT INTO item (account, book, guid, revision, deleted, parent, depth, at, print, blob, size, fingerprint, keys, content)
  SELECT a, b, g, g, g % 16 = 0, CASE g % 8 WHEN 0 THEN g / 8 END, 0, 0, hashint8extended(g, a), CASE g % 8 WHEN 1 THEN g END,
    0, decode(md5(a || '/' || g), 'hex'), '', '' FROM generate_series(1, 48) a, generate_series(1, 2) b, generate_series(1, 32) g;
INSERT INTO revision (account, book, guid, revision, kind, until, until_at, depth, at, blob, size, content)
  SELECT account, book, guid, revision * 2 + n, 1, revision * 2 + n + 1, 0, 0, 0, blob, size, ''
  FROM item, generate_series(0, 1) n;
INSERT INTO match_key SELECT account, book, hashint8extended(guid, account + n), guid FROM item, generate_series(1, 3) n;
INSERT INTO words SELECT guid << 36 | account * 100 + book, account, array_to_tsvector(ARRAY[to_hex(account) || '.aw' || guid, to_hex(account) || '.n'])
  FROM item;
INSERT INTO map (account, device, book, epoch, guid, agreed_revision, state, luid, view_fp)
  SELECT account, 1, book, 1, guid, revision, CASE guid % 16 WHEN 0 THEN 1 WHEN 1 THEN 6 ELSE 0 END, guid, fingerprint FROM item;
INSERT INTO outgoing (account, device, book, guid, op, sent_revision, state, reason, msg_id, cmd_id, session, sent_view_fp)
  SELECT account, 1, book, guid, guid % 2, revision, guid % 3, 0, 1 + guid / 8, guid, decode(md5(account || '.'), 'hex'),
    fingerprint FROM item;
INSERT INTO staged (account, device, book, epoch, op, blob, luid, view_fp, keys, content)
  SELECT account, 1, book, 1, 0, blob, guid, fingerprint, '', '' FROM item;
ANALYZE item, revision, match_key, words, map, outgoing, staged;
TRUNCATE item, revision, match_key, words, map, outgoing, staged;
