//! A store for a task of its own, and a writer held still.

use crate::basics::{HOME, TestClock, audited, draw, keyring};
use std::sync::{Arc, Mutex};
use tokenward_core::change::Change;
use tokenward_core::credential::ClientSecret;
use tokenward_core::generate::{self, Answer, Caller, Fresh, IssueOptions, Rejection};
use tokenward_core::ids::ClientId;
use tokenward_store::{Failure, ReadSet, Store, View};

/// The writer, held within a decision.
pub(crate) struct Held {
    pub(crate) go: std::sync::mpsc::Sender<()>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Held {
    pub(crate) async fn release(self) {
        drop(self.go);
        self.task.await.unwrap();
    }
}

/// A store and the account of its changes, for a task of its own.
#[derive(Clone)]
pub(crate) struct Sharer {
    pub(crate) store: Store<TestClock>,
    pub(crate) made: Arc<Mutex<Vec<Change>>>,
}

impl Sharer {
    /// Decides, and keeps account of the changes once they are durable.
    pub(crate) async fn decide<T: Send + 'static, E: Send + 'static>(
        &self,
        wants: ReadSet,
        decide: impl FnOnce(&View) -> Result<(Vec<Change>, T), E> + Send + 'static,
    ) -> Result<Result<T, E>, Failure> {
        let decided = self.store.decide(wants, move |view| {
            let (changes, answer) = decide(view)?;
            Ok((audited(changes.clone(), view.now), (changes, answer)))
        });
        Ok(decided.await?.map(|(changes, answer)| {
            self.made.lock().unwrap().extend(changes);
            answer
        }))
    }

    pub(crate) async fn generate(&self, id: ClientId, secret: &str) -> Result<Answer, Failure> {
        let answer = self
            .generate_as(id, secret, IssueOptions::default())
            .await?;
        Ok(answer.unwrap_or_else(|rejection| panic!("{rejection:?}")))
    }

    pub(crate) async fn generate_as(
        &self,
        id: ClientId,
        secret: &str,
        options: IssueOptions,
    ) -> Result<Result<Answer, Rejection>, Failure> {
        let secret = ClientSecret::parse(secret).unwrap();
        let caller = Caller {
            secret,
            source: HOME.parse().ok(),
            host_environment: None,
        };
        self.decide(ReadSet::client(id), move |view| {
            let state = view.client.as_ref().ok_or(Rejection::SecretInvalid)?;
            let fresh = Fresh {
                token: draw(),
                nonce: draw(),
            };
            generate::by_secret(
                state,
                &caller,
                options,
                fresh,
                1_000_000,
                &keyring(),
                view.now,
            )
        })
        .await
    }
}
