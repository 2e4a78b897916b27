//! Certificates and TLS ends.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

use super::Peer;

/// An authority and the certificates it signs, as files.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    signed: AtomicU64,
}

/// A certificate with its key, as files.
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The certificate in DER.
    pub der: Vec<u8>,
    serial: SerialNumber,
}

impl Authority {
    /// A new authority.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file can be written");
        let der = certificate.der().clone();
        Self { folder, issuer: Issuer::new(params, key), certificate: der, signed: AtomicU64::new(1) }
    }

    /// Its certificate, as a file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A list of what it has revoked, as a file: that of these certificates.
    pub fn revoke(&self, revoked: &[&Identity]) -> PathBuf {
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        let file = self.folder.path().join("revoked.pem");
        std::fs::write(&file, list.pem().expect("PEM")).expect("a file can be written");
        file
    }

    /// A certificate for this name.
    pub fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let serial = SerialNumber::from(self.signed.fetch_add(1, Ordering::SeqCst));
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        std::fs::write(file("pem"), certificate.pem()).expect("a file can be written");
        std::fs::write(file("key"), key.serialize_pem()).expect("a file can be written");
        Identity { certificate: file("pem"), key: file("key"), der: certificate.der().to_vec(), serial }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        roots
    }

    /// Connects as a client that trusts this authority, perhaps with a certificate of its own.
    pub fn connect(&self, address: SocketAddr, name: &str, identity: Option<&Identity>) -> Peer {
        self.connect_over(TcpStream::connect(address).expect("the address is listened on"), name, identity)
    }

    /// The same over a connection that stands.
    pub fn connect_over(&self, stream: TcpStream, name: &str, identity: Option<&Identity>) -> Peer {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots());
        let mut config = match identity {
            Some(identity) => builder
                .with_client_auth_cert(vec![identity.der.clone().into()], key(&identity.key))
                .expect("a certificate and its key"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        Peer::tls_client(stream, session)
    }

    /// The set-up of a node with this identity that asks clients for certificates of this authority.
    pub fn node(&self, identity: &Identity) -> Arc<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider());
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(vec![identity.der.clone().into()], key(&identity.key))
            .expect("a certificate and its key");
        Arc::new(config)
    }
}

fn key(file: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(file).expect("a key")
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
