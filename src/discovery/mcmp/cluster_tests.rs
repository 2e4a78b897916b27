use std::path::{Path, PathBuf};

use super::*;

/// Says one line, `METHOD target body`, at this time; requests under way and whether it is down are told by `known`.
fn say(cluster: &mut Cluster, line: &str, now: u64, known: Known) -> String {
    let words: Vec<_> = line.splitn(3, ' ').collect();
    let command = Command::read(words[0], words[1], words.get(2).unwrap_or(&"").as_bytes());
    let answer = match command.expect("a command") {
        Ok(command) => cluster.take(&command, Now(now), |_| known),
        Err(refused) => Answer::Refused(refused),
    };
    match answer {
        Answer::Good => String::new(),
        Answer::Text(text) => text,
        Answer::Refused(refused) => format!("{} {}", refused.kind(), refused.message()),
    }
}

/// `node*weight` with `(drain)` and `-` for one that rests, then its contexts: `host|host/path`, with `!` where nothing new begins.
fn shown(cluster: &Cluster) -> String {
    let context = |context: &Context| {
        format!("{}{}{}", context.hosts.join("|"), context.path, if context.takes_new { "" } else { "!" })
    };
    let node = |node: &FoundNode| {
        let drain = if node.state == AdminState::Drain { "(drain)" } else { "" };
        let rests = if node.rests { "-" } else { "" };
        let contexts: Vec<_> = node.contexts.iter().flat_map(|contexts| contexts.iter()).map(context).collect();
        format!("{}*{}{drain}{rests}[{}]", node.name, node.weight, contexts.join(" "))
    };
    cluster.nodes(None).iter().map(node).collect::<Vec<_>>().join(" ")
}

/// Says these lines one after the other; what each leads to.
fn check(lines: &[(&str, &str, &str)]) {
    let mut cluster = Cluster::new(7);
    for (line, told, then) in lines {
        assert_eq!(say(&mut cluster, line, 1, Known::default()), *told, "{line}");
        assert_eq!(shown(&cluster), *then, "{line}");
    }
}

const A: &str = "CONFIG / JVMRoute=a&Host=h1&Port=1&Type=http";
const B: &str = "CONFIG / JVMRoute=b&Host=h2&Port=1&Type=http";

#[test]
fn a_node_introduces_itself_and_takes_its_leave() {
    check(&[
        (A, "", "a*1-[]"),
        ("ENABLE-APP / JVMRoute=a&Alias=X,y&Context=/ws", "", "a*1[x|y/ws]"),
        ("STATUS / JVMRoute=a&Load=77", "Type=STATUS-RSP&JVMRoute=a&State=OK&id=7", "a*77[x|y/ws]"),
        (A, "", "a*77[x|y/ws]"),
        ("DISABLE-APP / JVMRoute=a&Alias=x,y&Context=/ws", "", "a*77-[x|y/ws!]"),
        (
            "STOP-APP / JVMRoute=a&Alias=x,y&Context=/ws",
            "Type=STOP-APP-RSP&JvmRoute=a&Alias=x,y&Context=/ws&Requests=0",
            "a*77-[]",
        ),
        ("REMOVE-APP / JVMRoute=a&Alias=x,y&Context=/ws", "", "a*77-[]"),
        ("REMOVE-APP /* JVMRoute=a", "", ""),
        // Messages come twice.
        ("REMOVE-APP /* JVMRoute=a", "", ""),
        ("REMOVE-APP / JVMRoute=a&Alias=x,y&Context=/ws", "", ""),
    ]);
}

#[test]
fn who_is_not_known_is_asked_to_introduce_itself() {
    let mem = "MEM MEM: Can't read node";
    check(&[
        ("STATUS / JVMRoute=a&Load=1", mem, ""),
        ("ENABLE-APP / JVMRoute=a&Context=/ws", mem, ""),
        ("DISABLE-APP / JVMRoute=a&Context=/ws", mem, ""),
        ("DISABLE-APP /* JVMRoute=a", mem, ""),
        ("PING / JVMRoute=a", mem, ""),
        ("STOP-APP / JVMRoute=a&Context=/", "Type=STOP-APP-RSP&JvmRoute=a&Alias=&Context=/&Requests=0", ""),
    ]);
}

#[test]
fn a_node_is_drained_and_enabled_as_a_whole_or_by_application() {
    check(&[
        (A, "", "a*1-[]"),
        // WildFly stops each application before it is deployed.
        ("STOP-APP / JVMRoute=a&Context=/ws", "Type=STOP-APP-RSP&JvmRoute=a&Alias=&Context=/ws&Requests=0", "a*1-[]"),
        ("ENABLE-APP / JVMRoute=a&Context=/ws", "", "a*1[/ws]"),
        ("ENABLE-APP / JVMRoute=a&Context=/", "", "a*1[ /ws]"),
        ("DISABLE-APP / JVMRoute=a&Context=/ws", "", "a*1[ /ws!]"),
        ("DISABLE-APP /* JVMRoute=a", "", "a*1(drain)-[! /ws!]"),
        ("ENABLE-APP /* JVMRoute=a", "", "a*1[ /ws]"),
        ("STOP-APP /* JVMRoute=a", "Type=STOP-APP-RSP&JvmRoute=a&Alias=&Context=/*&Requests=0", "a*1(drain)-[]"),
        ("ENABLE-APP / JVMRoute=a&Context=/ws", "", "a*1[/ws]"),
    ]);
}

#[test]
fn loads_are_shares_and_who_has_none_stands_by() {
    let on = |name: &str| format!("ENABLE-APP / JVMRoute={name}&Context=/");
    check(&[
        (A, "", "a*1-[]"),
        (&on("a"), "", "a*1[]"),
        ("STATUS / JVMRoute=a&Load=0", "Type=STATUS-RSP&JVMRoute=a&State=OK&id=7", "a*1[]"),
        (B, "", "a*1[] b*1-[]"),
        (&on("b"), "", "a*1-[] b*1[]"),
        ("STATUS / JVMRoute=b&Load=100", "Type=STATUS-RSP&JVMRoute=b&State=OK&id=7", "a*1-[] b*100[]"),
        ("STATUS / JVMRoute=b&Load=-1", "Type=STATUS-RSP&JVMRoute=b&State=OK&id=7", "a*1[] b*1-[]"),
        ("STATUS / JVMRoute=b&Load=200", "Type=STATUS-RSP&JVMRoute=b&State=OK&id=7", "a*1-[] b*100[]"),
        ("STATUS / JVMRoute=b", "Type=STATUS-RSP&JVMRoute=b&State=OK&id=7", "a*1-[] b*100[]"),
    ]);
}

#[test]
fn another_node_has_nothing_of_the_one_before() {
    check(&[
        (A, "", "a*1-[]"),
        ("ENABLE-APP / JVMRoute=a&Context=/", "", "a*1[]"),
        // It has moved: it must say anew what it serves.
        ("CONFIG / JVMRoute=a&Host=h9&Port=1&Type=http", "", "a*1-[]"),
        // A Tomcat without a jvmRoute has another one at each start.
        ("CONFIG / JVMRoute=c&Host=h9&Port=1&Type=http", "", "c*1-[]"),
    ]);
}

#[test]
fn a_node_that_stops_an_application_waits_for_its_requests() {
    let mut cluster = Cluster::new(7);
    say(&mut cluster, A, 1, Known::default());
    let busy = Known { requests: 3, is_down: true };
    let stop = say(&mut cluster, "STOP-APP / JVMRoute=a&Context=/ws", 1, busy);
    assert!(stop.ends_with("&Requests=3"), "{stop}");
    assert!(say(&mut cluster, "STATUS / JVMRoute=a&Load=1", 1, busy).contains("State=NOTOK"));
    assert!(say(&mut cluster, "PING / JVMRoute=a", 1, busy).contains("State=NOTOK"));
    assert_eq!(say(&mut cluster, "PING / ", 1, busy), "Type=PING-RSP&State=OK&id=7");
    assert_eq!(say(&mut cluster, "PING / Scheme=http&Host=h&Port=1", 1, busy), "Type=PING-RSP&State=NOTOK&id=7");
}

#[test]
fn who_says_nothing_for_a_minute_has_gone() {
    let mut cluster = Cluster::new(7);
    say(&mut cluster, A, 1_000, Known::default());
    say(&mut cluster, B, 1_000, Known::default());
    say(&mut cluster, "STATUS / JVMRoute=b&Load=1", 30_000, Known::default());
    assert_eq!(cluster.expire(Now(60_999)), Vec::<String>::new());
    assert_eq!(cluster.expire(Now(61_000)), ["a"]);
    assert_eq!(cluster.expire(Now(90_000)), ["b"]);
}

#[test]
fn who_was_known_to_the_process_before_is_known_still() {
    let mut before = Cluster::new(7);
    for line in [A, "ENABLE-APP / JVMRoute=a&Alias=x&Context=/ws", "STATUS / JVMRoute=a&Load=50"] {
        say(&mut before, line, 1, Known::default());
    }
    let mut after = Cluster::new(8);
    after.remember(&before.nodes(None), None, Now(5));
    assert_eq!(shown(&after), shown(&before));
    assert_eq!(
        say(&mut after, "STATUS / JVMRoute=a&Load=50", 6, Known::default()),
        "Type=STATUS-RSP&JVMRoute=a&State=OK&id=8"
    );
}

#[test]
fn people_are_told_as_mod_cluster_does() {
    let mut cluster = Cluster::new(7);
    for line in [A, "ENABLE-APP / JVMRoute=a&Alias=x,y&Context=/ws", "DISABLE-APP / JVMRoute=a&Alias=x,y&Context=/"] {
        say(&mut cluster, line, 1, Known::default());
    }
    assert_eq!(
        say(&mut cluster, "INFO /", 1, Known::default()),
        "Node: [1],Name: a,Balancer: mycluster,LBGroup: ,Host: h1,Port: 1,Type: http,Flushpackets: Off,Flushwait: 10,Ping: 10,\
         Smax: 1,Ttl: 60,Elected: 0,Read: 0,Transfered: 0,Connected: 0,Load: 1\n\
         Vhost: [1:1:1], Alias: x\nVhost: [1:1:2], Alias: y\n\
         Context: [1:1:1], Context: /, Status: DISABLED\nContext: [1:1:2], Context: /ws, Status: ENABLED\n"
    );
    let dump = say(&mut cluster, "DUMP /", 1, Known::default());
    assert!(dump.contains("context: 2 [/ws] vhost: 1 node: 1 status: 1\n"), "{dump}");
    assert!(say(&mut cluster, "VERSION /", 1, Known::default()).contains("protocol: 0.2.1"));
}

/// What a real node said to another gateway, and what that answered (tests/mcmp): the same, but for pairs that are
/// written properly here.
#[test]
fn a_recorded_node_is_answered() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mcmp");
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cluster = Cluster::new(1_795_321_741_624);
    let mut seen = Vec::new();
    for number in 1..=12 {
        let request = read(&folder.join(format!("{number:02}-request.http")));
        let recorded = read(&folder.join(format!("{number:02}-response.http")));
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        let line: Vec<_> = head.split(' ').take(2).chain([body]).collect();
        let answer = say(&mut cluster, &line.join(" "), number, Known::default());
        let (_, recorded) = recorded.split_once("\r\n\r\n").expect("a head");
        let sorted = |text: &str| {
            let mut pairs: Vec<_> = text.trim().split('&').map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        match line[0] {
            "STOP-APP" => assert!(answer.ends_with("&Requests=0") && recorded.ends_with("Requests=0"), "{answer}"),
            _ => assert_eq!(sorted(&answer), sorted(recorded), "{}", line.join(" ")),
        }
        seen.push(shown(&cluster));
    }
    assert_eq!(seen[4], "node1*77[lab.example|localhost/other lab.example|localhost/ws]");
    assert_eq!(seen[11], "");
}
