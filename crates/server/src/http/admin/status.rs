//! `/status`: what runs here.

use super::prelude::*;
use tokenward_api::{Engine, Status};

pub(super) async fn show(call: Call) -> Answer<Json<Status>> {
    let data = &call.data;
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        role: views::role_name(&call.admin.role),
        vouching: call.app.is_ready(),
        writable: data.store.is_writable(),
        ..Status::default()
    };
    if call.admin.own_workspace().is_none() {
        let (change_number, audit_seq) = data.store.numbers();
        status.change_number = Some(change_number);
        status.audit_seq = Some(audit_seq);
        status.epoch = Some(data.store.head_at_open().epoch);
        status.clients = Some(data.replica().client_count() as u64);
        status.engine = Some(match data.config.database_url {
            Some(_) => Engine::Postgres,
            None => Engine::Sqlite,
        });
        status.quota_per_day = Some(data.config.quota_per_day);
    }
    Ok(Json(status))
}
