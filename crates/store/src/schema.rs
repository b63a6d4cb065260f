//! The tables, in one text for both engines but for a few words: SQLite keeps a row by its own row number
//! only under the exact type INTEGER (`{key}`), and by a longer key only when told so (`{by_key}`).

use std::collections::BTreeSet;

/// This program's schema version.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Every migration, in order; the first is version 1. A released one is never changed.
pub(crate) const MIGRATIONS: &[&str] = &[
    V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15, V16,
];

const V1: &str = "
CREATE TABLE head (
    one {key}, schema BIGINT NOT NULL, store TEXT NOT NULL, epoch TEXT NOT NULL,
    change_number BIGINT NOT NULL, audit_seq BIGINT NOT NULL, audit_hash {bytes} NOT NULL, next_product BIGINT NOT NULL
);
CREATE TABLE node (
    one {key}, id TEXT NOT NULL, incarnation TEXT NOT NULL, renewals BIGINT NOT NULL
);
CREATE TABLE workspace (
    no {key}, id {bytes} NOT NULL UNIQUE, name TEXT NOT NULL, created_at BIGINT NOT NULL, disabled_at BIGINT
);
CREATE TABLE product (
    no {key}, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL, created_at BIGINT NOT NULL
);
CREATE TABLE client (
    no {key}, id {bytes} NOT NULL UNIQUE, workspace BIGINT NOT NULL, environment BIGINT NOT NULL,
    label TEXT NOT NULL, live_label TEXT, products TEXT, lifetime BIGINT, secret_networks TEXT NOT NULL,
    token_networks TEXT NOT NULL, emails TEXT NOT NULL, on_repeat BIGINT NOT NULL, renew_before BIGINT NOT NULL,
    handover_max BIGINT NOT NULL, created_at BIGINT NOT NULL, disabled_at BIGINT, deleted_at BIGINT,
    secret1_n BIGINT, secret1_digest {bytes}, secret1_key BIGINT, secret1_at BIGINT,
    secret2_n BIGINT, secret2_digest {bytes}, secret2_key BIGINT, secret2_at BIGINT, next_secret BIGINT NOT NULL
);
CREATE UNIQUE INDEX client_live_label ON client (workspace, environment, live_label);
CREATE INDEX client_workspace ON client (workspace, no);
CREATE TABLE slot (
    client {key}, generation BIGINT NOT NULL, digest {bytes}, digest_key BIGINT, issued_at BIGINT, valid_till BIGINT,
    ended BIGINT, ended_at BIGINT, former1 BIGINT, former2 BIGINT, former3 BIGINT, former_reasons BIGINT NOT NULL,
    previous_digest {bytes}, previous_key BIGINT, previous_till BIGINT, seal {bytes},
    quota1_day BIGINT NOT NULL, quota1_used BIGINT NOT NULL, quota2_day BIGINT NOT NULL, quota2_used BIGINT NOT NULL
);
CREATE TABLE admin_key (
    id {bytes} NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, digest {bytes} NOT NULL, digest_key BIGINT NOT NULL,
    created_at BIGINT NOT NULL, expires_at BIGINT, revoked_at BIGINT
);
CREATE TABLE change_log (
    number {key}, at BIGINT NOT NULL, format BIGINT NOT NULL, body TEXT NOT NULL
);
CREATE TABLE audit (
    seq {key}, at BIGINT NOT NULL, actor TEXT NOT NULL, source TEXT NOT NULL, action TEXT NOT NULL,
    workspace {bytes}, client {bytes}, detail TEXT NOT NULL, hash {bytes} NOT NULL
);
CREATE TABLE client_use (
    client {key}, at BIGINT NOT NULL, source TEXT NOT NULL, product BIGINT NOT NULL
);
";

/// The people behind the console, and what its lists are read by. Most audit entries tell of a generation: those are
/// kept out of the indexes, so that generating pays nothing for them.
const V2: &str = "
CREATE TABLE member (
    id {bytes} NOT NULL UNIQUE, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, proofs TEXT NOT NULL,
    created_at BIGINT NOT NULL, disabled_at BIGINT
);
CREATE TABLE invitation (
    id {bytes} NOT NULL UNIQUE, digest {bytes} NOT NULL UNIQUE, email TEXT NOT NULL, role TEXT NOT NULL,
    created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, invited_by TEXT NOT NULL
);
CREATE TABLE session (
    digest {bytes} NOT NULL UNIQUE, id {bytes} NOT NULL UNIQUE, member {bytes} NOT NULL, created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL, proved_at BIGINT NOT NULL, source TEXT NOT NULL, agent TEXT NOT NULL
);
CREATE INDEX session_member ON session (member);
CREATE INDEX client_place ON client (workspace, environment, no);
CREATE INDEX audit_act ON audit (seq) WHERE action <> 'token.generate';
CREATE INDEX audit_client_act ON audit (client, seq) WHERE action <> 'token.generate';
CREATE INDEX audit_workspace_act ON audit (workspace, seq) WHERE action <> 'token.generate';
";

/// What clients' tokens were used for.
const V3: &str = "
CREATE TABLE check_count (
    client BIGINT NOT NULL, day BIGINT NOT NULL, product BIGINT NOT NULL, outcome BIGINT NOT NULL, n BIGINT NOT NULL,
    PRIMARY KEY (client, day, product, outcome)
){by_key};
CREATE TABLE stale_use (
    client BIGINT NOT NULL, day BIGINT NOT NULL, source TEXT NOT NULL, outcome BIGINT NOT NULL, n BIGINT NOT NULL,
    last_at BIGINT NOT NULL, PRIMARY KEY (client, day, source, outcome)
){by_key};
";

/// Notices. A store that is older is followed from where it stands: nobody is told of what was long ago.
const V4: &str = "
CREATE TABLE notice_cursor (
    one {key}, seq BIGINT NOT NULL
);
INSERT INTO notice_cursor (one, seq) SELECT 1, audit_seq FROM head;
CREATE TABLE webhook (
    id {bytes} NOT NULL UNIQUE, workspace {bytes} NOT NULL, url TEXT NOT NULL, secret {bytes} NOT NULL, former_secret {bytes},
    former_till BIGINT, created_at BIGINT NOT NULL, disabled_at BIGINT
);
CREATE INDEX webhook_workspace ON webhook (workspace);
CREATE TABLE notice (
    no {key}, id {bytes} NOT NULL, key TEXT NOT NULL UNIQUE, target TEXT NOT NULL, recipient TEXT NOT NULL,
    workspace {bytes} NOT NULL, client {bytes}, kind TEXT NOT NULL, body TEXT NOT NULL, created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL, due_at BIGINT, done_at BIGINT, last_error TEXT NOT NULL
);
CREATE INDEX notice_waiting ON notice (target, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notice_workspace ON notice (workspace, no);
CREATE INDEX notice_over ON notice (created_at) WHERE due_at IS NULL;
CREATE INDEX client_emails ON client (no) WHERE emails <> '';
";

/// Fingerprints of the digest keys, and the latest time this store has seen. A store that is older gets the fingerprints
/// with its next start, and the time of its last audit entry.
const V5: &str = "
CREATE TABLE digest_key (
    id {key}, fingerprint {bytes} NOT NULL, first_used_at BIGINT NOT NULL
);
ALTER TABLE head ADD COLUMN clock BIGINT NOT NULL DEFAULT 0;
UPDATE head SET clock = coalesce((SELECT at FROM audit ORDER BY seq DESC LIMIT 1), 0);
";

/// The token a client was last used with, and when admin keys were used.
const V6: &str = "
ALTER TABLE client_use ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
CREATE TABLE admin_key_use (
    id {bytes} NOT NULL UNIQUE, at BIGINT NOT NULL, source TEXT NOT NULL
);
";

/// The key that labels are compared by, filled by `upgrade`; and who confirmed that they want notices by mail. Addresses
/// that a client already has count as confirmed. `address` is the address with A to Z in lower case.
const V7: &str = "
ALTER TABLE client ADD COLUMN label_key TEXT;
CREATE INDEX client_label_key ON client (workspace, environment, label_key);
CREATE INDEX client_without_key ON client (no) WHERE label_key IS NULL AND deleted_at IS NULL;
CREATE TABLE notice_address (
    workspace {bytes} NOT NULL, address TEXT NOT NULL, client {bytes}, digest {bytes}, link_till BIGINT,
    created_at BIGINT NOT NULL, confirmed_at BIGINT, stopped_at BIGINT, PRIMARY KEY (workspace, address)
){by_key};
CREATE INDEX notice_address_digest ON notice_address (digest) WHERE digest IS NOT NULL;
WITH RECURSIVE part (workspace, address, rest) AS (
    SELECT w.id, CAST('' AS TEXT), c.emails || ',' FROM client c JOIN workspace w ON w.no = c.workspace
        WHERE c.emails <> '' AND c.deleted_at IS NULL
    UNION ALL
    SELECT workspace, substr(rest, 1, {position}(rest, ',') - 1), substr(rest, {position}(rest, ',') + 1)
        FROM part WHERE rest <> ''
)
INSERT INTO notice_address (workspace, address, created_at, confirmed_at)
    SELECT DISTINCT workspace, lower(address{ascii}), (SELECT clock FROM head),
        coalesce((SELECT at FROM audit ORDER BY seq LIMIT 1), 0)
    FROM part WHERE address <> '';
CREATE TABLE confirmation_mail (
    workspace {bytes} NOT NULL, mailbox TEXT NOT NULL, at BIGINT NOT NULL
);
CREATE INDEX confirmation_mail_workspace ON confirmation_mail (workspace, at);
CREATE INDEX confirmation_mail_mailbox ON confirmation_mail (mailbox, at);
CREATE INDEX confirmation_mail_at ON confirmation_mail (at);
ALTER TABLE notice ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
CREATE INDEX notice_mailed ON notice (recipient, done_at) WHERE target = 'mail';
";

/// The row that a writer locks before it reads the head; a tag of the history up to each change; and a row for each node. A
/// node of an older version may still vouch, so its row stays until its lease is over; under its former name it could go
/// on writing.
const V8: &str = "
CREATE TABLE gate (
    one {key}
);
INSERT INTO gate (one) VALUES (1);
ALTER TABLE change_log ADD COLUMN tag BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node RENAME TO former_node;
CREATE TABLE node (
    incarnation TEXT NOT NULL UNIQUE, id TEXT NOT NULL, attempt BIGINT NOT NULL, acked BIGINT NOT NULL, wait BIGINT NOT NULL
);
INSERT INTO node (incarnation, id, attempt, acked, wait) SELECT id, id, renewals, 0, 12120000000 FROM former_node;
DROP TABLE former_node;
";

/// What nodes know of each other, and the key that all of them make new digests with (0: not chosen yet). `place` proves
/// that a process which has it takes the place of a dead one.
const V9: &str = "
ALTER TABLE head ADD COLUMN digest_key BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN about TEXT NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN reads BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN newest_key BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN joined_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN replicas BIGINT NOT NULL DEFAULT 0;
";

/// What browsers were asked and have not answered, which any node may take the answer to. Notices are numbered by the
/// database, because several nodes may make some at the same time.
const V10: &str = "
CREATE TABLE passkey_challenge (
    id {bytes} NOT NULL UNIQUE, member {bytes} NOT NULL, at BIGINT NOT NULL, state TEXT NOT NULL
);
CREATE INDEX passkey_challenge_member ON passkey_challenge (member, at);
{number notice}
";

/// What people recognise credentials by: `owner` is an API client, an admin key or a webhook, `n` the number of a client's
/// secret and 0 for the others. Older credentials have no row.
const V11: &str = "
CREATE TABLE credential_note (
    owner {bytes} NOT NULL, n BIGINT NOT NULL, note TEXT NOT NULL, made_by TEXT NOT NULL, PRIMARY KEY (owner, n)
){by_key};
";

/// Words by which people group clients.
const V12: &str = "
CREATE TABLE client_tag (
    client BIGINT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (client, tag)
){by_key};
";

/// The counts of the last hours. Those of before the upgrade are known by day only.
const V13: &str = "
CREATE TABLE check_hour (
    client BIGINT NOT NULL, hour BIGINT NOT NULL, product BIGINT NOT NULL, outcome BIGINT NOT NULL, n BIGINT NOT NULL,
    PRIMARY KEY (client, hour, product, outcome)
){by_key};
";

/// The preferences of addresses and webhooks, as far as they were chosen.
const V14: &str = "
ALTER TABLE webhook ADD COLUMN preferences TEXT NOT NULL DEFAULT '';
ALTER TABLE notice_address ADD COLUMN preferences TEXT NOT NULL DEFAULT '';
";

/// The tags of a workspace one after another, and the clients with one of them, without a look at each client.
const V15: &str = "
ALTER TABLE client_tag ADD COLUMN workspace BIGINT NOT NULL DEFAULT 0;
UPDATE client_tag SET workspace = (SELECT c.workspace FROM client c WHERE c.no = client_tag.client);
CREATE INDEX client_tag_place ON client_tag (workspace, tag, client);
";

/// Whether there is a node of another name is read by every group. What nodes have applied is added as rows: `applies` is 1 for
/// nodes that read it there, while those of an older version look at `acked`.
const V16: &str = "
CREATE INDEX node_id ON node (id);
ALTER TABLE node ADD COLUMN applies BIGINT NOT NULL DEFAULT 0;
CREATE INDEX node_older ON node (applies) WHERE applies = 0;
CREATE TABLE node_applied (
    incarnation TEXT NOT NULL, number BIGINT NOT NULL
);
CREATE INDEX node_applied_number ON node_applied (incarnation, number);
";

/// SQLite numbers the rows of a table with `{key}` by itself.
const NUMBER_NOTICE: &str = "ALTER TABLE notice ALTER COLUMN no ADD GENERATED BY DEFAULT AS IDENTITY;
    SELECT setval(pg_get_serial_sequence('notice', 'no'), (SELECT coalesce(max(no), 0) + 1 FROM notice), false);";
/// Lets PostgreSQL go on after the numbers that were copied.
pub(crate) const NUMBER_ON: &str = "SELECT setval(pg_get_serial_sequence('notice', 'no'),
    (SELECT coalesce(max(no), 0) + 1 FROM notice), false)";

/// The tables of every version.
pub(crate) fn tables() -> BTreeSet<&'static str> {
    let lines = MIGRATIONS.iter().flat_map(|text| text.lines());
    let names = lines.filter_map(|line| {
        line.strip_prefix("CREATE TABLE ")?
            .split_once(' ')
            .map(|(name, _)| name)
    });
    names.collect()
}

/// The migrations a database at version `found` lacks.
pub(crate) fn missing(found: i64) -> &'static [&'static str] {
    let done = usize::try_from(found).unwrap_or(0).min(MIGRATIONS.len());
    &MIGRATIONS[done..]
}

/// Says in the head that all migrations are done.
pub(crate) const SET_VERSION: &str = "UPDATE head SET schema = $1";

/// The text of a migration for SQLite.
pub(crate) fn for_sqlite(text: &str) -> String {
    text.replace("{key}", "INTEGER PRIMARY KEY")
        .replace("{bytes}", "BLOB")
        .replace("{by_key}", " WITHOUT ROWID")
        .replace("{position}", "instr")
        .replace("{ascii}", "")
        .replace("{number notice}", "")
}

/// The text of a migration for PostgreSQL.
pub(crate) fn for_postgres(text: &str) -> String {
    // Slots are rewritten in place at every generation: room on the page keeps that off the index.
    text.replace("{key}", "BIGINT PRIMARY KEY")
        .replace("{bytes}", "BYTEA")
        .replace("{by_key}", "")
        .replace("{position}", "strpos")
        .replace("{ascii}", " COLLATE \"C\"")
        .replace("{number notice}", NUMBER_NOTICE)
}
