//! The nodes of the database.

use super::prelude::*;
use tokenward_store::{Node, Nodes};

/// What part of the time for which others wait for a node it may be silent before that is worth telling: two renewals.
const SILENT_PART: u32 = 3;

/// All nodes as this one sees them, for those who may see the server's settings.
pub(crate) fn list(data: &Data, admin: &Admin) -> Result<Nodes, Refused> {
    admin.must_see_settings()?;
    Ok(data.store.nodes())
}

/// Whether a node has missed renewals.
pub(crate) fn is_silent(node: &Node) -> bool {
    !node.own && node.silent_for > node.wait / SILENT_PART
}
