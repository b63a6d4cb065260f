//! The database's interpreter of changes: the counterpart of `Replica::apply`. SQL as data, so that a
//! group commit is the statements one after the other.

use crate::load::tag;
use crate::people::json;
use crate::value::{Statement, Value};
use tokenward_core::Change;
use tokenward_core::audit::AuditRecord;
use tokenward_core::change::{EPOCH_GENERATIONS, FORMAT};
use tokenward_core::client::{
    AdminKeyRecord, ApiClient, OnRepeat, SECRETS, SecretRecord, Settings, Workspace,
};
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::restrictions::Networks;
use tokenward_core::slot::{EndReason, Former, Slot};
use tokenward_core::time::Timestamp;

const PUT_WORKSPACE: &str =
    "INSERT INTO workspace (no, id, name, created_at, disabled_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (no) DO UPDATE SET name = excluded.name, disabled_at = excluded.disabled_at";
const PUT_PRODUCT: &str = "INSERT INTO product (no, slug, name, created_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (no) DO UPDATE SET name = excluded.name";
const RESERVE_PRODUCT: &str = "UPDATE head SET next_product = $1 WHERE next_product < $1";
const DELETE_PRODUCT: &str = "DELETE FROM product WHERE no = $1";
const INSERT_CLIENT: &str = "INSERT INTO client (no, id, workspace, environment, label, live_label, products, lifetime,
    secret_networks, token_networks, emails, on_repeat, renew_before, handover_max, created_at, disabled_at, deleted_at,
    secret1_n, secret1_digest, secret1_key, secret1_at, secret2_n, secret2_digest, secret2_key, secret2_at, next_secret, label_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)";
const INSERT_SLOT: &str = "INSERT INTO slot (client, generation, former_reasons, quota1_day, quota1_used, quota2_day, quota2_used)
    VALUES ($1, 0, 0, 0, 0, 0, 0)";
const UPDATE_SETTINGS: &str = "UPDATE client SET label = $1, live_label = CASE WHEN deleted_at IS NULL THEN $2 END, products = $3, lifetime = $4, secret_networks = $5,
    token_networks = $6, emails = $7, on_repeat = $8, renew_before = $9, handover_max = $10, label_key = CASE WHEN deleted_at IS NULL THEN $11 END WHERE no = $12";
const DISABLE_CLIENT: &str = "UPDATE client SET disabled_at = $1 WHERE no = $2";
const DELETE_CLIENT: &str =
    "UPDATE client SET deleted_at = $1, live_label = NULL, label_key = NULL WHERE no = $2";
const DESTROY_SEAL: &str = "UPDATE slot SET seal = NULL WHERE client = $1";
const UPDATE_SECRETS: &str = "UPDATE client SET secret1_n = $1, secret1_digest = $2, secret1_key = $3, secret1_at = $4,
    secret2_n = $5, secret2_digest = $6, secret2_key = $7, secret2_at = $8, next_secret = $9 WHERE no = $10";
pub(crate) const UPDATE_SLOT: &str = "UPDATE slot SET generation = $1, digest = $2, digest_key = $3, issued_at = $4, valid_till = $5,
    ended = $6, ended_at = $7, former1 = $8, former2 = $9, former3 = $10, former_reasons = $11, previous_digest = $12,
    previous_key = $13, previous_till = $14, seal = $15, quota1_day = $16, quota1_used = $17, quota2_day = $18,
    quota2_used = $19 WHERE client = $20";
const PUT_ADMIN_KEY: &str = "INSERT INTO admin_key (id, name, role, digest, digest_key, created_at, expires_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, role = excluded.role, digest = excluded.digest,
    digest_key = excluded.digest_key, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at";
const EPOCH_HEAD: &str = "UPDATE head SET epoch = $1";
const EPOCH_END_TOKENS: &str =
    "UPDATE slot SET ended = $1, ended_at = $2 WHERE digest IS NOT NULL AND ended IS NULL";
const EPOCH_RAISE: &str =
    "UPDATE slot SET generation = generation + $1, previous_digest = NULL, previous_key = NULL,
    previous_till = NULL, seal = NULL";
pub(crate) const APPEND_CHANGE: &str =
    "INSERT INTO change_log (number, at, format, body, tag) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const APPEND_AUDIT: &str =
    "INSERT INTO audit (seq, at, actor, source, action, workspace, client, detail, hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
pub(crate) const MOVE_HEAD: &str =
    "UPDATE head SET change_number = $1, audit_seq = $2, audit_hash = $3, clock = $4
    WHERE change_number = $5 AND audit_seq = $6";
/// Keeps a time that was seen, unless a later one is kept.
pub(crate) const KEEP_TIME: &str = "UPDATE head SET clock = $1 WHERE clock < $1";
/// The same without a look at former versions of the head, and not when another node moves the head meanwhile: the next one
/// keeps the time then.
pub(crate) const KEEP_TIME_SOON: &str = "UPDATE head SET clock = $1
    WHERE (change_number, audit_seq) = (SELECT change_number, audit_seq FROM head
        ORDER BY change_number DESC, audit_seq DESC LIMIT 1) AND clock < $1";
/// A step of at most 20,000 changes from the oldest on, to before the first that is too young: nodes' clocks differ, and
/// the log must have no gaps.
const TRIM_LOG: &str = "DELETE FROM change_log WHERE number <= $1 AND number < coalesce(
    (SELECT min(number) FROM change_log
        WHERE at >= $2 AND number < (SELECT min(number) + 20000 FROM change_log)),
    (SELECT min(number) + 20000 FROM change_log))";

/// What a change does to the tables.
pub(crate) fn statements(change: &Change) -> Vec<Statement> {
    match change {
        Change::WorkspacePut { workspace } => vec![put_workspace(workspace)],
        Change::ProductPut { product } => vec![
            Statement::one(
                PUT_PRODUCT,
                vec![
                    product.no.0.into(),
                    product.slug.as_str().into(),
                    product.name.as_str().into(),
                    product.created_at.into(),
                ],
            ),
            // Kept apart from the table, so that a deleted product's number is never given out again.
            Statement::new(RESERVE_PRODUCT, vec![(i64::from(product.no.0) + 1).into()]),
        ],
        Change::ProductDeleted { product } => {
            vec![Statement::one(DELETE_PRODUCT, vec![product.0.into()])]
        }
        Change::ClientCreated { client } => {
            vec![
                insert_client(client),
                Statement::one(INSERT_SLOT, vec![client.no.0.into()]),
            ]
        }
        Change::ClientSettingsChanged { client, settings } => {
            let mut all = vec![update_settings(*client, settings)];
            if settings.on_repeat == OnRepeat::Replace {
                // Clients of this policy have no sealed copy at all.
                all.push(Statement::one(DESTROY_SEAL, vec![client.0.into()]));
            }
            all
        }
        Change::ClientDisabled { client, at } => {
            vec![Statement::one(
                DISABLE_CLIENT,
                vec![(*at).into(), client.0.into()],
            )]
        }
        Change::ClientDeleted { client, at } => vec![
            Statement::one(DELETE_CLIENT, vec![(*at).into(), client.0.into()]),
            Statement::one(DESTROY_SEAL, vec![client.0.into()]),
        ],
        Change::SecretsChanged {
            client,
            secrets,
            next_secret,
        } => {
            let mut params = secret_values(secrets);
            params.extend([(*next_secret).into(), client.0.into()]);
            vec![Statement::one(UPDATE_SECRETS, params)]
        }
        Change::TokenIssued { client, slot } | Change::TokenEnded { client, slot } => {
            vec![Statement::one(UPDATE_SLOT, slot_values(slot, *client))]
        }
        Change::AdminKeyPut { key } => vec![put_admin_key(key)],
        Change::EpochStarted { epoch, at } => vec![
            Statement::one(EPOCH_HEAD, vec![epoch.to_string().into()]),
            Statement::new(
                EPOCH_END_TOKENS,
                vec![u32::from(EndReason::Restored.number()).into(), (*at).into()],
            ),
            Statement::new(EPOCH_RAISE, vec![EPOCH_GENERATIONS.into()]),
        ],
    }
}

/// The change's entry in the log. `hash` is that of the audit chain after its transaction: it names the history that the
/// change belongs to.
pub(crate) fn append_change(
    change: &Change,
    number: u64,
    at: Timestamp,
    hash: &[u8; 32],
) -> Statement {
    let params = vec![
        number.cast_signed().into(),
        at.into(),
        FORMAT.into(),
        change.to_body().into(),
        tag(hash).cast_signed().into(),
    ];
    Statement::one(APPEND_CHANGE, params)
}

/// The audit entry.
pub(crate) fn append_audit(entry: AuditRecord) -> Statement {
    Statement::one(
        APPEND_AUDIT,
        vec![
            entry.seq.cast_signed().into(),
            entry.at.into(),
            entry.actor.into(),
            entry.source.into(),
            entry.action.into(),
            entry.workspace.map(|id| id.0).into(),
            entry.client.map(|id| id.0).into(),
            entry.detail.into(),
            entry.hash.as_slice().into(),
        ],
    )
}

/// Moves the head from where it was read and keeps the time. Touching no row means that somebody else wrote although the
/// head was locked: then nothing of the group may stand.
pub(crate) fn move_head(
    to: (u64, u64, &[u8; 32]),
    from: (u64, u64),
    clock: Timestamp,
) -> Statement {
    let params = vec![
        to.0.cast_signed().into(),
        to.1.cast_signed().into(),
        to.2.as_slice().into(),
        clock.into(),
        from.0.cast_signed().into(),
        from.1.cast_signed().into(),
    ];
    Statement::fence(MOVE_HEAD, params)
}

/// Forgets some of the oldest changes of the log, up to `through` and none written at `before` or later; followers that
/// far behind load anew.
pub(crate) fn trim_log(through: u64, before: Timestamp) -> Statement {
    Statement::new(TRIM_LOG, vec![through.cast_signed().into(), before.into()])
}

fn put_workspace(workspace: &Workspace) -> Statement {
    Statement::one(
        PUT_WORKSPACE,
        vec![
            workspace.no.0.into(),
            workspace.id.0.into(),
            workspace.name.as_str().into(),
            workspace.created_at.into(),
            workspace.disabled_at.into(),
        ],
    )
}

fn insert_client(client: &ApiClient) -> Statement {
    let live = client.deleted_at.is_none();
    let mut params = vec![
        client.no.0.into(),
        client.id.0.into(),
        client.workspace.0.into(),
        u32::from(client.environment.number()).into(),
    ];
    params.extend(settings_values(&client.settings, live));
    params.extend([
        client.created_at.into(),
        client.disabled_at.into(),
        client.deleted_at.into(),
    ]);
    params.extend(secret_values(&client.secrets));
    params.push(client.next_secret.into());
    params.push(live.then(|| client.settings.label.key()).into());
    Statement::one(INSERT_CLIENT, params)
}

fn update_settings(client: ClientNo, settings: &Settings) -> Statement {
    let mut params = settings_values(settings, true);
    params.push(settings.label.key().into());
    params.push(client.0.into());
    Statement::one(UPDATE_SETTINGS, params)
}

fn settings_values(settings: &Settings, live: bool) -> Vec<Value> {
    let label = settings.label.as_str();
    vec![
        label.into(),
        live.then_some(label).into(),
        settings.products.as_deref().map(product_text).into(),
        settings.token_lifetime_seconds.into(),
        network_text(&settings.secret_networks).into(),
        network_text(&settings.token_networks).into(),
        settings.notification_emails.join(",").into(),
        i64::from(settings.on_repeat == OnRepeat::Return).into(),
        settings.renew_before_seconds.into(),
        settings.handover_max_seconds.into(),
    ]
}

fn secret_values(secrets: &[Option<SecretRecord>; SECRETS]) -> Vec<Value> {
    let values = |secret: &Option<SecretRecord>| {
        [
            secret.map(|s| s.n).into(),
            secret.as_ref().map(|s| s.digest.0.as_slice()).into(),
            secret.map(|s| u32::from(s.key.0)).into(),
            secret.map(|s| s.created_at).into(),
        ]
    };
    secrets.iter().flat_map(values).collect()
}

/// The parameters of [`UPDATE_SLOT`].
pub(crate) fn slot_values(slot: &Slot, client: ClientNo) -> Vec<Value> {
    let token = slot.token.as_ref();
    let former = |at: usize| slot.formers[at].map(|former: Former| former.prefix.cast_signed());
    let reasons = slot
        .formers
        .iter()
        .enumerate()
        .fold(0, |sum, (at, former)| {
            sum | former.map_or(0, |former| u32::from(former.reason.number())) << (2 * at)
        });
    let previous = slot.previous.as_ref();
    vec![
        slot.generation.into(),
        token.map(|t| t.digest.0.as_slice()).into(),
        token.map(|t| u32::from(t.key.0)).into(),
        token.map(|t| t.issued_at).into(),
        token.and_then(|t| t.valid_till).into(),
        slot.ended
            .map(|ended| u32::from(ended.reason.number()))
            .into(),
        slot.ended.map(|ended| ended.at).into(),
        former(0).into(),
        former(1).into(),
        former(2).into(),
        reasons.into(),
        previous.map(|p| p.digest.0.as_slice()).into(),
        previous.map(|p| u32::from(p.key.0)).into(),
        previous.map(|p| p.valid_till).into(),
        slot.seal.as_deref().into(),
        slot.quota[0].day.into(),
        slot.quota[0].used.into(),
        slot.quota[1].day.into(),
        slot.quota[1].used.into(),
        client.0.into(),
    ]
}

fn put_admin_key(key: &AdminKeyRecord) -> Statement {
    Statement::one(
        PUT_ADMIN_KEY,
        vec![
            key.id.into(),
            key.name.as_str().into(),
            json(&key.role),
            key.digest.0.as_slice().into(),
            u32::from(key.key.0).into(),
            key.created_at.into(),
            key.expires_at.into(),
            key.revoked_at.into(),
        ],
    )
}

fn network_text(networks: &Networks) -> String {
    networks.texts().join(",")
}

/// Product numbers as `,1,7,`: a search for `,7,` finds the clients of product 7.
fn product_text(products: &[ProductNo]) -> String {
    products
        .iter()
        .fold(String::from(","), |text, no| format!("{text}{},", no.0))
}
