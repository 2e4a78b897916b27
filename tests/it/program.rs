//! The program itself: `castile demo` and `castile run`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;

use crate::support::process::{Process, castile, signal};
use crate::support::soap::{envelope, login_node, post, served_by};
use crate::support::{Peer, config, eventually};

#[test]
fn the_demo_shows_a_conversation_kept_and_one_lost() {
    let shown = castile(&["demo", "--once"]).output().expect("the program runs");
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{text}{}", String::from_utf8_lossy(&shown.stderr));
    assert!(text.contains("counter 3") && text.contains("Unable to find corresponding context"), "{text}");
    assert!(!text.contains('\x1b'), "colours only on a terminal");
}

#[test]
fn the_demo_stays_up_until_it_is_interrupted() {
    let mut child = castile(&["demo"]).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut shown = String::new();
    while !shown.contains("Ctrl-C ends the demo.") {
        shown.push_str(&lines.next().expect("it goes on").expect("text"));
        shown.push('\n');
    }
    let url = shown.split("curl http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let gateway: SocketAddr = url.parse().expect("an address");
    let mut client = Peer::connect(gateway);
    let wsdl = client.ask(format!("GET /axis2/services/Counter?wsdl HTTP/1.1\r\nHost: {gateway}\r\n\r\n"));
    assert!(wsdl.text().contains(&format!("location=\"http://{gateway}/axis2/services/Counter\"")), "{}", wsdl.text());
    let sample = |name: &str| {
        std::fs::read_to_string(format!("{}/wsdl-samples/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a sample")
    };
    let to =
        |message: &str| String::from_utf8(post("", message)).expect("text").replace("/app", "/axis2/services/Counter");
    let first = client.ask(to(&sample("counter-soap11-wsa2004-first.xml"))).text();
    let id = first.split("ServiceGroupId").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).expect("an id");
    for count in 2..6 {
        let next =
            Peer::connect(gateway).ask(to(&sample("counter-soap11-wsa2004-next.xml").replace("SERVICE_GROUP_ID", id)));
        assert!(next.text().contains(&format!("<c:return>{count}</c:return>")), "{}", next.text());
    }
    signal(child.id(), "INT");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_gateway_reloads_at_sighup_and_stops_at_sigterm() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("castile.yaml");
    let (old, new) = (login_node(1), login_node(2));
    let yaml = |node| {
        let log = folder.path().join("access.json");
        let tail = format!("admin: {{address: none}}\naccess_log: {{file: {}}}\n", log.display());
        config(&[node], "") + &tail
    };
    std::fs::write(&file, yaml(&old)).expect("a file can be written");
    let mut program = Process::run(&file, &[]);
    let address = program.address("public");
    let ask = || served_by(&Peer::connect(address).ask(post("", envelope("", "<x/>"))));
    assert_eq!(ask(), 1);
    std::fs::write(&file, "listeners: nonsense").expect("a file can be written");
    program.signal("HUP");
    std::fs::write(&file, yaml(&new)).expect("a file can be written");
    assert!([1, 2].contains(&ask()), "a bad file changes nothing");
    program.signal("HUP");
    eventually("the new node is used", || ask() == 2);
    program.signal("TERM");
    assert!(program.ended().success());
}
