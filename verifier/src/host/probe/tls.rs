//! TLS to the host's own components. kube-scheduler and kube-controller-manager serve their health with certificates
//! that they sign themselves at every start, so there is nothing to check them against.
//!
//! Not checking them is sound here: the connection begins and ends on this host ([`is_here`]), the request carries no
//! credentials and no data, and what comes back is read as a sign of life only. Whoever could stand between would
//! already run on the host, where nothing that the agent sees could be trusted.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::UdpSocket;
use tokio_rustls::TlsConnector;

/// What is done with the certificates that a server shows. Nothing is believed of them.
pub(super) trait Look: fmt::Debug + Send + Sync + 'static {
    /// Looks at a server's own certificate and those that it sends beside it; an error ends the handshake.
    fn look(&self, leaf: &CertificateDer<'_>, beside: &[CertificateDer<'_>]) -> Result<(), Error>;
}

/// Takes any certificate.
#[derive(Debug)]
struct Any;

impl Look for Any {
    fn look(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>]) -> Result<(), Error> {
        Ok(())
    }
}

/// Has a look at what a server shows, and checks nothing.
#[derive(Debug)]
struct Unchecked<L> {
    look: Arc<L>,
    provider: Arc<CryptoProvider>,
}

impl<L: Look> ServerCertVerifier for Unchecked<L> {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        beside: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.look.look(leaf, beside)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Returns what speaks TLS to any server.
pub(super) fn connector() -> Result<TlsConnector, Error> {
    looking(Arc::new(Any))
}

/// Returns what speaks TLS to any server, and has a look at the certificates that it shows.
pub(super) fn looking<L: Look>(look: Arc<L>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Unchecked {
        look,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Returns whether an address is one of this host's own: then, and only then, the kernel gives a socket that is bound
/// to nothing the same address as its own. Nothing is sent.
pub(super) async fn is_here(to: SocketAddr) -> bool {
    if to.ip().is_loopback() {
        return true;
    }
    let any: SocketAddr = if to.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let Ok(socket) = UdpSocket::bind(any).await else {
        return false;
    };
    socket.connect(to).await.is_ok() && socket.local_addr().is_ok_and(|ours| ours.ip() == to.ip())
}

#[cfg(test)]
pub(super) mod testing {
    //! A server with a certificate that it signs itself, as the components of Kubernetes have it.

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one answer, and returns where.
    pub(in crate::host::probe) async fn server(answer: &'static str) -> SocketAddr {
        let certified = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        });
        address
    }

    #[tokio::test]
    async fn own_addresses_are_here_and_others_are_not() {
        for (to, here) in [("127.0.0.1:1", true), ("[::1]:1", true), ("192.0.2.1:1", false)] {
            assert_eq!(is_here(to.parse().unwrap()).await, here, "{to}");
        }
    }
}
