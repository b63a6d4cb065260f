//! Who may ask what of the internal listener: names in client certificates, each with what it is allowed. A name that is
//! not in the table is allowed nothing.

use super::{ConfigError, TlsFiles};
use std::collections::BTreeMap;
use tokenward_core::Environment;
use tokenward_core::label::Slug;

/// What a caller of the internal listener may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grant {
    /// Check access tokens, and introspect them for a stated environment and product. None stands for all.
    Check {
        /// The environment.
        environment: Option<Environment>,
        /// The product, by its slug.
        product: Option<String>,
    },
    /// Introspect access tokens without stating environment and product.
    Introspect,
    /// Read the metrics.
    Metrics,
    /// Attach a replica, which holds all that a check needs.
    Replica,
}

/// The word for all environments, or all products.
const ALL: &str = "*";

impl Grant {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "introspect" => return Some(Self::Introspect),
            "metrics" => return Some(Self::Metrics),
            "replica" => return Some(Self::Replica),
            _ => {}
        }
        let (environment, product) = text.split_once('/')?;
        let environment = match environment {
            ALL => None,
            name => Some(Environment::parse(name)?),
        };
        let product = match product {
            ALL => None,
            slug => Some(Slug::parse(slug).ok()?.into()),
        };
        Some(Self::Check {
            environment,
            product,
        })
    }
}

impl std::fmt::Display for Grant {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Check {
                environment,
                product,
            } => {
                let environment = environment.map_or(ALL, Environment::as_str);
                write!(out, "{environment}/{}", product.as_deref().unwrap_or(ALL))
            }
            Self::Introspect => out.write_str("introspect"),
            Self::Metrics => out.write_str("metrics"),
            Self::Replica => out.write_str("replica"),
        }
    }
}

impl serde::Serialize for Grant {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What each name in a certificate may ask for, by [`key`].
pub type Callers = BTreeMap<String, Vec<Grant>>;

/// A name as the table has it: without regard to case, but for a URI, whose path has one.
#[must_use]
pub fn key(name: &str) -> String {
    match name.contains("://") {
        true => name.to_owned(),
        false => name.to_ascii_lowercase(),
    }
}

/// The table: that of the flags (`NAME=GRANT`), else that of the file.
pub(crate) fn callers(
    flags: &[String],
    file: Option<BTreeMap<String, Vec<String>>>,
) -> Result<Callers, ConfigError> {
    let mut table = Callers::new();
    let mut add = |name: &str, grants: &[String]| {
        let name = name.trim();
        if name.is_empty() {
            return Err(ConfigError("internal_callers: a name is empty".into()));
        }
        let entry = table.entry(key(name)).or_default();
        for text in grants {
            entry.push(Grant::parse(text.trim()).ok_or_else(|| {
                ConfigError(format!(
                    "internal_callers: {name}: {text:?} isn't ENVIRONMENT/PRODUCT (such as production/gst, production/* or \
                     */*), introspect, metrics or replica"
                ))
            })?);
        }
        Ok(())
    };
    let flags = flags.iter().filter(|text| !super::is_blank(text));
    let mut flags = flags.peekable();
    if flags.peek().is_some() {
        for text in flags {
            // A URI may hold an equals sign, a grant does not.
            let (name, grant) = text.rsplit_once('=').ok_or_else(|| {
                ConfigError(format!(
                    "internal_callers: {text:?} isn't NAME=GRANT, such as gateway.internal=production/gst"
                ))
            })?;
            add(name, &[grant.to_owned()])?;
        }
    } else {
        for (name, grants) in file.unwrap_or_default() {
            add(&name, &grants)?;
        }
    }
    Ok(table)
}

/// Refuses a table without an authority, an authority without a table, and both without TLS.
pub(super) fn complete(
    internal_tls: Option<TlsFiles>,
    authority: Option<std::path::PathBuf>,
    callers: &Callers,
) -> Result<Option<TlsFiles>, ConfigError> {
    let refused = |why: &str| Err(ConfigError(why.to_owned()));
    match (internal_tls, authority) {
        (tls, None) if callers.is_empty() => Ok(tls),
        (_, None) => refused(
            "internal_callers needs internal_client_authority: the file with the authority of the callers' certificates",
        ),
        (None, Some(_)) => refused(
            "internal_client_authority needs internal_tls_certificate and internal_tls_key: client certificates are part of TLS",
        ),
        (Some(_), Some(_)) if callers.is_empty() => refused(
            "internal_client_authority needs internal_callers: without a name there, every caller would be refused",
        ),
        (Some(tls), Some(authority)) => Ok(Some(TlsFiles {
            client_authority: Some(authority),
            ..tls
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_grant_is_not_read_as_one() {
        for text in [
            "",
            "gst",
            "production/",
            "/gst",
            "staging/gst",
            "production/gst/x",
            "production/G S",
            "Metrics",
        ] {
            assert_eq!(Grant::parse(text), None, "{text}");
        }
    }

    #[test]
    fn flags_and_file_make_the_same_table() {
        let flags = [
            "Gateway.internal=production/gst",
            "gateway.internal=metrics",
            "spiffe://x/y?a=b=sandbox/*",
        ];
        let flags = callers(&flags.map(str::to_owned), None).unwrap();
        let file = BTreeMap::from([
            (
                "gateway.internal".to_owned(),
                vec!["production/gst".to_owned(), "metrics".to_owned()],
            ),
            ("spiffe://x/y?a=b".to_owned(), vec!["sandbox/*".to_owned()]),
        ]);
        assert_eq!(flags, callers(&[], Some(file)).unwrap());
        for (flag, words) in [
            ("gateway.internal", "isn't NAME=GRANT"),
            ("=metrics", "a name is empty"),
            ("gateway.internal=gst", "isn't ENVIRONMENT/PRODUCT"),
        ] {
            let told = callers(&[flag.to_owned()], None).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
