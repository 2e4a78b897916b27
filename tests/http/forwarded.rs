//! What leaves for a node can be read in one way only.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::against_hyper;
use crate::unambiguous::{check, policies};
use castile::proxy::forwarding::trailers;

#[test]
fn probes_reach_nodes_without_ambiguity() {
    for (_, input) in crate::probes::probes() {
        check(&input);
    }
}

/// Fields that matter to proxies and servers, with values that tempt them.
fn tempting_field() -> impl Strategy<Value = String> {
    let names = vec![
        "Content-Length",
        "content_length",
        "Transfer-Encoding",
        "Transfer_Encoding",
        "Connection",
        "Host",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Client-Cert",
        "x_client_cert",
        "X-Request-ID",
        "Via",
        "TE",
        "Trailer",
        "Upgrade",
        "Cookie",
    ];
    let values = prop_oneof![
        "[ -~\u{e9}\t]{0,16}",
        Just("chunked".to_owned()),
        Just("5".to_owned()),
        Just("for=\"[::1]:1\";host=\"a\\\"b\";proto=https, for=x".to_owned()),
        Just("1.2.3.4, 5.6.7.8".to_owned()),
        Just("host, x-client-cert, content-length, transfer-encoding".to_owned()),
    ];
    (proptest::sample::select(names), values).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn requests_reach_nodes_without_ambiguity(input in against_hyper::request()) {
        check(&input);
    }

    #[test]
    fn tempting_fields_reach_nodes_without_ambiguity(fields in vec(tempting_field(), 0..6), target in "(/|http://h)[a-z/?]{0,6}") {
        check(format!("POST {target} HTTP/1.1\r\nHost: h\r\n{}\r\n", fields.concat()).as_bytes());
    }
}

#[test]
fn trailers_forge_nothing() {
    let mut fields = castile::head::Fields::default();
    for name in ["X-Client-Cert", "x_forwarded_for", "Forwarded", "X-Real-IP", "X-Sum"] {
        fields.push(name.as_bytes(), b"1");
    }
    trailers(&mut fields, &policies()[2]);
    assert_eq!(crate::reading::lines(&fields), [(b"X-Sum".to_vec(), b"1".to_vec())]);
}
