//! A store for a task of its own, and a writer held still.

use crate::basics::{HOME, TestClock, audited, fresh, keyring};
use crate::house::Client;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokenward_core::change::Change;
use tokenward_core::credential::ClientSecret;
use tokenward_core::generate::{self, Answer, Caller, IssueOptions, Rejection};
use tokenward_store::{Decided, Failure, ReadSet, Store, View};

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

    /// Takes a decision that looks at this and writes nothing.
    pub(crate) async fn looks(&self, wants: ReadSet) -> Result<(), Failure> {
        let nothing = |_: &View| Ok::<_, Infallible>((Decided::nothing(), ()));
        self.store.decide(wants, nothing).await.map(drop)
    }

    pub(crate) async fn generate(&self, client: &Client) -> Result<Answer, Failure> {
        let answer = self.generate_as(client, IssueOptions::default()).await?;
        Ok(answer.unwrap_or_else(|rejection| panic!("{rejection:?}")))
    }

    pub(crate) async fn generate_as(
        &self,
        client: &Client,
        options: IssueOptions,
    ) -> Result<Result<Answer, Rejection>, Failure> {
        let decide = by_secret(client, options, 1_000_000);
        self.decide(ReadSet::client(client.0), decide).await
    }
}

/// The decision of a call of the Generate Access Token API with so many tokens a day.
pub(crate) fn by_secret(
    (_, secret): &Client,
    options: IssueOptions,
    quota: u32,
) -> impl FnOnce(&View) -> Result<(Vec<Change>, Answer), Rejection> + Send + use<> {
    let caller = Caller {
        secret: ClientSecret::parse(secret).unwrap(),
        source: HOME.parse().ok(),
        host_environment: None,
    };
    move |view| {
        let state = view.client.as_ref().ok_or(Rejection::SecretInvalid)?;
        generate::by_secret(
            state,
            &caller,
            options,
            fresh(),
            quota,
            &keyring(),
            view.now,
        )
    }
}
