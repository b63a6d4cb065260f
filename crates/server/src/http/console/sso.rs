//! Single sign-on with an OpenID Connect provider.

use crate::app::App;

/// What the provider is called on the button, if there is one.
pub(super) fn name(_: &App) -> Option<String> {
    None
}
