//! Listeners: addresses that Castile accepts connections on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{ListenerLimits, TcpKeepAlive};
use crate::session::spec::Mark;

/// An address that Castile accepts connections on.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it stands in the file.
    pub at: Mark,
    /// Name in logs and metrics; unique.
    pub name: String,
    /// Address and port; unique. Port 0 takes any free one.
    pub address: SocketAddr,
    /// TLS; `None` = clear text.
    pub tls: Option<ListenerTls>,
    /// Whether each connection begins with a PROXY header, version 1 or 2; then one without it is refused.
    pub proxy_protocol: bool,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed; everybody else's are replaced.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a client may take.
    pub timeouts: ListenerTimeouts,
    /// How silent connections are kept alive; `None` = not.
    pub tcp_keep_alive: Option<TcpKeepAlive>,
    /// Its limits.
    pub limits: ListenerLimits,
    /// A path that answers whether this gateway is ready, without going to any node.
    pub health_path: Option<String>,
}

/// How long a client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From the first byte of a head (or the accepted connection) to the head's end.
    pub header: Duration,
    /// Between two requests of one connection. Longer than clients keep idle connections themselves, so that it is
    /// they who close: a request written into a closing connection is lost.
    pub idle: Duration,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self { header: Duration::from_secs(10), idle: Duration::from_secs(90) }
    }
}

/// TLS towards clients. The files were readable when the configuration was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Where it stands in the file.
    pub at: Mark,
    /// PEM: the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: the authorities that sign client certificates. Set whenever `client_auth` is not `None`.
    pub client_ca: Option<PathBuf>,
    /// PEM: what those authorities have revoked. With one file, every authority needs a list that is in force.
    pub client_crl: Vec<PathBuf>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// How nodes hear of the client's certificate. The field is never accepted from clients.
    pub forward_client_cert: Option<ForwardClientCert>,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; none is fine, a wrong one is not.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// How nodes hear of the client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardClientCert {
    /// The header field that carries it.
    pub header: String,
    /// How it is written.
    pub format: CertificateFormat,
}

/// How a certificate is written into a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateFormat {
    /// PEM, percent-encoded, as nginx does.
    #[default]
    PemUrlencoded,
    /// DER in Base64, as WebLogic and F5 do.
    Base64Der,
    /// `:base64:`, RFC 9440.
    Rfc9440,
    /// `Hash=..;Cert="..";Subject=".."`, as Envoy does.
    Xfcc,
}
