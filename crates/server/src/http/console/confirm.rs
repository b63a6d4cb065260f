//! Pages that say what will break before they do it.

use super::form::{Fault, Field};
use super::frame::Frame;
use askama::Template;

/// The page.
#[derive(Template)]
#[template(path = "console/confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) frame: Frame,
    pub(super) heading: String,
    /// What will happen, the worst first.
    pub(super) says: Vec<String>,
    pub(super) fault: Fault,
    /// A word to be typed, if the act wants it.
    pub(super) fields: Vec<Field>,
    /// Hidden fields.
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) action: String,
    pub(super) button: &'static str,
    pub(super) dangerous: bool,
    pub(super) back: String,
}
