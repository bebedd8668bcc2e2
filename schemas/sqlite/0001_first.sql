-- The first schema. Small integers inside, texts at the edge; what belongs to an account begins with it, so that a table
-- can be partitioned or sharded by account without a change. Columns and tables that nothing uses yet belong to features
-- that are planned; see the feature table in the README.

-- The directory, and the keys that all nodes share.

CREATE TABLE key_material (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE account (
    account INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE
);

CREATE TABLE login (
    name     TEXT PRIMARY KEY,
    account  INTEGER NOT NULL,
    scheme   TEXT NOT NULL,
    verifier BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE principal (
    device_id TEXT NOT NULL,
    scheme    TEXT NOT NULL,
    kind      INTEGER NOT NULL,          -- 0 handset, 1 platform
    verifier  BLOB NOT NULL,
    PRIMARY KEY (device_id, scheme)
) WITHOUT ROWID;

CREATE TABLE grants (
    device_id TEXT NOT NULL,
    account   INTEGER NOT NULL,
    PRIMARY KEY (device_id, account)
) WITHOUT ROWID;

-- Devices and their sessions.

CREATE TABLE device (
    account     INTEGER NOT NULL,
    device      INTEGER NOT NULL,
    device_id   TEXT NOT NULL,
    devinf      BLOB,
    profile     TEXT,
    nonce_count INTEGER NOT NULL,
    nonce_out   BLOB,
    nonce_in    BLOB,
    last_seen   INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) WITHOUT ROWID;
CREATE UNIQUE INDEX device_id ON device (account, device_id);

CREATE TABLE session (
    account          INTEGER NOT NULL,
    token            BLOB NOT NULL,
    device           INTEGER NOT NULL,
    session_id       TEXT NOT NULL,
    last_msg_id      INTEGER NOT NULL,
    last_digest      BLOB NOT NULL,
    recent_digests   BLOB NOT NULL,      -- 32 octets each, newest first
    last_reply       BLOB NOT NULL,
    reply_type       TEXT NOT NULL,
    deferred_request BLOB,
    state_version    INTEGER NOT NULL,
    state            BLOB NOT NULL,
    deadline         INTEGER NOT NULL,
    PRIMARY KEY (account, token)
);
CREATE INDEX session_ids ON session (account, device, session_id);
CREATE INDEX session_deadline ON session (account, deadline);

CREATE TABLE status_queue (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    token   BLOB NOT NULL,
    bytes   BLOB NOT NULL
);
CREATE INDEX status_queue_token ON status_queue (account, token);

-- Books and what is in them.

CREATE TABLE book (
    account      INTEGER NOT NULL,
    book         INTEGER NOT NULL,
    stamp        INTEGER NOT NULL,
    head         INTEGER NOT NULL,
    live_items   INTEGER NOT NULL,
    live_bytes   INTEGER NOT NULL,
    purged_upto  INTEGER NOT NULL,
    indexed      INTEGER NOT NULL,       -- whether all match keys are in match_key
    indexed_upto INTEGER NOT NULL,       -- else: up to this guid they are
    PRIMARY KEY (account, book)
) WITHOUT ROWID;

-- Current only. A rowid table: contents would make the inner pages of a clustered key hold a handful of rows each.
CREATE TABLE item (
    account     INTEGER NOT NULL,
    book        INTEGER NOT NULL,
    guid        INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    deleted     INTEGER NOT NULL,
    parent      INTEGER,
    depth       INTEGER NOT NULL,
    media_type  TEXT,
    fingerprint BLOB NOT NULL,
    keys        BLOB NOT NULL,           -- match keys, 8 octets each, little-endian
    origin      INTEGER,
    at          INTEGER NOT NULL,
    content     BLOB NOT NULL
);
CREATE UNIQUE INDEX item_guid ON item (account, book, guid);
CREATE UNIQUE INDEX item_revision ON item (account, book, revision);
CREATE INDEX item_fingerprint ON item (account, book, fingerprint) WHERE deleted = 0;

-- Superseded contents only.
CREATE TABLE revision (
    account    INTEGER NOT NULL,
    book       INTEGER NOT NULL,
    guid       INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    deleted    INTEGER NOT NULL,
    media_type TEXT,
    origin     INTEGER,
    at         INTEGER NOT NULL,
    content    BLOB NOT NULL
);
CREATE UNIQUE INDEX revision_guid ON revision (account, book, guid, revision);

CREATE TABLE match_key (
    account INTEGER NOT NULL,
    book    INTEGER NOT NULL,
    key     INTEGER NOT NULL,
    guid    INTEGER NOT NULL,
    PRIMARY KEY (account, book, key, guid)
) WITHOUT ROWID;

CREATE TABLE lens (
    account INTEGER NOT NULL,
    lens    INTEGER NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (account, lens)
) WITHOUT ROWID;

CREATE TABLE blob (
    account INTEGER NOT NULL,
    blob    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    bytes   BLOB NOT NULL,
    PRIMARY KEY (account, blob, seq)
);

-- Where each device stands with each book.

CREATE TABLE pair (
    account     INTEGER NOT NULL,
    device      INTEGER NOT NULL,
    book        INTEGER NOT NULL,
    peer_next   TEXT,
    peer_prev   TEXT,
    own_next    TEXT,
    own_prev    TEXT,
    cursor      INTEGER NOT NULL,
    upto        INTEGER NOT NULL,
    start_head  INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    lens        INTEGER,
    filter_hash BLOB,
    sync_type   INTEGER NOT NULL,
    phase       INTEGER NOT NULL,
    PRIMARY KEY (account, device, book)
) WITHOUT ROWID;

CREATE TABLE dirty (
    account INTEGER NOT NULL,
    device  INTEGER NOT NULL,
    book    INTEGER NOT NULL,
    PRIMARY KEY (account, device, book)
) WITHOUT ROWID;

CREATE TABLE map (
    account         INTEGER NOT NULL,
    device          INTEGER NOT NULL,
    book            INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    luid            TEXT NOT NULL,
    guid            INTEGER NOT NULL,
    agreed_revision INTEGER NOT NULL,
    lens            INTEGER,
    view_fp         BLOB NOT NULL,
    state           INTEGER NOT NULL,    -- 0 live, 1 gone, 2 filtered, 3 soft-deleted, 4 refused, 5 held, 6 unconfirmed
    PRIMARY KEY (account, device, book, epoch, luid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX map_guid ON map (account, device, book, epoch, guid) WHERE state <> 1;
CREATE INDEX map_unconfirmed ON map (account, device, book, epoch, guid) WHERE state = 6;

CREATE TABLE outgoing (
    account       INTEGER NOT NULL,
    device        INTEGER NOT NULL,
    book          INTEGER NOT NULL,
    guid          INTEGER NOT NULL,
    op            INTEGER NOT NULL,      -- 0 add, 1 replace, 2 delete, 3 copy, 4 move
    sent_revision INTEGER NOT NULL,
    sent_view_fp  BLOB NOT NULL,
    temp_guid     TEXT,
    state         INTEGER NOT NULL,      -- 0 unsent, 1 sent, 2 acknowledged without a map, 3 withheld, 4 refused
    reason        INTEGER NOT NULL,
    session       BLOB,
    msg_id        INTEGER,
    cmd_id        INTEGER,
    PRIMARY KEY (account, device, book, guid)
) WITHOUT ROWID;
CREATE INDEX outgoing_ref ON outgoing (account, device, session, msg_id, cmd_id) WHERE session IS NOT NULL;
CREATE INDEX outgoing_view ON outgoing (account, device, book, sent_view_fp) WHERE op = 0 AND state IN (1, 2);

CREATE TABLE staged (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    account    INTEGER NOT NULL,
    device     INTEGER NOT NULL,
    book       INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    luid       TEXT NOT NULL,
    op         INTEGER NOT NULL,
    media_type TEXT,
    view_fp    BLOB NOT NULL,
    keys       BLOB NOT NULL,
    content    BLOB NOT NULL
);
CREATE INDEX staged_pair ON staged (account, device, book);
CREATE UNIQUE INDEX staged_luid ON staged (account, device, book, epoch, luid);

CREATE TABLE held (
    account  INTEGER NOT NULL,
    book     INTEGER NOT NULL,
    hold     INTEGER NOT NULL,
    device   INTEGER NOT NULL,
    guid     INTEGER NOT NULL,
    luid     TEXT NOT NULL,
    base     INTEGER NOT NULL,
    reason   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    decision INTEGER,
    PRIMARY KEY (account, book, hold, guid)
) WITHOUT ROWID;

CREATE TABLE partial (
    account     INTEGER NOT NULL,
    device      INTEGER NOT NULL,
    book        INTEGER NOT NULL,
    direction   INTEGER NOT NULL,        -- 0 received, 1 sent
    uri         TEXT NOT NULL,
    op          INTEGER NOT NULL,
    meta        BLOB NOT NULL,
    declared    INTEGER,
    received    INTEGER NOT NULL,
    unconfirmed INTEGER NOT NULL,
    last_status INTEGER,
    blob        INTEGER NOT NULL,
    PRIMARY KEY (account, device, book, direction)
) WITHOUT ROWID;

CREATE TABLE book_outbox (
    account INTEGER NOT NULL,
    book    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    op      BLOB NOT NULL,
    PRIMARY KEY (account, book, seq)
) WITHOUT ROWID;
