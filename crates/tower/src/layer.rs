//! The tower layer and its service. A request is checked before the service inside sees its body.

use crate::answer::answer;
use crate::checker::{Checker, Kind};
use crate::forged;
use crate::permit::Permit;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that checks every request before the service inside gets it.
///
/// A request that may not pass is answered as the node itself would. A permitted one has its [`Permit`] in its
/// extensions, and no `X-Tokenward-*` header from outside.
#[derive(Clone, Debug)]
pub struct CheckLayer {
    checker: Arc<Checker>,
}

impl CheckLayer {
    /// A layer that decides by `checker`. Several layers can share one.
    pub fn new(checker: impl Into<Arc<Checker>>) -> Self {
        Self {
            checker: checker.into(),
        }
    }
}

impl<S> Layer<S> for CheckLayer {
    type Service = CheckService<S>;

    fn layer(&self, inner: S) -> CheckService<S> {
        CheckService {
            inner,
            checker: Arc::clone(&self.checker),
        }
    }
}

/// A service behind the check; made by [`CheckLayer`].
#[derive(Clone, Debug)]
pub struct CheckService<S> {
    inner: S,
    checker: Arc<Checker>,
}

type Refusal = Response<Full<Bytes>>;

impl<S, B, R> Service<Request<B>> for CheckService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: Send + 'static,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = S::Error;
    type Future = CheckFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> CheckFuture<S, B> {
        forged::strip_identity(request.headers_mut());
        // A handler must not find a permit that this layer did not make.
        request.extensions_mut().remove::<Permit>();
        let checker = &self.checker;
        if let Kind::Replica(replica) = &checker.source {
            let address = checker.address(request.headers(), request.extensions());
            return match checker.by(replica, request.headers(), address).passed() {
                Ok(permit) => {
                    request.extensions_mut().insert(permit);
                    State::Inside {
                        future: self.inner.call(request),
                    }
                }
                Err(refusal) => State::Refused {
                    answer: Some(answer(refusal, request.headers(), &checker.error_source)),
                },
            }
            .into();
        }
        // The service that was ready goes with this request; a fresh clone takes its place.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let checker = Arc::clone(checker);
        let (parts, body) = request.into_parts();
        let asking = async move {
            let verdict = checker.decide(&parts.headers, &parts.extensions).await;
            match verdict.passed() {
                Ok(permit) => {
                    let mut request = Request::from_parts(parts, body);
                    request.extensions_mut().insert(permit);
                    Ok(request)
                }
                Err(refusal) => Err(answer(refusal, &parts.headers, &checker.error_source)),
            }
        };
        State::Asking {
            asking: Box::pin(asking),
            service: ready,
        }
        .into()
    }
}

type Asking<B> = Pin<Box<dyn Future<Output = Result<Request<B>, Refusal>> + Send>>;

pin_project! {
    /// The future of [`CheckService`].
    pub struct CheckFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = Projected]
    #[project_replace = Replaced]
    enum State<S: Service<Request<B>>, B> {
        // A node is being asked.
        Asking { asking: Asking<B>, service: S },
        // It has passed.
        Inside { #[pin] future: S::Future },
        // It may not pass.
        Refused { answer: Option<Refusal> },
    }
}

impl<S: Service<Request<B>>, B> From<State<S, B>> for CheckFuture<S, B> {
    fn from(state: State<S, B>) -> Self {
        Self { state }
    }
}

impl<S, B, R> Future for CheckFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<Either<R, Full<Bytes>>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                Projected::Inside { future } => {
                    return future
                        .poll(cx)
                        .map_ok(|response| response.map(Either::Left));
                }
                Projected::Refused { answer } => {
                    // Polled after completion: it stays pending.
                    return match answer.take() {
                        Some(answer) => Poll::Ready(Ok(answer.map(Either::Right))),
                        None => Poll::Pending,
                    };
                }
                Projected::Asking { asking, service } => match ready!(asking.as_mut().poll(cx)) {
                    Ok(request) => State::Inside {
                        future: service.call(request),
                    },
                    Err(answer) => State::Refused {
                        answer: Some(answer),
                    },
                },
            };
            state.as_mut().project_replace(next);
        }
    }
}
