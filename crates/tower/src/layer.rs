//! The layer itself: a request is checked before the service inside sees a byte of its body.

use crate::checker::{Checker, Source};
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

/// Checks every request before the service inside.
#[derive(Clone, Debug)]
pub struct CheckLayer {
    checker: Arc<Checker>,
}

impl CheckLayer {
    /// A layer that decides by this checker; several may share one.
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

/// A service behind the check.
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
        if let Source::Replica(replica) = &checker.source {
            let address = checker.address(request.headers(), request.extensions());
            return match checker.by(replica, request.headers(), address).passed() {
                Ok(permit) => {
                    request.extensions_mut().insert(permit);
                    CheckFuture::Inside {
                        future: self.inner.call(request),
                    }
                }
                Err(refused) => CheckFuture::Refused {
                    answer: Some(refused.answer(request.headers(), &checker.error_source)),
                },
            };
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
                Err(refused) => Err(refused.answer(&parts.headers, &checker.error_source)),
            }
        };
        CheckFuture::Asking {
            asking: Box::pin(asking),
            service: ready,
        }
    }
}

type Asking<B> = Pin<Box<dyn Future<Output = Result<Request<B>, Refusal>> + Send>>;

pin_project! {
    /// A request on its way through the check.
    #[project = Projected]
    #[project_replace = Replaced]
    pub enum CheckFuture<S: Service<Request<B>>, B> {
        /// A node is being asked.
        #[doc(hidden)]
        Asking { asking: Asking<B>, service: S },
        /// It has passed.
        #[doc(hidden)]
        Inside { #[pin] future: S::Future },
        /// It may not pass.
        #[doc(hidden)]
        Refused { answer: Option<Refusal> },
    }
}

impl<S, B, R> Future for CheckFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<Either<R, Full<Bytes>>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                Projected::Inside { future } => {
                    return future
                        .poll(cx)
                        .map_ok(|response| response.map(Either::Left));
                }
                Projected::Refused { answer } => {
                    // Polled once more than it should be, it never comes to an end.
                    return match answer.take() {
                        Some(answer) => Poll::Ready(Ok(answer.map(Either::Right))),
                        None => Poll::Pending,
                    };
                }
                Projected::Asking { asking, service } => match ready!(asking.as_mut().poll(cx)) {
                    Ok(request) => Self::Inside {
                        future: service.call(request),
                    },
                    Err(answer) => Self::Refused {
                        answer: Some(answer),
                    },
                },
            };
            self.as_mut().project_replace(next);
        }
    }
}
