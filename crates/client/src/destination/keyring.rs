//! The keyring of a desktop session (Secret Service: GNOME Keyring, KWallet) as home, for people's own machines: the
//! entry's JSON as one password. It has neither lock nor conditional write, so both are files in a private folder;
//! it is for workers of one user on one machine.

use super::file::version_of;
use super::{DestinationError, Home, Lease, LeaseRequest, Place, ProcessLock, file_lock};
use crate::protocol::{Entry, Stored, Version};
use async_trait::async_trait;
use keyring::{Entry as Password, Error};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The name under which passwords of this program stand in the keyring.
const SERVICE: &str = "tokenward";

/// An entry of the session's keyring as home.
#[derive(Clone, Debug)]
pub struct KeyringHome {
    account: String,
    folder: PathBuf,
}

impl KeyringHome {
    /// The password of this account; its locks are files in `folder`, which only this user may write to.
    #[must_use]
    pub fn new(account: &str, folder: PathBuf) -> Self {
        Self {
            account: account.to_owned(),
            folder,
        }
    }

    /// Does something with the password, on a thread that may wait for D-Bus.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Password) -> keyring::Result<T> + Send + 'static,
    ) -> Result<T, DestinationError> {
        let account = self.account.clone();
        let done = tokio::task::spawn_blocking(move || {
            let password = Password::new(SERVICE, &account)?;
            act(&password)
        });
        let place = self.place();
        match done.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::NoStorageAccess(_))) => Err(DestinationError::unreachable(
                &place,
                "it is locked, or there is none: log in to a desktop session, or unlock it",
            )),
            // The library's own texts may describe a password.
            Ok(Err(_)) | Err(_) => Err(DestinationError::unreachable(
                &place,
                "it does not answer as it should",
            )),
        }
    }

    async fn content(&self) -> Result<Option<Zeroizing<String>>, DestinationError> {
        let found = self.with(|password| match password.get_password() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        });
        found.await
    }

    fn lock_base(&self) -> PathBuf {
        self.folder
            .join(format!("tokenward-keyring-{}", self.account))
    }
}

impl Place for KeyringHome {
    fn place(&self) -> String {
        format!("keyring entry {SERVICE}/{}", self.account)
    }
}

#[async_trait]
impl Home for KeyringHome {
    async fn read(&self) -> Result<Stored, DestinationError> {
        let content = self.content().await?;
        let text = content.as_ref().map(|text| text.as_str());
        let entry = text.and_then(|text| Entry::from_json(text).ok());
        Ok(Stored {
            entry: entry.map(Arc::new),
            version: version_of(text.map(str::as_bytes)),
        })
    }

    async fn write(&self, entry: Option<&Entry>, over: &Version) -> Result<bool, DestinationError> {
        let lock = ProcessLock::new(self.lock_base().with_extension("writing"));
        let _held = file_lock::write_lock(&lock, &self.place()).await?;
        let content = self.content().await?;
        if version_of(content.as_ref().map(|text| text.as_bytes())) != *over {
            return Ok(false);
        }
        let json = entry.map(Entry::to_json);
        self.with(move |password| match json {
            Some(json) => password.set_password(&json),
            None => match password.delete_credential() {
                Err(Error::NoEntry) => Ok(()),
                done => done,
            },
        })
        .await?;
        Ok(true)
    }

    async fn lease(&self, _: &LeaseRequest) -> Result<Option<Lease>, DestinationError> {
        file_lock::try_lease(&self.lock_base(), &self.place())
    }

    async fn release(&self, lease: Lease) -> Result<(), DestinationError> {
        file_lock::release(lease, &self.place())
    }
}
