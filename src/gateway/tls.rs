//! TLS set-ups: what the files of the configuration become (rustls, TLS 1.2 and 1.3 only).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use crate::config::model::{ClientAuth, ListenerTls, NodeTls};

/// Why a TLS set-up cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind expected.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key, or authorities, do not fit.
    #[error("{0}")]
    Setup(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |reason: String| TlsError::File { file: file.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fail(error.to_string()))?;
    if found.is_empty() {
        return Err(fail("no certificate in PEM form".to_owned()));
    }
    Ok(found)
}

fn revocations(files: &[PathBuf]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut lists = Vec::new();
    for file in files {
        let fail = |reason: String| TlsError::File { file: file.clone(), reason };
        let found = CertificateRevocationListDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fail(error.to_string()))?;
        if found.is_empty() {
            return Err(fail("no revocation list in PEM form".to_owned()));
        }
        lists.extend(found);
    }
    Ok(lists)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|error| TlsError::File { file: file.to_owned(), reason: format!("no private key: {error}") })
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| TlsError::File { file: file.to_owned(), reason: error.to_string() })?;
    }
    Ok(roots)
}

fn setup(error: impl std::fmt::Display) -> TlsError {
    TlsError::Setup(error.to_string())
}

/// TLS towards clients, with HTTP/2 and HTTP/1.1 by ALPN.
///
/// # Errors
/// A file that cannot be used.
pub fn server(tls: &ListenerTls) -> Result<Arc<ServerConfig>, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(setup)?;
    let builder = match (&tls.client_ca, tls.client_auth) {
        (Some(ca), ClientAuth::Optional | ClientAuth::Required) => {
            let roots = Arc::new(authorities(ca)?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            if !tls.client_crl.is_empty() {
                // As with the peers: the whole chain is looked up, and a list that is no longer in force proves nothing.
                verifier = verifier.with_crls(revocations(&tls.client_crl)?).enforce_revocation_expiration();
            }
            let verifier =
                if tls.client_auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(setup)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let chain = certificates(&tls.certificate)?;
    let mut config = builder.with_single_cert(chain, private_key(&tls.key)?).map_err(|error| TlsError::File {
        file: tls.certificate.clone(),
        reason: format!("certificate and key cannot be used: {error}"),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS towards the nodes of one upstream.
///
/// # Errors
/// A file that cannot be used.
pub fn client(tls: &NodeTls) -> Result<Arc<ClientConfig>, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(setup)?;
    let builder = if tls.verify {
        let roots = match &tls.ca {
            Some(ca) => authorities(ca)?,
            None => system_authorities(),
        };
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(|error| {
                TlsError::Setup(format!("no authorities to check nodes by ({error}); set tls.ca, or tls.verify: false"))
            })?;
        builder.with_webpki_verifier(verifier)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider())))
    };
    let config = match (&tls.client_certificate, &tls.client_key) {
        (Some(certificate), Some(key)) => {
            builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(setup)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The authorities the system trusts, from where distributions keep them.
fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let set = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    for file in set.into_iter().chain(usual.map(PathBuf::from)) {
        if let Ok(found) = certificates(&file) {
            roots.add_parsable_certificates(found);
            break;
        }
    }
    roots
}

/// `verify: false`: takes any certificate, but checks that the node holds its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
