//! Single sign-on as configured: all of it or none.

use super::{ConfigError, secret};
use std::path::PathBuf;
use url::{Host, Url};
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
    /// Whether an address counts as verified when the provider says nothing about it.
    pub assume_email_verified: bool,
}

/// Whether secrets may be sent there: by https, or in the clear on this machine.
pub(crate) fn is_private(address: &Url) -> bool {
    let here = match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    address.scheme() == "https" || (address.scheme() == "http" && here)
}

/// Path segments of issuers that serve the users of any tenant, whose addresses nobody has checked.
const MANY_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// Resolves the five keys.
pub(super) fn resolve(
    issuer: Option<String>,
    client_id: Option<String>,
    secret_file: Option<PathBuf>,
    name: Option<String>,
    assume_email_verified: Option<bool>,
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
    let address = Url::parse(&issuer).ok().filter(Url::has_host);
    let address = address.ok_or_else(|| {
        ConfigError(format!(
            "sso_issuer: {issuer:?} isn't a valid URL such as https://login.example.com"
        ))
    })?;
    if !is_private(&address) {
        return Err(ConfigError(format!(
            "sso_issuer: {issuer:?} would receive the client secret unencrypted. Use https; http is for this machine only."
        )));
    }
    let assume_email_verified = assume_email_verified.unwrap_or(false);
    let mut segments = address.path_segments().into_iter().flatten();
    if assume_email_verified && segments.any(|segment| MANY_TENANTS.contains(&segment)) {
        return Err(ConfigError(format!(
            "sso_assume_email_verified: {issuer:?} serves many tenants, each of which could claim any address. Set sso_issuer to the issuer of your tenant."
        )));
    }
    Ok(Some(Sso {
        issuer,
        client_id,
        client_secret: secret("sso_client_secret", None, secret_file)?,
        name: name.unwrap_or_else(|| "single sign-on".into()),
        assume_email_verified,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(issuer: &str, assume: bool) -> Result<Option<Sso>, ConfigError> {
        let (issuer, id) = (Some(issuer.to_owned()), Some("console".to_owned()));
        resolve(issuer, id, None, None, Some(assume))
    }

    #[test]
    fn an_issuer_in_the_clear_is_on_this_machine_or_refused() {
        let words = "
            https://login.example.com https://login.example.com/realms/a/ http://127.0.0.1:8443
            http://[::1]:8443/a http://localhost:1 http://idp.localhost";
        for good in words.split_whitespace() {
            assert!(resolved(good, false).is_ok(), "{good}");
        }
        let words = "
            http://login.example.com http://10.0.0.1 http://localhost.example.com
            http://127.0.0.1.example.com http://localhost@login.example.com
            ftp://login.example.com https:// login.example.com";
        for bad in words.split_whitespace() {
            assert!(resolved(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_assumed_verified_for_one_tenant_only() {
        let tenant = "https://login.microsoftonline.com/8e6f1f6a-0c1a-4b3c-9a55-000000000000/v2.0";
        assert!(resolved(tenant, true).is_ok());
        let many = "https://login.microsoftonline.com/common/v2.0";
        assert!(resolved(many, false).is_ok());
        assert!(resolved(many, true).is_err());
    }
}
