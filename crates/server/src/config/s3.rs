//! Where backups in S3 go: the settings, judged, and the variables of the AWS tools. A credential is taken from the
//! environment only, and passed on; it is never shown.

use super::{ConfigError, notifications};
use url::{Host, Url};

/// Where a bucket's name stands in an address.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum S3Addressing {
    /// First in the path: `https://s3.example.com/BUCKET`.
    Path,
    /// First in the host: `https://BUCKET.s3.example.com`.
    VirtualHost,
}

/// Where the S3 service of the backups is: the flags of commands that take `s3://` addresses, and the keys of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, serde::Serialize)]
pub struct S3Settings {
    /// Address of the S3 service: https://..., or http://... on a loopback address [default: backup_s3_endpoint of the
    /// configuration file, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS]
    #[arg(id = "s3_endpoint", long = "s3-endpoint", value_name = "URL")]
    pub endpoint: Option<String>,
    /// Region of the bucket [default: backup_s3_region of the configuration file, AWS_REGION or AWS_DEFAULT_REGION]
    #[arg(id = "s3_region", long = "s3-region", value_name = "REGION")]
    pub region: Option<String>,
    /// Where the bucket's name stands in requests [default: backup_s3_addressing of the configuration file; for AWS virtual-host,
    /// for others path]
    #[arg(
        id = "s3_addressing",
        long = "s3-addressing",
        value_name = "HOW",
        value_enum
    )]
    pub addressing: Option<S3Addressing>,
}

impl S3Settings {
    /// The same, completed by others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            endpoint: self.endpoint.or(other.endpoint),
            region: self.region.or(other.region),
            addressing: self.addressing.or(other.addressing),
        }
    }

    /// Looks at the address, if the configuration file has one.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        match &self.endpoint {
            Some(text) => endpoint("backup_s3_endpoint", text).map(drop),
            None => Ok(()),
        }
    }
}

/// Reads the address of an S3 service. Without TLS it must be on this machine.
///
/// # Errors
/// When `text` is no such address; `key` says where it was written.
pub fn endpoint(key: &str, text: &str) -> Result<Url, ConfigError> {
    // An address with a password is not repeated.
    if text.contains('@') {
        return Err(ConfigError(format!(
            "{key} must not hold a user or a password: credentials are read from the environment, as AWS tools do"
        )));
    }
    let url = notifications::url(key, text, "https://s3.example.com")?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !here {
        return Err(ConfigError(format!(
            "{key}: {text:?} is not encrypted. Use https://; http:// is accepted for a loopback address only"
        )));
    }
    Ok(url)
}

/// An address that the AWS tools take credentials from. Plain HTTP is accepted where it stays on this machine or its link, as the
/// services of AWS for containers and machines do.
///
/// # Errors
/// When `text` is another address; `key` says where it was written.
pub fn credentials_endpoint(key: &str, text: &str) -> Result<(), ConfigError> {
    let url = Url::parse(text).ok();
    let near = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::/32 is the one of AWS.
        Some(Host::Ipv6(address)) => {
            let of_aws = address.segments()[..2] == [0xfd00, 0x0ec2];
            address.is_loopback() || address.is_unicast_link_local() || of_aws
        }
        None => false,
    };
    let valid =
        url.is_some_and(|url| url.scheme() == "https" || url.scheme() == "http" && near(&url));
    match valid {
        true => Ok(()),
        false => Err(ConfigError(format!(
            "{key} must be an https:// address, or http:// with a loopback or link-local address: credentials come from there"
        ))),
    }
}

/// The variables of the AWS tools that are read: where S3 is, and what proves who asks.
const VARIABLES: [&str; 16] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
];

/// The value of a variable of the AWS tools; none when it is empty or none that is read.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the names are fixed above, and shared with other programs: no flag has them"
)]
pub fn aws_variable(name: &str) -> Option<String> {
    let known = VARIABLES.iter().find(|known| **known == name)?;
    let value = std::env::var(known).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_in_plain_text_from_this_machine_and_its_link_only() {
        for good in [
            "https://credentials.example.com/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:8080",
        ] {
            assert!(credentials_endpoint("key", good).is_ok(), "{good}");
        }
        for bad in "http://10.0.0.5/x http://example.com nonsense ftp://127.0.0.1".split(' ') {
            let told = credentials_endpoint("key", bad).unwrap_err().to_string();
            assert!(
                told.contains("link-local") && !told.contains(bad),
                "{bad}: {told}"
            );
        }
    }

    #[test]
    fn endpoint_without_tls_must_be_on_this_machine() {
        let words = "
            https://s3.example.com https://s3.example.com:9000/under/a/path
            http://127.0.0.1:9000 http://[::1]:9000 http://localhost:9000";
        for good in words.split_whitespace() {
            assert!(endpoint("key", good).is_ok(), "{good}");
        }
        for (bad, words) in [
            ("http://s3.example.com", "is not encrypted"),
            ("http://127.0.0.1.example.com", "is not encrypted"),
            ("http://10.0.0.1:9000", "is not encrypted"),
            ("s3.example.com", "isn't a valid URL"),
            ("ftp://s3.example.com", "isn't a valid URL"),
            ("https://user:hunter2@s3.example.com", "must not hold"),
        ] {
            let told = endpoint("key", bad).unwrap_err().to_string();
            assert!(told.contains(words), "{bad}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
