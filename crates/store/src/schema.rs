//! Tables of the two kinds of files, as numbered migrations.
//!
//! **Invariants**: a published migration is never edited, only followed by another; a file carries the number of its last
//! migration (`user_version`) and the mark of its kind (`application_id`); all migrations that are missing are applied in
//! one transaction together with the number.

/// A kind of database file.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Marks a file as ours; `file(1)` shows it too.
    pub(crate) application: i32,
    /// Oldest first; migration `n` is at index `n - 1`.
    pub(crate) migrations: &'static [&'static str],
}

impl Schema {
    /// Number of the last migration.
    pub(crate) fn latest(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }
}

/// The database of a home.
pub(crate) static HOME: Schema = Schema {
    application: i32::from_be_bytes(*b"OckH"),
    migrations: &[
        HOME_1, HOME_2, HOME_3, HOME_4, HOME_5, HOME_6, HOME_7, HOME_8, HOME_9, HOME_10,
    ],
};

/// The file of one further vault.
pub(crate) static VAULT_FILE: Schema = Schema {
    application: i32::from_be_bytes(*b"OckV"),
    migrations: &[VAULT_FILE_1],
};

/// `id` columns keep the order of creation: the first remaining row becomes the default when the default is deleted. The
/// partial indexes make a second default, and a second vault inside this database, impossible.
const HOME_1: &str = "
CREATE TABLE vault (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    path TEXT UNIQUE,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    is_sealed INTEGER NOT NULL CHECK (is_sealed IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX vault_one_default ON vault (is_default) WHERE is_default = 1;
CREATE UNIQUE INDEX vault_one_inside ON vault ((1)) WHERE path IS NULL;

CREATE TABLE secret (
    handle BLOB PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('EdDSACurve25519', 'ECDSASHA256CurveP256', 'X25519')),
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    identifier TEXT PRIMARY KEY,
    change_history BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE identity (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    identifier TEXT NOT NULL UNIQUE REFERENCES history (identifier),
    vault TEXT NOT NULL REFERENCES vault (name),
    key_handle BLOB,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX identity_one_default ON identity (is_default) WHERE is_default = 1;

CREATE TABLE purpose_key (
    identifier TEXT NOT NULL REFERENCES identity (identifier) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('SC_PK', 'C_PK')),
    attestation BLOB NOT NULL,
    key_handle BLOB NOT NULL,
    PRIMARY KEY (identifier, purpose)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    identity TEXT REFERENCES identity (name),
    pid INTEGER,
    pid_started INTEGER,
    listener TEXT,
    status_endpoint TEXT,
    options TEXT NOT NULL,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    CHECK ((pid IS NULL) = (pid_started IS NULL))
) STRICT;
CREATE UNIQUE INDEX node_one_default ON node (is_default) WHERE is_default = 1;

CREATE TABLE request (
    node TEXT NOT NULL REFERENCES node (name) ON DELETE CASCADE,
    noun TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    spec TEXT NOT NULL,
    PRIMARY KEY (node, noun, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX request_order ON request (node, position);
";

/// What the user was told once and is not told again.
const HOME_2: &str = "
CREATE TABLE notice (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
";

/// Where a node and its requests come from, when a configuration asked for them.
const HOME_3: &str = "
ALTER TABLE node ADD COLUMN configuration TEXT;
ALTER TABLE request ADD COLUMN origin TEXT;
";

/// Projects, and which of the user's identities are enrolled in them. `authority` is what nodes trust; the rest of a
/// project is for people and for finding it.
const HOME_4: &str = "
CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    authority TEXT,
    details TEXT NOT NULL,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX project_one_default ON project (is_default) WHERE is_default = 1;

CREATE TABLE enrollment (
    identity TEXT NOT NULL REFERENCES identity (identifier) ON DELETE CASCADE,
    project TEXT NOT NULL REFERENCES project (project_id) ON DELETE CASCADE,
    enrolled_at INTEGER NOT NULL,
    PRIMARY KEY (identity, project)
) STRICT, WITHOUT ROWID;
";

/// Credentials to be presented. The subject is nearly always one of the home's identities, but need not be.
const HOME_5: &str = "
CREATE TABLE credential (
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    scope TEXT NOT NULL,
    bundle BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (subject, issuer, scope)
) STRICT, WITHOUT ROWID;
";

/// What the authorities of this home remember. The sequence of a withdrawal is never used twice, also when its row is gone.
const HOME_6: &str = "
CREATE TABLE member (
    authority BLOB NOT NULL,
    identifier BLOB NOT NULL,
    attributes BLOB NOT NULL,
    added_by BLOB NOT NULL,
    added_at INTEGER NOT NULL,
    is_pre_trusted INTEGER NOT NULL CHECK (is_pre_trusted IN (0, 1)),
    PRIMARY KEY (authority, identifier)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_pre_trusted ON member (authority, is_pre_trusted) WHERE is_pre_trusted = 1;

CREATE TABLE enrollment_token (
    authority BLOB NOT NULL,
    hash BLOB NOT NULL,
    attributes BLOB NOT NULL,
    issued_by BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses INTEGER NOT NULL CHECK (uses > 0),
    PRIMARY KEY (authority, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX enrollment_token_end ON enrollment_token (expires_at);

CREATE TABLE withdrawal (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    authority BLOB NOT NULL,
    subject BLOB NOT NULL,
    before INTEGER NOT NULL,
    UNIQUE (authority, subject)
) STRICT;
CREATE INDEX withdrawal_order ON withdrawal (authority, sequence);
CREATE INDEX withdrawal_moment ON withdrawal (authority, before);

CREATE TABLE credential_lifetime (
    authority BLOB PRIMARY KEY,
    longest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What the nodes of this home heard that authorities withdrew.
const HOME_7: &str = "
CREATE TABLE heard_withdrawal (
    authority BLOB NOT NULL,
    subject BLOB NOT NULL,
    before INTEGER NOT NULL,
    PRIMARY KEY (authority, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX heard_withdrawal_moment ON heard_withdrawal (authority, before);
";

/// Controllers, which of the user's identities they know, their spaces, and which of them runs a project.
const HOME_8: &str = "
CREATE TABLE controller (
    id INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL UNIQUE,
    route TEXT NOT NULL,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX controller_one_default ON controller (is_default) WHERE is_default = 1;

CREATE TABLE account (
    identity TEXT NOT NULL REFERENCES identity (identifier) ON DELETE CASCADE,
    controller TEXT NOT NULL REFERENCES controller (identifier) ON DELETE CASCADE,
    email TEXT,
    enrolled_at INTEGER NOT NULL,
    PRIMARY KEY (identity, controller)
) STRICT, WITHOUT ROWID;

CREATE TABLE space (
    id INTEGER PRIMARY KEY,
    space_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    controller TEXT NOT NULL REFERENCES controller (identifier) ON DELETE CASCADE,
    details TEXT NOT NULL,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX space_one_default ON space (is_default) WHERE is_default = 1;

ALTER TABLE project ADD COLUMN controller TEXT;
";

/// A node that stands apart never is the default one: nobody means it who names none.
const HOME_9: &str = "
ALTER TABLE node ADD COLUMN stands_apart INTEGER NOT NULL DEFAULT 0 CHECK (stands_apart IN (0, 1));
";

/// Projects that are hosted, what other processes are to hear of them, and which one-time codes were used by whom. An event
/// without a subject tells that the project is deleted.
const HOME_10: &str = "
CREATE TABLE hosting (
    project TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    authority TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE hosting_event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    subject BLOB,
    moment INTEGER NOT NULL
) STRICT;
CREATE INDEX hosting_event_project ON hosting_event (project);

CREATE TABLE ticket (
    authority BLOB NOT NULL,
    hash BLOB NOT NULL,
    issued_by BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    PRIMARY KEY (authority, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_order ON ticket (authority, issued_at);
CREATE INDEX ticket_end ON ticket (expires_at);

CREATE TABLE ticket_use (
    authority BLOB NOT NULL,
    hash BLOB NOT NULL,
    used_by BLOB NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (authority, hash, used_by)
) STRICT, WITHOUT ROWID;
";

/// `seal` has one row if the file is sealed: the key of the secrets, itself sealed under the passphrase.
const VAULT_FILE_1: &str = "
CREATE TABLE seal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sealed_key BLOB NOT NULL
) STRICT;

CREATE TABLE secret (
    handle BLOB PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('EdDSACurve25519', 'ECDSASHA256CurveP256', 'X25519')),
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";
