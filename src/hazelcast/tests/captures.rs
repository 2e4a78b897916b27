//! What official clients and members 5.7.0 sent each other (`tests/hazelcast`), byte for byte.

use std::path::Path;

use bytes::BytesMut;

use crate::hazelcast::wire::{Decoder, Message};

/// A message of a capture.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
    Event,
}

impl Captured {
    pub(crate) fn message(&self) -> Message {
        let mut decoder = Decoder::default();
        decoder.push(&self.bytes);
        decoder.take().expect("a capture is well-formed").expect("a capture is whole")
    }

    /// The number that the official client gave the call.
    pub(crate) fn correlation(&self) -> i64 {
        self.message().correlation()
    }

    /// With another number.
    pub(crate) fn numbered(&self, correlation: i64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[10..18].copy_from_slice(&correlation.to_le_bytes());
        bytes
    }
}

/// The messages of a file, in order.
pub(crate) fn capture(file: &str) -> Vec<Captured> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hazelcast").join(file);
    let text = std::fs::read_to_string(&path).expect("the capture is in the tree");
    let mut found: Vec<Captured> = Vec::new();
    for line in text.lines() {
        let direction = [
            ("# > request  ", Direction::Request),
            ("# < response ", Direction::Response),
            ("# < event    ", Direction::Event),
        ];
        for (start, direction) in direction {
            if line.starts_with(start) {
                found.push(Captured { direction, bytes: Vec::new() });
            }
        }
        let frame = line.split('#').next().unwrap_or_default().replace(' ', "");
        if let (Some(last), false) = (found.last_mut(), frame.is_empty()) {
            last.bytes.extend(hex(&frame));
        }
    }
    found
}

/// All messages that members sent.
pub(crate) fn all_from_members() -> Vec<Captured> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hazelcast");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the captures are in the tree")
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("a name in ASCII"))
        .filter(|name| name.ends_with(".hex"))
        .collect();
    files.sort();
    let all = files.iter().flat_map(|file| capture(file));
    all.filter(|captured| captured.direction != Direction::Request).collect()
}

fn hex(text: &str) -> impl Iterator<Item = u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    text.as_bytes().chunks(2).map(move |pair| digit(pair[0]) << 4 | digit(pair[1]))
}

mod requests {
    use std::time::Duration;

    use super::*;
    use crate::hazelcast::data::Data;
    use crate::hazelcast::options::Options;
    use crate::hazelcast::request;
    use crate::hazelcast::uuid::Uuid;
    use crate::hazelcast::write::Request;

    /// The official client locks by thread, and says which; ours is always 1.
    const THREAD: std::ops::Range<usize> = 22..30;

    /// Compares with the `nth` request of a file. `thread`: it says a thread.
    fn check(file: &str, nth: usize, request: &Request, thread: bool) {
        let mut requests = capture(file).into_iter().filter(|captured| captured.direction == Direction::Request);
        let theirs = requests.nth(nth).expect("there are as many");
        let mut ours = BytesMut::new();
        request.send(theirs.correlation(), 271, &mut ours);
        let mut expected = theirs.bytes;
        if thread {
            expected[THREAD].copy_from_slice(&1i64.to_le_bytes());
        }
        assert_eq!(ours, expected, "{file} {nth}: {}", request.name());
    }

    #[test]
    fn requests_are_those_of_the_official_client() {
        let (one, two) = (&Data::text("urn:uuid:1"), &Data::text("urn:uuid:2"));
        let (three, map) = (&Data::text("urn:uuid:3"), "sessions");
        // A second more is asked for than wanted.
        let seconds = |n: u64| Some(Duration::from_secs(n - 1));
        check("02-cluster-view-listener.hex", 0, &request::cluster_view(), false);
        check("05-put.hex", 0, &request::put(map, one, &Data::text("nodeA"), seconds(30), None), true);
        check("05-put.hex", 1, &request::put(map, one, &Data::text("nodeA2"), seconds(30), None), true);
        check("06-get.hex", 0, &request::get(map, one), true);
        check("06-get.hex", 1, &request::get(map, &Data::text("none")), true);
        check(
            "07-put-if-absent.hex",
            0,
            &request::put_if_absent(map, one, &Data::text("nodeB"), seconds(30), None),
            true,
        );
        check(
            "07-put-if-absent.hex",
            1,
            &request::put_if_absent(map, two, &Data::text("nodeB"), seconds(30), None),
            true,
        );
        let (old, new) = (Data::text("nodeA2"), Data::text("nodeC"));
        check("08-replace-if-same.hex", 0, &request::replace_if_same(map, one, &old, &new), true);
        check("09-remove-if-same.hex", 0, &request::remove_if_same(map, two, &Data::text("x")), true);
        check("10-set-ttl.hex", 0, &request::set_ttl(map, one, seconds(60)), false);
        let idle = request::put(map, three, &Data::text("nodeE"), seconds(60), seconds(5));
        check("11-put-with-max-idle.hex", 0, &idle, true);
        check("15-remove.hex", 0, &request::remove(map, one), true);
        check("17-ping.hex", 0, &request::ping(), false);
    }

    #[test]
    fn a_listener_is_asked_for_and_given_up_as_by_the_official_client() {
        // It does not ask to be told when all entries go at once.
        let mut all = capture("04-add-entry-listener.hex");
        all[0].bytes[23] = 0x7f;
        let mut ours = BytesMut::new();
        request::listen("sessions").send(4, 271, &mut ours);
        assert_eq!(ours, all[0].bytes);
        let number = crate::hazelcast::answer::registration(&all[1].message()).expect("it can be read");
        check("18-remove-entry-listener.hex", 0, &request::stop_listening("sessions", number), false);
    }

    #[test]
    fn the_authentication_is_that_of_the_official_client() {
        let mut options = Options::new("lab", Vec::new());
        options.name = "gw-1".to_owned();
        options.labels = vec!["lab".to_owned()];
        let mut ours = BytesMut::new();
        let client = Uuid(0xe4a8_a774_eeea_4308_9a46_057b_d628_a574);
        request::authentication(&options, client).send(1, 271, &mut ours);
        let theirs = &capture("01-authentication.hex")[0].bytes;
        let other_type = String::from_utf8_lossy(theirs).replace("PYH", "RST");
        assert_eq!(String::from_utf8_lossy(&ours), other_type);
    }

    #[test]
    fn user_and_password_stand_behind_the_cluster_name() {
        let mut options = Options::new("c", Vec::new());
        options.credentials =
            Some(crate::hazelcast::Credentials { user: "u".to_owned(), password: "secret".to_owned() });
        let mut ours = BytesMut::new();
        request::authentication(&options, Uuid(0)).send(1, 271, &mut ours);
        assert!(ours.windows(20).any(|part| part == b"c\x07\0\0\0\0\0u\x0c\0\0\0\0\0secret"));
        assert!(!format!("{options:?}").contains("secret"));
    }
}

mod answers {
    use super::*;
    use crate::hazelcast::answer::{self, Event};
    use crate::hazelcast::error::Refusal;
    use crate::hazelcast::map::EntryKind;

    fn of(file: &str, direction: Direction, nth: usize) -> Message {
        let all = capture(file);
        all.iter().filter(|captured| captured.direction == direction).nth(nth).expect("there are as many").message()
    }

    #[test]
    fn a_member_that_lets_us_in_says_who_it_is() {
        let message = of("01-authentication.hex", Direction::Response, 0);
        let welcome = answer::welcome(&message).expect("it can be read").expect("we are let in");
        assert_eq!(welcome.version, "5.7.0");
        assert_eq!(welcome.partitions, 271);
        assert_eq!(welcome.member.to_string(), "35b83357-be2a-4f5e-858e-c02b7bc62fa9");
    }

    #[test]
    fn another_cluster_name_is_a_refusal() {
        let message = of("20-errors.hex", Direction::Response, 0);
        assert_eq!(answer::welcome(&message), Ok(Err(Refusal::Credentials)));
    }

    #[test]
    fn members_come_with_their_attributes() {
        let events = capture("02-cluster-view-listener.hex");
        let events: Vec<Event> = events
            .iter()
            .filter(|captured| captured.direction == Direction::Event)
            .map(|captured| answer::event(&captured.message()).expect("it can be read"))
            .collect();
        let [Event::Members(members), rest @ ..] = &events[..] else { panic!("{events:?}") };
        let told: Vec<String> = members
            .list
            .iter()
            .map(|member| format!("{} {} {}", member.address, member.attributes["httpPort"], member.is_lite))
            .collect();
        assert_eq!(told, ["127.0.0.1:21220 8081 false", "127.0.0.1:21221 8082 false"]);
        assert_eq!(members.version, 2);
        assert!(rest.iter().all(|event| *event == Event::Other), "{rest:?}");
    }

    #[test]
    fn values_are_read_or_null() {
        let text = |file, nth| {
            let value = answer::value(&of(file, Direction::Response, nth)).expect("it can be read");
            value.and_then(|value| value.as_text().map(str::to_owned))
        };
        assert_eq!(text("05-put.hex", 0), None);
        assert_eq!(text("05-put.hex", 1).as_deref(), Some("nodeA"));
        assert_eq!(text("06-get.hex", 0).as_deref(), Some("nodeA2"));
        assert_eq!(text("06-get.hex", 1), None);
        assert_eq!(text("07-put-if-absent.hex", 0).as_deref(), Some("nodeA2"));
        assert_eq!(text("07-put-if-absent.hex", 1), None);
        let bytes = answer::value(&of("06-get.hex", Direction::Response, 2)).expect("it can be read");
        assert_eq!(bytes.as_ref().and_then(|value| value.as_bytes()), Some(&[0, 1, 255][..]));
        let flag = |file, nth| answer::flag(&of(file, Direction::Response, nth));
        assert_eq!((flag("08-replace-if-same.hex", 0), flag("08-replace-if-same.hex", 1)), (Ok(true), Ok(false)));
    }

    #[test]
    fn events_say_what_happened() {
        let entry = |file, nth| match answer::event(&of(file, Direction::Event, nth)) {
            Ok(Event::Entry(entry)) => {
                let text = |data: &Option<crate::hazelcast::Data>| {
                    data.as_ref().and_then(|data| data.as_text()).unwrap_or("-").to_owned()
                };
                format!("{:?} {} {} {}", entry.kind, text(&entry.key), text(&entry.value), text(&entry.old))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(entry("05-put.hex", 0), "Added urn:uuid:1 nodeA -");
        assert_eq!(entry("05-put.hex", 1), "Updated urn:uuid:1 nodeA2 nodeA");
        assert_eq!(entry("15-remove.hex", 0), "Removed urn:uuid:1 - nodeC");
        assert_eq!(entry("16-expiry.hex", 1), "Expired urn:uuid:5 - short");
        assert_eq!(EntryKind::of(64), EntryKind::Cleared);
    }

    #[test]
    fn errors_tell_the_exception_without_its_stack() {
        let message = of("20-errors.hex", Direction::Response, 1);
        assert!(answer::is_error(&message));
        let error = answer::error(&message).expect("it can be read");
        assert_eq!((error.code, error.is_passing()), (46, true));
        assert!(error.to_string().starts_with("com.hazelcast.spi.exception.RetryableHazelcastException (code 46): "));
        assert!(error.to_string().len() < 300, "{error}");
    }
}
