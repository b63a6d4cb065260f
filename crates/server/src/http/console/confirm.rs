//! Pages that say what will break before they do it.

use super::prelude::*;

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
    /// Whether the act can work.
    pub(super) offered: bool,
    pub(super) back: String,
}

impl ConfirmPage {
    /// A page for an act with nothing to type: what it does, in the words of its button.
    pub(super) fn of(
        frame: Frame,
        (says, button): (&[&str], &'static str),
        action: String,
        back: String,
    ) -> Self {
        Self {
            heading: frame.title.clone(),
            frame,
            says: says.iter().map(|line| (*line).to_owned()).collect(),
            fault: Fault::default(),
            fields: Vec::new(),
            hidden: Vec::new(),
            action,
            button,
            dangerous: true,
            offered: true,
            back,
        }
    }
}
