//! `listeners:`, and `tls:` as on listeners.

use super::names::{FIELD_NAME, NAME};
use super::{FILE, FLAG, limits};
use crate::config::forms::{ADDRESS, Checked, NETWORK, Time, Word};
use crate::config::model::{CertificateFormat, ClientAuth, ForwardClientCert, Listener, ListenerTimeouts, ListenerTls};
use crate::config::read::{Section, Slot};

const CLIENT_AUTH: Word<ClientAuth> =
    Word(&[("none", ClientAuth::None), ("optional", ClientAuth::Optional), ("required", ClientAuth::Required)]);

const FORMAT: Word<CertificateFormat> = Word(&[
    ("pem_urlencoded", CertificateFormat::PemUrlencoded),
    ("base64_der", CertificateFormat::Base64Der),
    ("rfc9440", CertificateFormat::Rfc9440),
    ("xfcc", CertificateFormat::Xfcc),
]);

/// One listener.
pub fn listener(s: &mut Section) -> Option<Listener> {
    let at = s.at;
    let name = s.required("name", "Name in logs and metrics.", NAME);
    let address = s.required("address", "Address and port.", ADDRESS);
    let tls = s.optional_with("tls", "TLS; without it, clear text.", tls);
    let proxy_protocol =
        s.value("proxy_protocol", "Whether each connection begins with a PROXY header, version 1 or 2.", FLAG, false);
    let trusted_proxies =
        s.many("trusted_proxies", "Networks whose Forwarded and X-Forwarded-* are believed.", NETWORK);
    let timeouts = s.section("timeouts", "How long a client may take.", timeouts).unwrap_or_default();
    let tcp_keep_alive = limits::tcp_keep_alive(s);
    let limits = s.section("limits", "Its limits.", limits::listener).unwrap_or_default();
    let health_path = s.optional(
        "health_path",
        "A path that answers whether this gateway is ready.",
        Checked("a path such as /ready", health_path),
    );
    Some(Listener {
        at,
        name: name?,
        address: address?,
        tls,
        proxy_protocol,
        trusted_proxies,
        timeouts,
        tcp_keep_alive,
        limits,
        health_path,
    })
}

fn timeouts(s: &mut Section) -> ListenerTimeouts {
    let usual = ListenerTimeouts::default();
    ListenerTimeouts {
        header: s.value("header", "For a request's head, from its first byte.", Time, usual.header),
        idle: s.value("idle", "Between two requests of one connection; longer than clients wait.", Time, usual.idle),
    }
}

fn health_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', '#', ' ', '*']) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no path; write one such as /castile/ready"))
    }
}

/// TLS towards clients.
pub fn tls(slot: &mut Slot) -> Option<ListenerTls> {
    let tls = slot.map(read_tls).flatten();
    slot.describe_once("tls");
    tls
}

fn read_tls(s: &mut Section) -> Option<ListenerTls> {
    let at = s.at;
    let certificate = s.required("certificate", "PEM: the certificate and its chain.", FILE);
    let key = s.required("key", "PEM: its private key.", FILE);
    let client_ca = s.optional("client_ca", "PEM: the authorities that sign client certificates.", FILE);
    let client_crl = s.many(
        "client_crl",
        "PEM: revocation lists; with one, every authority of client_ca needs a list that is in force.",
        FILE,
    );
    let client_auth = s.value("client_auth", "Whether clients show a certificate.", CLIENT_AUTH, ClientAuth::None);
    let forward = s.optional_with("forward_client_cert", "How nodes hear of the client's certificate.", |slot| {
        slot.map(|s| {
            let header = s.required("header", "The header field; it is never accepted from clients.", FIELD_NAME);
            let format =
                s.value("format", "How the certificate is written into it.", FORMAT, CertificateFormat::default());
            Some(ForwardClientCert { header: header?, format })
        })
        .flatten()
    });
    if client_auth == ClientAuth::None {
        if s.place_of("client_ca").is_some() {
            s.problem("client_ca", "no client is asked for a certificate; set client_auth to optional or required too");
        }
        if s.place_of("client_crl").is_some() {
            s.problem(
                "client_crl",
                "no client is asked for a certificate; set client_auth to optional or required too",
            );
        }
        if forward.is_some() {
            s.problem(
                "forward_client_cert",
                "no client is asked for a certificate; set client_auth to optional or required",
            );
        }
    } else if s.place_of("client_ca").is_none() {
        s.problem("client_auth", "client certificates cannot be checked without authorities; set client_ca");
    }
    Some(ListenerTls {
        at,
        certificate: certificate?,
        key: key?,
        client_ca,
        client_crl,
        client_auth,
        forward_client_cert: forward,
    })
}
