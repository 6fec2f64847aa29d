//! A way to the API server that is no address: a byte stream of this process for each connection. Nothing listens, so
//! nobody else on this machine can go that way.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connect, Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::limits::Limit;

/// Anything that HTTP can run over.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

type Opening = BoxFuture<'static, io::Result<Stream>>;

/// Opens a byte stream to the API server for each connection.
#[derive(Clone)]
pub struct Detour(Arc<dyn Fn() -> Opening + Send + Sync>);

impl Detour {
    /// Takes what opens a stream.
    pub fn new<S, F>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self(Arc::new(move || {
            let opening = open();
            Box::pin(async move { opening.await.map(|stream| Stream(Box::new(stream))) })
        }))
    }
}

impl fmt::Debug for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Detour")
    }
}

impl Service<Uri> for Detour {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let opening = (self.0)();
        Box::pin(async move { opening.await.map(TokioIo::new) })
    }
}

/// A stream of a detour.
pub struct Stream(Box<dyn Wire>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type AnyError = Box<dyn Error + Send + Sync>;

/// An HTTP client whose errors are of the type that kube's layers pass on.
#[derive(Clone)]
struct Http<C>(legacy::Client<C, Body>);

impl<C: Connect + Clone + Send + Sync + 'static> Service<Request<Body>> for Http<C> {
    type Response = Response<Incoming>;
    type Error = AnyError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, AnyError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let response = self.0.request(request);
        Box::pin(async move { response.await.map_err(AnyError::from) })
    }
}

/// Makes the client that kube makes of a configuration, but for the way.
pub(super) fn client(config: &Config, detour: Detour, limit: &Limit) -> kube::Result<Client> {
    let https = config.rustls_https_connector_with_connector(detour)?;
    let http = Http(legacy::Client::builder(TokioExecutor::new()).build(https));
    let builder =
        ClientBuilder::new(http, config.default_namespace.clone()).with_layer(&config.extra_headers_layer()?);
    let base = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(login) => builder
            .with_layer(&login)
            .with_layer(&base)
            .with_layer(limit)
            .build(),
        None => builder.with_layer(&base).with_layer(limit).build(),
    })
}
