//! A client's certificate as nodes expect it in a header field.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

use crate::config::model::CertificateFormat;

/// The field's value.
pub fn header_value(certificate: &CertificateDer<'_>, format: CertificateFormat) -> Vec<u8> {
    let base64 = STANDARD.encode(certificate.as_ref());
    let text = match format {
        CertificateFormat::Base64Der => base64,
        CertificateFormat::Rfc9440 => format!(":{base64}:"),
        CertificateFormat::PemUrlencoded => url_encoded(&pem(&base64)),
        CertificateFormat::Xfcc => {
            let hash = sha256(certificate.as_ref());
            format!("Hash={hash};Cert=\"{}\"", url_encoded(&pem(&base64)))
        }
    };
    text.into_bytes()
}

/// RFC 7468: lines of 64 characters.
fn pem(base64: &str) -> String {
    let mut pem = String::with_capacity(base64.len() + 128);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Everything but unreserved characters (RFC 3986 §2.3) as `%XX`.
fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// In hexadecimal digits, as Envoy writes it.
fn sha256(bytes: &[u8]) -> String {
    let provider = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let Some(suite) = provider.tls13() else { return String::new() };
    let digest = suite.common.hash_provider.hash(bytes);
    digest.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_carries_the_certificate() {
        let certificate = CertificateDer::from(vec![0xfb; 60]);
        let value = |format| String::from_utf8(header_value(&certificate, format)).expect("ASCII");
        assert!(value(CertificateFormat::Base64Der).starts_with("+/v7"));
        assert!(value(CertificateFormat::Rfc9440).starts_with(":+/v7"));
        let pem = value(CertificateFormat::PemUrlencoded);
        assert!(pem.starts_with("-----BEGIN%20CERTIFICATE-----%0A%2B%2Fv7"), "{pem}");
        let xfcc = value(CertificateFormat::Xfcc);
        assert_eq!(xfcc.find(";Cert=\"-----BEGIN"), Some("Hash=".len() + 64), "{xfcc}");
    }
}
