//! AWS Secrets Manager as home. It has no lock and no conditional write, but two things that serve as such: moving
//! the label `AWSCURRENT` names the version it is taken from, and a version's id can be chosen by the caller, once.
//! So a write makes a version and then moves the label off the version read; and a lease is a version whose id
//! follows from the version it is to replace: of all who try, one makes it.
//!
//! It never creates the secret itself: who may do that may do more than a program that renews tokens should.

use super::lease_note::{Note, Standing, reliable};
use super::{DestinationError, Home, Lease, LeaseRequest, Place, body_of};
use crate::clock::ServerClock;
use crate::issuer::{IssuerError, http_client, safe_url, transport};
use crate::protocol::{Entry, Stored, Version};
use async_trait::async_trait;
use reqsign_aws_v4::{
    Credential, DefaultCredentialProvider, ProfileCredentialProvider, RequestSigner,
};
use reqsign_core::{Context, OsEnv, Signer};
use reqsign_file_read_tokio::TokioFileRead;
use reqsign_http_send_reqwest::ReqwestHttpSend;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokenward_core::hex;
use zeroize::Zeroizing;

/// The label of the version every reader gets.
const CURRENT: &str = "AWSCURRENT";
/// The label of a version that is not current yet.
const COMING: &str = "tokenward-coming";
/// The label of the lease.
const LEASE: &str = "tokenward-lease";
/// Lease ids tried in a row; each was taken by somebody who did not finish and left no note.
const MOST_TRIES: u32 = 64;

/// A secret of Secrets Manager as home.
pub struct AwsHome {
    http: Client,
    signer: Signer<Credential>,
    endpoint: Url,
    secret_id: String,
    clock: ServerClock,
}

impl fmt::Debug for AwsHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsHome")
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    secret_string: Option<Zeroizing<String>>,
    version_id: String,
}

/// The lease as stored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lent {
    /// The version to be replaced.
    base: String,
    /// The how-manieth lease on it.
    nth: u32,
    note: Note,
}

/// The domain of a region's endpoints: each partition of AWS has its own.
fn suffix(region: &str) -> &'static str {
    let partitions = [
        ("cn-", "amazonaws.com.cn"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    let own = partitions
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix));
    // AWS GovCloud (us-gov-) has the same as the others.
    own.map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// How far a signature's time may be off before the service refuses it, in seconds.
const MOST_SKEW: i64 = 300;

/// Whether this machine's clock is why a signature was refused.
fn clock_trouble(name: &str, seconds_behind: Option<i64>) -> Option<String> {
    let by_name = matches!(name, "RequestTimeTooSkewed" | "RequestExpired");
    let of_signature = matches!(
        name,
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "AuthFailure"
    );
    let behind = seconds_behind.unwrap_or(0);
    // `Date` names whole seconds.
    let off = behind.abs() >= MOST_SKEW - 5;
    let by_clock = by_name || of_signature && off;
    if !by_clock {
        return None;
    }
    let how = match behind {
        0 => "off".to_owned(),
        1.. => format!("{behind} s behind AWS's"),
        _ => format!("{} s ahead of AWS's", -behind),
    };
    Some(format!(
        "this machine's clock is {how}, and AWS refuses signatures that are more than {} minutes off ({name}): set it by NTP",
        MOST_SKEW / 60
    ))
}

/// The environment without variables that are empty or blank, which Compose and Helm pass for such as are not set.
#[derive(Debug)]
struct SetVariables;

impl reqsign_core::Env for SetVariables {
    fn var(&self, key: &str) -> Option<String> {
        crate::environment::text(key)
    }

    fn vars(&self) -> std::collections::HashMap<String, String> {
        let set = reqsign_core::Env::vars(&OsEnv).into_iter();
        set.filter(|(_, value)| !value.trim().is_empty()).collect()
    }

    fn home_dir(&self) -> Option<std::path::PathBuf> {
        reqsign_core::Env::home_dir(&OsEnv)
    }
}

/// An error of the service, by its name.
struct Refused {
    name: String,
    status: u16,
}

impl AwsHome {
    /// A secret by its name or ARN. Credentials come from the file named, or else from where the AWS tools look:
    /// environment, profile, web identity, container, instance. `endpoint` replaces the region's own.
    ///
    /// # Errors
    /// When the endpoint is none to which secrets may be sent.
    pub fn new(
        secret_id: &str,
        region: &str,
        endpoint: Option<&str>,
        credentials_file: Option<&Path>,
        answer_limit: Duration,
    ) -> Result<Self, IssuerError> {
        let usual = format!("https://secretsmanager.{region}.{}", suffix(region));
        let endpoint = safe_url(endpoint.unwrap_or(&usual))?;
        let http = http_client(&endpoint, None, answer_limit)?;
        let elsewhere = Client::builder()
            .timeout(answer_limit)
            .build()
            .map_err(|error| IssuerError::NoClient(error.to_string()))?;
        let context = Context::new()
            .with_file_read(TokioFileRead)
            .with_http_send(ReqwestHttpSend::new(elsewhere))
            .with_env(SetVariables);
        let provider = match credentials_file {
            None => DefaultCredentialProvider::new(),
            Some(path) => DefaultCredentialProvider::builder()
                .no_env()
                .profile(
                    ProfileCredentialProvider::new()
                        .with_credentials_file(path.display().to_string()),
                )
                .build(),
        };
        let request_signer = RequestSigner::new("secretsmanager", region);
        Ok(Self {
            http,
            signer: Signer::new(context, provider, request_signer),
            endpoint,
            secret_id: secret_id.to_owned(),
            clock: ServerClock::default(),
        })
    }

    async fn call(
        &self,
        action: &str,
        body: Zeroizing<String>,
    ) -> Result<Result<Zeroizing<Vec<u8>>, Refused>, DestinationError> {
        let place = self.place();
        let broken = |what: String| DestinationError::unreachable(&place, what);
        let digest = hex::encode(&Sha256::digest(body.as_bytes()));
        let request = http::Request::post(self.endpoint.as_str())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("secretsmanager.{action}"))
            .header("x-amz-content-sha256", digest.as_str())
            .body(())
            .map_err(|error| broken(error.to_string()))?;
        let mut parts = request.into_parts().0;
        self.signer.sign(&mut parts, None).await.map_err(|_| {
            DestinationError::misconfigured(
                &place,
                "no AWS credentials: none in the environment, the profile, a web identity, the container or the instance",
            )
        })?;
        for value in parts.headers.values_mut() {
            value.set_sensitive(true);
        }
        let response = self
            .http
            .post(parts.uri.to_string())
            .headers(parts.headers)
            .body(body.to_string())
            .send()
            .await
            .map_err(|error| broken(transport(&error)))?;
        self.clock.heard_in(&response);
        let status = response.status().as_u16();
        let named = response
            .headers()
            .get("x-amzn-errortype")
            .and_then(|name| Some(name.to_str().ok()?.to_owned()));
        let bytes = body_of(response, &place).await?;
        if status == 200 {
            return Ok(Ok(bytes));
        }
        let named = named.or_else(|| {
            let body: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            Some(body["__type"].as_str()?.to_owned())
        });
        // Some say `prefix#Name:more`.
        let named = named.unwrap_or_default();
        let name = named.rsplit('#').next().unwrap_or_default().chars();
        let name = name.take_while(char::is_ascii_alphanumeric).take(64);
        Ok(Err(Refused {
            name: name.collect(),
            status,
        }))
    }

    fn trouble(&self, refused: &Refused) -> DestinationError {
        let place = self.place();
        let Refused { name, status } = refused;
        if matches!(status, 400 | 401 | 403)
            && let Some(what) = clock_trouble(name, self.clock.seconds_behind())
        {
            // NTP mends it, and then it works.
            return DestinationError::unreachable(&place, what);
        }
        let misconfigured = |what| DestinationError::misconfigured(&place, what);
        match name.as_str() {
            "ResourceNotFoundException" => misconfigured(
                "there is no such secret: make it once with `aws secretsmanager create-secret --name ... --secret-string '{}'`",
            ),
            "AccessDeniedException" => misconfigured(
                "access denied: allow GetSecretValue, PutSecretValue and UpdateSecretVersionStage on this secret",
            ),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch" => DestinationError::misconfigured(
                &place,
                format!("AWS refuses these credentials ({name})"),
            ),
            _ => DestinationError::unreachable(&place, format!("status {status} {name}")),
        }
    }

    /// The version with a label; none where no version has it.
    async fn value(&self, label: &str) -> Result<Option<Value>, DestinationError> {
        // Asked for by label: without one, some servers answer with whatever was written last.
        let body = json!({"SecretId": self.secret_id, "VersionStage": label}).to_string();
        match self.call("GetSecretValue", Zeroizing::new(body)).await? {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
                DestinationError::unreachable(&self.place(), "its answer is none of AWS's")
            }),
            Err(refused) if refused.name == "ResourceNotFoundException" => {
                if label == CURRENT && !self.exists().await? {
                    return Err(self.trouble(&refused));
                }
                Ok(None)
            }
            Err(refused) => Err(self.trouble(&refused)),
        }
    }

    /// The service has one name for a missing secret and a missing version.
    async fn exists(&self) -> Result<bool, DestinationError> {
        let body = json!({"SecretId": self.secret_id}).to_string();
        // Not allowed to look: then believe the first answer.
        let described = self.call("DescribeSecret", Zeroizing::new(body)).await?;
        Ok(described.is_ok())
    }

    /// Makes a version with an id of ours; false when that id is taken by another content.
    async fn make(&self, id: &str, text: &str, label: &str) -> Result<bool, DestinationError> {
        let mut body = Zeroizing::new(String::with_capacity(4096));
        let head =
            json!({"SecretId": self.secret_id, "ClientRequestToken": id, "VersionStages": [label]});
        let head = head.to_string();
        body.push_str(head.trim_end_matches('}'));
        body.push_str(",\"SecretString\":");
        body.push_str(&Zeroizing::new(
            serde_json::to_string(text).unwrap_or_default(),
        ));
        body.push('}');
        match self.call("PutSecretValue", body).await? {
            Ok(_) => Ok(true),
            Err(refused) if refused.name == "ResourceExistsException" => Ok(false),
            Err(refused) => Err(self.trouble(&refused)),
        }
    }

    async fn current_version(&self) -> Result<String, DestinationError> {
        let current = self.value(CURRENT).await?;
        Ok(current.map_or_else(String::new, |value| value.version_id))
    }
}

/// An id for one lease on one version, the same for all who try: 64 hex digits.
fn lease_id(base: &str, nth: u32, released: bool) -> String {
    let text = format!("tokenward lease {base} {nth} {released}");
    hex::encode(&Sha256::digest(text.as_bytes())).to_string()
}

impl Place for AwsHome {
    fn place(&self) -> String {
        format!("AWS secret {}", self.secret_id)
    }
}

#[async_trait]
impl Home for AwsHome {
    async fn read(&self) -> Result<Stored, DestinationError> {
        let Some(value) = self.value(CURRENT).await? else {
            return Ok(Stored::default());
        };
        let entry = value
            .secret_string
            .and_then(|text| Entry::from_json(&text).ok());
        Ok(Stored {
            entry: entry.map(Arc::new),
            version: Version(value.version_id),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError> {
        let json = entry.map_or_else(|| Zeroizing::new("{}".to_owned()), Entry::to_json);
        let id = crate::random::name();
        if over.0.is_empty() {
            // The first version becomes the current one by itself.
            return self.make(&id, &json, CURRENT).await;
        }
        if !self.make(&id, &json, COMING).await? {
            return Ok(false);
        }
        let body = json!({
            "SecretId": self.secret_id,
            "VersionStage": CURRENT,
            "MoveToVersionId": id,
            "RemoveFromVersionId": over.0,
        });
        match self
            .call("UpdateSecretVersionStage", Zeroizing::new(body.to_string()))
            .await?
        {
            Ok(_) => Ok(true),
            Err(refused) if refused.name.starts_with("Invalid") => {
                // Either the label has moved, or this very move was answered before and the answer got lost.
                Ok(self.current_version().await? == id)
            }
            Err(refused) => Err(self.trouble(&refused)),
        }
    }

    async fn lease(&self, wish: &LeaseRequest) -> Result<Option<Lease>, DestinationError> {
        let base = self.current_version().await?;
        for _ in 0..MOST_TRIES {
            let found: Lent = self
                .value(LEASE)
                .await?
                .and_then(|value| serde_json::from_str(value.secret_string.as_ref()?).ok())
                .unwrap_or_default();
            let now = self.clock.now();
            // A lease on a version that is no longer current is over: its holder stored what it made.
            let (nth, abandoned) = if found.base != base {
                (0, false)
            } else {
                match found.note.standing(wish, now) {
                    Standing::Lent => return Ok(None),
                    Standing::Free { abandoned } => (found.nth + 1, abandoned),
                }
            };
            let lent = Lent {
                base: base.clone(),
                nth,
                note: Note::lent(wish, now),
            };
            // Two contents must never be the same, or two askers would take themselves for one.
            let text = format!(
                "{{\"asker\":\"{}\",{}",
                crate::random::name(),
                &serde_json::to_string(&lent).unwrap_or_default()[1..]
            );
            let id = lease_id(&base, nth, false);
            if self.make(&id, &text, LEASE).await? {
                let lasts = Some(reliable(wish.ttl));
                return Ok(Some(Lease::new(abandoned, lasts, lent)));
            }
            if self.current_version().await? != base {
                break;
            }
        }
        Ok(None)
    }

    async fn release(&self, lease: Lease) -> Result<(), DestinationError> {
        let Some(lent) = lease.into_proof::<Lent>() else {
            return Ok(());
        };
        if self.current_version().await? != lent.base {
            return Ok(());
        }
        let id = lease_id(&lent.base, lent.nth, true);
        let back = Lent {
            note: Note::given_back(),
            ..lent
        };
        let text = serde_json::to_string(&back).unwrap_or_default();
        self.make(&id, &text, LEASE).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_domain() {
        let check = |region: &str, domain: &str| {
            let home = AwsHome::new("erp", region, None, None, Duration::from_secs(1)).unwrap();
            let expect = format!("secretsmanager.{region}.{domain}");
            assert_eq!(home.endpoint.host_str(), Some(&*expect));
        };
        check("ap-south-1", "amazonaws.com");
        check("us-gov-west-1", "amazonaws.com");
        check("cn-north-1", "amazonaws.com.cn");
        check("us-iso-east-1", "c2s.ic.gov");
        check("us-isob-east-1", "sc2s.sgov.gov");
        check("us-isof-south-1", "csp.hci.ic.gov");
        check("eu-isoe-west-1", "cloud.adc-e.uk");
        check("eusc-de-east-1", "amazonaws.eu");
    }

    #[test]
    fn a_wrong_clock_is_told_from_wrong_credentials() {
        let check = |name: &str, behind, expect: Option<&str>| {
            let said = clock_trouble(name, behind);
            assert_eq!(said.is_some(), expect.is_some(), "{said:?}");
            if let (Some(said), Some(expect)) = (said, expect) {
                assert!(said.contains(expect), "{said}");
            }
        };
        check(
            "InvalidSignatureException",
            Some(1_200),
            Some("1200 s behind"),
        );
        check("SignatureDoesNotMatch", Some(-1_200), Some("1200 s ahead"));
        check("RequestTimeTooSkewed", None, Some("clock is off"));
        check("InvalidSignatureException", Some(3), None);
        check("InvalidSignatureException", None, None);
        check("UnrecognizedClientException", Some(1_200), None);
    }
}
