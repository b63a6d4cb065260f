//! Vault or OpenBao as home: two documents of a KV v2 engine, `PATH/token` and `PATH/lease`, both written by
//! check-and-set. The token's document has the fields of the Generate Access Token API, so that `bao agent`, an
//! operator or an application reads `access_token` without knowing of us.

mod call;

pub use call::{Connection, Login, VaultSecret};

use super::lease_note::{Note, Standing, reliable};
use super::{DestinationError, Home, Lease, LeaseRequest, Place};
use crate::protocol::{Entry, Stored, Version};
use async_trait::async_trait;
use call::Answer;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A path of a KV v2 engine as home.
#[derive(Debug)]
pub struct VaultHome {
    connection: Arc<Connection>,
    mount: String,
    path: String,
}

#[derive(Deserialize)]
struct ReadAnswer<'a> {
    #[serde(borrow)]
    data: ReadData<'a>,
}

#[derive(Deserialize)]
struct ReadData<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

#[derive(Deserialize)]
struct WriteAnswer {
    data: Metadata,
}

/// A document with its version, 0 where there has never been one.
struct Document {
    text: Option<Zeroizing<String>>,
    version: u64,
}

impl VaultHome {
    /// The documents under `path` of the engine mounted at `mount`.
    #[must_use]
    pub fn new(connection: Arc<Connection>, mount: &str, path: &str) -> Self {
        Self {
            connection,
            mount: mount.trim_matches('/').to_owned(),
            path: path.trim_matches('/').to_owned(),
        }
    }

    async fn call(
        &self,
        method: Method,
        document: &str,
        body: Option<&str>,
    ) -> Result<Answer, DestinationError> {
        let url = format!("/v1/{}/data/{}/{document}", self.mount, self.path);
        self.connection
            .call(&self.place(), method, &url, body)
            .await
    }

    fn trouble(&self, answer: &Answer) -> DestinationError {
        answer.trouble(&self.place())
    }

    async fn fetch(&self, document: &str) -> Result<Document, DestinationError> {
        let answer = self.call(Method::GET, document, None).await?;
        let read: Option<ReadAnswer<'_>> = serde_json::from_slice(&answer.body).ok();
        let version = read.as_ref().map(|read| read.data.metadata.version);
        let raw = read.and_then(|read| read.data.data);
        let (text, version) = match (answer.status, version) {
            (200, Some(version)) => (raw, version),
            // Deleted, but counted on.
            (404, version) => (None, version.unwrap_or(0)),
            _ => return Err(self.trouble(&answer)),
        };
        let text = text.map(|raw| Zeroizing::new(raw.get().to_owned()));
        Ok(Document { text, version })
    }

    /// Writes over a version and answers the new one; none when the version is another.
    async fn store(
        &self,
        document: &str,
        json: &str,
        over: u64,
    ) -> Result<Option<u64>, DestinationError> {
        let body = Zeroizing::new(format!(
            "{{\"options\":{{\"cas\":{over}}},\"data\":{json}}}"
        ));
        let answer = self.call(Method::POST, document, Some(&body)).await?;
        match answer.status {
            200 => {
                let written: WriteAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
                    DestinationError::unreachable(&self.place(), "its answer is no Vault's")
                })?;
                Ok(Some(written.data.version))
            }
            // The engine has one code for all bad requests, and this sentence for this one.
            400 if answer.says("check-and-set parameter did not match") => Ok(None),
            _ => Err(self.trouble(&answer)),
        }
    }
}

impl Place for VaultHome {
    fn place(&self) -> String {
        format!(
            "Vault {} {}/{}",
            self.connection.address(),
            self.mount,
            self.path
        )
    }
}

#[async_trait]
impl Home for VaultHome {
    async fn read(&self) -> Result<Stored, DestinationError> {
        let document = self.fetch("token").await?;
        let entry = document.text.and_then(|text| Entry::from_json(&text).ok());
        Ok(Stored {
            entry: entry.map(Arc::new),
            version: Version(document.version.to_string()),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError> {
        let over = over.0.parse().unwrap_or(0);
        let json = entry.map_or_else(|| Zeroizing::new("{}".to_owned()), Entry::to_json);
        Ok(self.store("token", &json, over).await?.is_some())
    }

    async fn lease(&self, wish: &LeaseRequest) -> Result<Option<Lease>, DestinationError> {
        let document = self.fetch("lease").await?;
        let note: Option<Note> = document
            .text
            .and_then(|text| serde_json::from_str(&text).ok());
        let now = self.connection.clock().now();
        let abandoned = match note.map(|note| note.standing(wish, now)) {
            Some(Standing::Lent) => return Ok(None),
            Some(Standing::Free { abandoned }) => abandoned,
            None => false,
        };
        let json = serde_json::to_string(&Note::lent(wish, now)).unwrap_or_default();
        let stored = self.store("lease", &json, document.version).await?;
        let lasts = Some(reliable(wish.ttl));
        Ok(stored.map(|version| Lease::new(abandoned, lasts, version)))
    }

    async fn close_home(&self) {
        self.connection.close().await;
    }

    async fn release(&self, lease: Lease) -> Result<(), DestinationError> {
        let Some(version) = lease.into_proof::<u64>() else {
            return Ok(());
        };
        let json = serde_json::to_string(&Note::given_back()).unwrap_or_default();
        // Somebody else's by now: it had run out, and is not ours to give back.
        self.store("lease", &json, version).await.map(drop)
    }
}
