//! What `/metrics` tells, in a form that Prometheus takes.

use std::collections::{HashMap, HashSet};

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post};
use crate::support::{Castile, config, eventually};

const OPEN: &str = "admin: {address: '127.0.0.1:0'}\n";

fn metrics(castile: &Castile) -> String {
    castile.ask_admin("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text()
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|one| one == line)
}

/// What `promtool check metrics` minds, and more: names, heads before samples, families in one piece, no sample twice, counters
/// that say so, whole histograms.
fn check_format(text: &str) {
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let (mut kinds, mut samples, mut ended) = (HashMap::new(), HashSet::new(), HashSet::new());
    let mut family = String::new();
    let mut buckets: HashMap<String, (f64, f64)> = HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(ended.insert(name.to_owned()), "{name} comes in two pieces");
            assert!(!help.is_empty() && name.starts_with("castile_"), "{line}");
            name.clone_into(&mut family);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a kind");
            assert_eq!(name, family, "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample and its value");
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(samples.insert(series.to_owned()), "{series} comes twice");
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{line}");
        let kind = kinds.get(&family).expect("the head comes first");
        if kind != "histogram" {
            assert_eq!(name, family, "{line}");
            continue;
        }
        let part = name.strip_prefix(&family).expect("of its family");
        let (own, le): (Vec<&str>, Vec<&str>) =
            labels.split(',').filter(|label| !label.is_empty()).partition(|label| !label.starts_with("le="));
        let key = format!("{family}{}", own.join(","));
        match part {
            "_bucket" => {
                let le = le.first().and_then(|le| le.split('"').nth(1)).expect("a bound");
                let bound = if le == "+Inf" { f64::INFINITY } else { le.parse().expect("a number") };
                let (bound_before, count_before) = buckets.insert(key, (bound, value)).unwrap_or((-1.0, 0.0));
                assert!(bound > bound_before && value >= count_before, "{line}");
            }
            "_count" => assert_eq!(buckets.get(&key), Some(&(f64::INFINITY, value)), "{line}"),
            "_sum" => {}
            other => panic!("{other}: {line}"),
        }
    }
    assert!(kinds.len() > 20);
}

#[test]
fn requests_are_counted_by_upstream_and_node_in_the_format_of_prometheus() {
    let nodes = [0, 1].map(login_node);
    let castile = Castile::start(&(config(&[&nodes[0], &nodes[1]], AXIS2) + OPEN));
    let (id, node) = login(&castile);
    castile.ask(post("", envelope(&group_id(&id), "<x/>")));
    castile.ask(post("", envelope(&group_id("urn:nobody"), "<x/>")));
    eventually("all are counted", || has(&metrics(&castile), "castile_request_duration_seconds_count 3"));
    let text = metrics(&castile);
    check_format(&text);
    let labels = format!("upstream=\"app\",node=\"n{node}\"");
    for line in [
        format!("castile_requests_total{{{labels},code=\"pin\"}} 1"),
        format!("castile_requests_total{{{labels},code=\"bal\"}} 1"),
        format!("castile_request_events_total{{{labels},event=\"learnt\"}} 1"),
        format!("castile_request_events_total{{{labels},event=\"matched\"}} 1"),
        format!("castile_request_events_total{{{labels},event=\"lost\"}} 0"),
        format!("castile_node_conversation_events_total{{group=\"app\",node=\"n{node}\",event=\"moved_away\"}} 0"),
        "castile_requests_total{upstream=\"app\",node=\"\",code=\"none\"} 0".to_owned(),
        "castile_affinity_events_total{event=\"unknown\"} 1".to_owned(),
    ] {
        assert!(has(&text, &line), "{line} is not in\n{text}");
    }
    let count = |name: &str| {
        let of = |line: &str| line.starts_with(name).then(|| line.rsplit(' ').next()?.parse::<u64>().ok()).flatten();
        text.lines().filter_map(of).sum::<u64>()
    };
    assert_eq!(count("castile_upstream_duration_seconds_count"), 3);
    assert_eq!(count("castile_node_first_byte_seconds_count"), 3);
    assert!(!text.contains(&id));
}

#[test]
fn what_leaves_the_configuration_is_no_longer_shown_and_goes_on_when_it_returns() {
    let nodes = [0, 1].map(login_node);
    let yaml = config(&[&nodes[0], &nodes[1]], "") + OPEN;
    let mut castile = Castile::start(&yaml);
    for _ in 0..4 {
        castile.ask(post("", "<x/>"));
    }
    let of = |node: &str, count: usize| {
        format!("castile_requests_total{{upstream=\"app\",node=\"{node}\",code=\"bal\"}} {count}")
    };
    eventually("all are counted", || has(&metrics(&castile), "castile_request_duration_seconds_count 4"));
    assert!(has(&metrics(&castile), &of("n1", 2)));
    castile.reload(&(config(&[&nodes[0]], "") + OPEN));
    let text = metrics(&castile);
    check_format(&text);
    assert!(has(&text, &of("n0", 2)) && !text.contains("node=\"n1\""), "{text}");
    castile.reload(&yaml);
    assert!(has(&metrics(&castile), &of("n1", 2)));
}
