//! The blocking face, for programs without an async runtime. It keeps a small runtime of its own, with one
//! thread, in which renewals run.

use crate::protocol::{Entry, TokenError};
use crate::source::TokenSource as Source;
use std::io;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A [`crate::TokenSource`] for threads that wait. Never call it from within an async runtime.
#[derive(Clone, Debug)]
pub struct TokenSource {
    source: Source,
    runtime: Arc<Runtime>,
}

impl TokenSource {
    /// Wraps a source.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(source: Source) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tokenward")
            .enable_all()
            .build()?;
        Ok(Self {
            source,
            runtime: Arc::new(runtime),
        })
    }

    /// As [`crate::TokenSource::token`].
    ///
    /// # Errors
    /// As there.
    pub fn token(&self) -> Result<Arc<Entry>, TokenError> {
        self.runtime.block_on(self.source.token())
    }

    /// As [`crate::TokenSource::after_refusal`].
    ///
    /// # Errors
    /// As there.
    pub fn after_refusal(&self, used: &Arc<Entry>) -> Result<Arc<Entry>, TokenError> {
        self.runtime.block_on(self.source.after_refusal(used))
    }

    /// Calls with a token, once more after a 401 with another token, and never again. `call` answers whether the
    /// product refused the token (401), beside its result.
    ///
    /// # Errors
    /// When there is no token to begin with.
    pub fn call<T>(&self, mut call: impl FnMut(&Entry) -> (T, bool)) -> Result<T, TokenError> {
        let entry = self.token()?;
        let (result, refused) = call(&entry);
        if !refused {
            return Ok(result);
        }
        Ok(match self.after_refusal(&entry) {
            Ok(another) => call(&another).0,
            Err(_) => result,
        })
    }

    /// The async source.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}
