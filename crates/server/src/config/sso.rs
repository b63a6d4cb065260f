//! Single sign-on as configured: all of it or none.

use super::{ConfigError, secret};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The OpenID Connect provider people may sign in to the console with.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Sso {
    /// Its issuer, exactly as it calls itself.
    pub issuer: String,
    /// The console's name there.
    pub client_id: String,
    /// The console's secret there; never shown.
    #[serde(skip)]
    pub client_secret: Option<Zeroizing<String>>,
    /// What the sign-in page calls it.
    pub name: String,
}

/// Resolves the four keys.
pub(super) fn resolve(
    issuer: Option<String>,
    client_id: Option<String>,
    secret_file: Option<PathBuf>,
    name: Option<String>,
) -> Result<Option<Sso>, ConfigError> {
    let (issuer, client_id) = match (issuer, client_id) {
        (None, None) if secret_file.is_none() && name.is_none() => return Ok(None),
        (Some(issuer), Some(client_id)) => (issuer, client_id),
        _ => {
            return Err(ConfigError(
                "sso_issuer and sso_client_id go together, and the other sso keys with them".into(),
            ));
        }
    };
    if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
        return Err(ConfigError(format!(
            "sso_issuer: {issuer:?} is no address such as https://login.example.com"
        )));
    }
    Ok(Some(Sso {
        issuer,
        client_id,
        client_secret: secret("sso_client_secret", None, secret_file)?,
        name: name.unwrap_or_else(|| "single sign-on".into()),
    }))
}
