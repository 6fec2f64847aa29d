//! How much an API server may answer. A layer under kube's client counts every body, whoever reads it.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{LengthLimitError, Limited};
use hyper::{Request, Response};
use kube::client::Body;
use tower::{Layer, Service};

use super::asked::{Asked, Unsent};

/// The most of an answer that is read, in bytes: an object has 1.5 MiB at most (etcd's limit of a request), and of a log no
/// more than 1 MiB is asked for.
pub(super) const ANSWER: usize = 4 << 20;
/// The most of a page of a list. A page is never in memory as a whole; 5,000 Nodes of a server that knows no pages are less.
pub(super) const PAGE: usize = 256 << 20;

/// Marks a request whose answer is a page of a list.
#[derive(Clone, Copy)]
pub(super) struct IsPage;

/// Limits the answers of a service, and takes note of what it is asked.
#[derive(Clone)]
pub(super) struct Limit(pub(super) Asked);

impl<S> Layer<S> for Limit {
    type Service = LimitedService<S>;

    fn layer(&self, inner: S) -> LimitedService<S> {
        LimitedService(inner, self.0.clone())
    }
}

/// A service whose answers are limited.
pub(super) struct LimitedService<S>(S, Asked);

impl<S, B> Service<Request<Body>> for LimitedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: From<Unsent> + Send + 'static,
{
    type Response = Response<Limited<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Err(unsent) = self.1.see(request.method(), request.uri().path()) {
            return Box::pin(async move { Err(unsent.into()) });
        }
        let page = request.extensions().get::<IsPage>().is_some();
        let limit = if page { PAGE } else { ANSWER };
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Limited::new(body, limit)))
        })
    }
}

/// Returns whether an error is that an answer is too long.
pub(super) fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        // An error of I/O hides the one in it from those who go along the sources.
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if cause.is::<LengthLimitError>() || io.is_some_and(|inner| is_too_long(inner)) {
            return true;
        }
        next = cause.source();
    }
    false
}
