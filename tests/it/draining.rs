//! Nodes taken out and brought back: by the command line, and by the file.

use std::process::{Command, Stdio};

use crate::support::soap::{AXIS2, envelope, group_id, login, login_node, post, reply_to, served_by};
use crate::support::tls::Authority;
use crate::support::{Castile, Node, config, eventually, ok};

const ADMIN: &str = "admin: {address: '127.0.0.1:0'}\n";

/// `castile nodes` with these arguments: its exit code, and what it writes.
fn nodes(castile: &Castile, arguments: &[&str]) -> (Option<i32>, String) {
    let told = command(castile, "http", arguments).output().expect("the program runs");
    (told.status.code(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
}

fn command(castile: &Castile, scheme: &str, arguments: &[&str]) -> Command {
    let admin = format!("{scheme}://{}", castile.admin.expect("the admin API listens"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_castile"));
    command.arg("nodes").args(arguments).args(["--admin", &admin]);
    command
}

/// Two nodes that hold sessions for so long.
fn two(idle: &str) -> (Castile, [Node; 2], String) {
    let nodes = [0, 1].map(login_node);
    let settings = AXIS2.replace("]}", &format!("], ttl: {{idle: {idle}}}}}"));
    let yaml = config(&[&nodes[0], &nodes[1]], &settings) + ADMIN;
    (Castile::start(&yaml), nodes, yaml)
}

#[test]
fn a_node_is_drained_until_it_is_free_and_then_taken_out() {
    let (castile, _nodes, _) = two("2s");
    let (_, node) = login(&castile);
    let name = format!("app/n{node}");
    let arguments = ["drain", &name, "--until", "conversations=0", "--deadline", "1m", "--then", "maint"];
    let (code, shown) = nodes(&castile, &arguments);
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("1 conversations, 0 requests under way; if none is used again, half are over in"),
        "{shown}"
    );
    assert!(shown.contains("maint (file: ready)"), "{shown}");
}

#[test]
fn where_the_deadline_is_over_first_the_node_stays_drained() {
    let (castile, _nodes, _) = two("1h");
    let (id, node) = login(&castile);
    let name = format!("n{node}");
    let (code, shown) = nodes(&castile, &["drain", &name, "--until", "conversations=0", "--deadline", "1ms"]);
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("still has 1") && shown.contains("it stays in state drain"), "{shown}");
    assert!(nodes(&castile, &["ls"]).1.contains("drain (file: ready)"));
    assert_eq!(served_by(&castile.ask(post("", envelope(&group_id(&id), "<x/>")))), node);
    for wrong in [&["ls", "--then", "maint"][..], &["ready", &name, "--until", "conversations=0"]] {
        assert_eq!(nodes(&castile, wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn ctrl_c_tells_what_stays() {
    let (castile, _nodes, _) = two("1h");
    let (_, node) = login(&castile);
    let name = format!("n{node}");
    let mut child = command(&castile, "http", &["drain", &name, "--until", "conversations=0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut told = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).expect("text");
    assert!(line.contains("1 conversations"), "{line}");
    let killed = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().expect("there is kill");
    assert!(killed.success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut told, &mut rest).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(rest.contains("interrupted") && rest.contains("stays in state drain"), "{rest}");
}

#[test]
fn the_command_line_speaks_tls_and_shows_a_certificate() {
    let authority = Authority::new("operators");
    let (server, operator) = (authority.sign("127.0.0.1"), authority.sign("operator"));
    let node = login_node(0);
    let castile = Castile::start(&format!(
        "{}admin: {{address: '127.0.0.1:0', tls: {{certificate: '{}', key: '{}', client_ca: '{}', client_auth: required}}}}\n",
        config(&[&node], AXIS2),
        server.certificate.display(),
        server.key.display(),
        authority.file().display()
    ));
    let ca = authority.file();
    let own = [operator.certificate.to_string_lossy(), operator.key.to_string_lossy()];
    let run = |arguments: &[&str]| command(&castile, "https", arguments).output().expect("the program runs");
    let known = run(&["drain", "n0", "--ca", &ca.to_string_lossy(), "--certificate", &own[0], "--key", &own[1]]);
    let text = String::from_utf8_lossy(&[known.stdout, known.stderr].concat()).into_owned();
    assert!(known.status.success() && text.contains("drain"), "{text}");
    let stranger = run(&["ready", "n0", "--ca", &ca.to_string_lossy()]);
    assert_eq!(stranger.status.code(), Some(1), "{}", String::from_utf8_lossy(&stranger.stderr));
    let distrustful = run(&["ready", "n0", "--certificate", &own[0], "--key", &own[1]]);
    assert!(String::from_utf8_lossy(&distrustful.stderr).contains("certificate"), "the authority is nobody's");
    assert!(castile.gateway.registry.machines().iter().all(|live| live.admin() == castile::upstream::Admin::Drain));
}

#[test]
fn what_was_said_last_of_a_nodes_state_holds() {
    let (mut castile, _nodes, yaml) = two("1h");
    let state = |castile: &Castile| nodes(castile, &["ls", "n1"]).1;
    nodes(&castile, &["drain", "n1"]);
    castile.reload(&yaml);
    assert!(state(&castile).contains("drain (file: ready)"), "the file says nothing new");
    let maint = yaml.replacen("name: n1,", "name: n1, state: maint,", 1);
    castile.reload(&maint);
    assert!(state(&castile).contains("maint  "), "the file says something else than before: {}", state(&castile));
    nodes(&castile, &["ready", "n1"]);
    castile.reload(&maint);
    assert!(state(&castile).contains("ready (file: maint)"), "{}", state(&castile));
    castile.reload(&yaml);
    assert!(state(&castile).contains("ready  "), "{}", state(&castile));
}

#[test]
fn a_node_that_left_the_file_is_drained_while_it_answers() {
    // It closes after each answer, so that the gateway must connect anew.
    let leaver = Node::start(|connection| {
        if let Some(request) = connection.request() {
            let header = if request.field("x-login").is_some() { reply_to("urn:uuid:left") } else { String::new() };
            connection
                .send(ok("Connection: close\r\nContent-Type: text/xml\r\nX-Node: 0\r\n", envelope(&header, "<ok/>")));
        }
    });
    let stays = login_node(1);
    let settings = format!("{AXIS2}\ntimeouts: {{connect: 300ms}}");
    let mut castile = Castile::start(&(config(&[&leaver], &settings) + ADMIN));
    let (id, _) = login(&castile);
    let mine = post("", envelope(&group_id(&id), "<x/>"));
    let without = config(&[&stays], &settings).replace("name: n0", "name: n1") + ADMIN;
    castile.reload(&without);
    for _ in 0..4 {
        assert_eq!(served_by(&castile.ask(&mine)), 0, "its conversations go on there");
        assert_eq!(served_by(&castile.ask(post("", envelope("", "<x/>")))), 1, "nothing new begins there");
    }
    assert!(nodes(&castile, &["ls", "n0"]).1.contains("drain (has left)"));
    castile.reload(&without);
    assert_eq!(served_by(&castile.ask(&mine)), 0, "another reload changes nothing");
    let address = leaver.address;
    drop(leaver);
    eventually("the node has gone", || std::net::TcpStream::connect(address).is_err());
    assert!(castile.ask(&mine).text().contains("SessionLost"), "then on_node_down holds");
    castile.reload(&without);
    assert_eq!(nodes(&castile, &["ls", "n0"]).0, Some(1), "nobody is there any more");
}

#[test]
fn a_node_that_was_added_gets_new_conversations_gently() {
    let all = [0, 1, 2].map(login_node);
    let settings = "health: {slow_start: 1h}";
    let mut castile = Castile::start(&config(&[&all[0], &all[1]], settings));
    for _ in 0..10 {
        castile.ask(post("", envelope("", "<x/>")));
    }
    assert_eq!(all[0].count(), 5, "from the beginning all are equal");
    castile.reload(&config(&[&all[0], &all[1], &all[2]], settings));
    for _ in 0..44 {
        castile.ask(post("", envelope("", "<x/>")));
    }
    let share = all[2].count();
    assert!((1..=3).contains(&share), "a tenth of a share at first, not {share} of 44");
}
