//! Asking the admin API of a running gateway, in clear text or over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::config::model::NodeTls;
use crate::gateway::tls::client as client_tls;

/// Where the admin API is, and by what it lets us in.
#[derive(Debug, Clone, clap::Args)]
pub struct AdminArgs {
    /// Where the admin API listens: http:// or https://HOST:PORT
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9280")]
    pub admin: String,
    /// A file that holds a token of the admin API
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// With https: PEM file of the authorities that sign its certificate (default: those of the system)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// With https: PEM file of our certificate, where the API asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// With https: PEM file of its private key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// For connecting, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read at most.
const ANSWER_MAX: u64 = 16 << 20;

/// An admin API that can be asked.
#[derive(Debug)]
pub struct AdminApi {
    url: String,
    /// As in the URL: what `Host` says.
    authority: String,
    /// With a port.
    address: String,
    token: Option<String>,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

impl AdminApi {
    /// Reads the files that the arguments name.
    ///
    /// # Errors
    /// The URL is none, or a file cannot be used.
    pub fn new(args: &AdminArgs) -> Result<Self, String> {
        let url = args.admin.trim_end_matches('/').to_owned();
        let (scheme, authority) = url.split_once("://").unwrap_or_default();
        let usual_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => 0,
        };
        if usual_port == 0 || authority.is_empty() || authority.contains('/') {
            return Err(format!("{}: write http://HOST:PORT or https://HOST:PORT", args.admin));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { authority.to_owned() } else { format!("{authority}:{usual_port}") };
        let tls = if scheme == "https" { Some(tls(args, &address)?) } else { None };
        let token = args.token_file.as_deref().map(token).transpose()?;
        Ok(Self { authority: authority.to_owned(), address, token, tls, url })
    }

    /// Asks, and reads the JSON of a 200.
    ///
    /// # Errors
    /// The gateway cannot be asked, or refuses: why, as a sentence.
    pub fn ask(&self, method: &str, path: &str) -> Result<Value, String> {
        self.send(method, path, "")
    }

    /// As [`AdminApi::ask`], with a body.
    ///
    /// # Errors
    /// The same.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let answer = self.begin(method, path, body, PATIENCE)?;
        let mut bytes = Vec::new();
        match answer.take(ANSWER_MAX).read_to_end(&mut bytes) {
            // Closed without TLS's own goodbye: a cut answer is no JSON.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
            Err(error) => return Err(self.cannot_be_asked(&error)),
            Ok(_) => {}
        }
        self.read(&bytes)
    }

    /// Sends a request and gives the connection, on which the answer comes. `patience`: between two pieces of it.
    ///
    /// # Errors
    /// The gateway cannot be asked.
    pub fn begin(&self, method: &str, path: &str, body: &str, patience: Duration) -> Result<Box<dyn Read>, String> {
        let fail = |error: std::io::Error| self.cannot_be_asked(&error);
        let addresses: Vec<_> = self.address.to_socket_addrs().map_err(fail)?.collect();
        // A name may stand for addresses of both families, and the API listens on one.
        let mut standing = Err(std::io::Error::other("it has no address"));
        for address in addresses {
            standing = TcpStream::connect_timeout(&address, PATIENCE);
            if standing.is_ok() {
                break;
            }
        }
        let mut tcp = standing.map_err(fail)?;
        tcp.set_read_timeout(Some(patience)).map_err(fail)?;
        tcp.set_write_timeout(Some(PATIENCE)).map_err(fail)?;
        let authorization = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.authority,
            authorization.unwrap_or_default(),
            body.len()
        );
        match &self.tls {
            None => {
                tcp.write_all(request.as_bytes()).map_err(fail)?;
                Ok(Box::new(tcp))
            }
            Some((name, config)) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(|error| format!("{}: {error}", self.url))?;
                let mut stream = StreamOwned::new(session, tcp);
                stream.write_all(request.as_bytes()).map_err(fail)?;
                Ok(Box::new(stream))
            }
        }
    }

    fn cannot_be_asked(&self, error: &std::io::Error) -> String {
        format!("{} cannot be asked: {error}; is the gateway up, and is that its admin.address?", self.url)
    }

    fn read(&self, bytes: &[u8]) -> Result<Value, String> {
        let strange = || format!("{} does not answer as an admin API does", self.url);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else { return Err(strange()) };
        let body = &bytes[length..];
        match head.code {
            Some(200) => serde_json::from_slice(body).map_err(|_| strange()),
            _ => Err(format!("refused: {}", String::from_utf8_lossy(body).trim())),
        }
    }
}

/// What to tell where a change does not hold for the whole fleet yet: who has not applied it, and why.
pub fn undelivered(done: &Value) -> Option<String> {
    let fleet = done.get("fleet").filter(|fleet| fleet["applied"] == false)?;
    let missing: Vec<_> = fleet["missing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let missing = if missing.is_empty() { "the other gateways".to_owned() } else { missing.join(", ") };
    let why = fleet["why"].as_str().unwrap_or("no word of it");
    Some(format!("done here, but not applied by {missing} ({why}); castile peers shows them"))
}

fn token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let token = text.trim();
    if token.is_empty() || token.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(format!("{}: holds no token; it is one line", file.display()));
    }
    Ok(token.to_owned())
}

fn tls(args: &AdminArgs, address: &str) -> Result<(ServerName<'static>, Arc<ClientConfig>), String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} is no name that a certificate can be checked for"))?;
    let tls = NodeTls {
        ca: args.ca.clone(),
        client_certificate: args.certificate.clone(),
        client_key: args.key.clone(),
        ..NodeTls::default()
    };
    client_tls(&tls).map(|config| (name, config)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_api_is_named_by_scheme_host_and_port() {
        let check = |url: &str| {
            let args = AdminArgs { admin: url.to_owned(), token_file: None, ca: None, certificate: None, key: None };
            AdminApi::new(&args).map(|api| (api.authority, api.address))
        };
        let both = |one: &str, two: &str| Ok((one.to_owned(), two.to_owned()));
        assert_eq!(check("http://localhost:9280/"), both("localhost:9280", "localhost:9280"));
        assert_eq!(check("http://[::1]"), both("[::1]", "[::1]:80"));
        for wrong in ["localhost:9280", "http://localhost/v1", "ftp://localhost", "http://", ""] {
            assert!(check(wrong).is_err_and(|error| error.contains("http://HOST:PORT")), "{wrong}");
        }
    }
}
