use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::super::{Health, NodeSet, NodeSpec, Registry};
use super::*;
use crate::upstream::Balance;

/// Nodes of this limit, named a, b, and so on.
fn nodes(count: u8, limit: u32) -> NodeSet {
    let registry = Registry::new();
    let specs = (0..count).map(|index| {
        let mut spec = NodeSpec::new(registry.machine("g", &char::from(b'a' + index).to_string()));
        spec.limits.requests = limit;
        spec
    });
    NodeSet::new(Balance::RoundRobin, specs.collect())
}

fn now(waiting: &mut InLine) -> Poll<Option<InFlight>> {
    waiting.poll_request(&mut Context::from_waker(Waker::noop()))
}

fn has_got(waiting: &mut InLine) -> Option<InFlight> {
    match now(waiting) {
        Poll::Ready(Some(place)) => Some(place),
        Poll::Ready(None) => panic!("told to look again"),
        Poll::Pending => None,
    }
}

#[test]
fn pinned_requests_go_first_then_who_came_first() {
    let set = nodes(1, 1);
    let live = &set.nodes()[0].live;
    let busy = live.try_enter(1).expect("room");
    let wait = |rank| InLine::for_request(set.nodes(), rank, 10).expect("the line takes it");
    let (mut new, mut pinned, mut later) = (wait(Rank::New), wait(Rank::Pinned), wait(Rank::Pinned));
    assert_eq!((live.waiting(Rank::Pinned), live.waiting(Rank::New)), (2, 1));
    assert!(has_got(&mut new).is_none() && has_got(&mut pinned).is_none());
    drop(busy);
    assert!(live.try_enter(1).is_none(), "nobody overtakes");
    let first = has_got(&mut pinned).expect("it was first");
    assert!(has_got(&mut later).is_none() && has_got(&mut new).is_none());
    drop(first);
    drop(has_got(&mut later).expect("the other pinned one"));
    drop(has_got(&mut new).expect("then the new one"));
    assert_eq!((live.requests(), live.waiting(Rank::New)), (0, 0));
    assert!(live.try_enter(1).is_some(), "the line is empty");
}

#[test]
fn a_line_is_bounded_for_each_rank() {
    let set = nodes(1, 1);
    let _busy = set.nodes()[0].live.try_enter(1).expect("room");
    let wait = |rank| InLine::for_request(set.nodes(), rank, 2);
    let _two = [wait(Rank::New).expect("one"), wait(Rank::New).expect("two")];
    assert!(wait(Rank::New).is_none());
    assert!(wait(Rank::Pinned).is_some(), "new ones do not take the places of pinned ones");
    assert!(InLine::for_request(set.nodes(), Rank::Pinned, 0).is_none());
}

#[test]
fn new_work_takes_the_first_node_that_has_room() {
    let set = nodes(3, 1);
    let mut busy: Vec<_> = set.nodes().iter().map(|node| node.live.try_enter(1)).collect();
    let mut waiting = InLine::for_request(set.nodes(), Rank::New, 1).expect("the lines take it");
    busy[1] = None;
    let place = has_got(&mut waiting).expect("b has room");
    assert_eq!(place.live().id(), set.nodes()[1].id);
    busy[0] = None;
    assert_eq!(set.nodes()[0].live.requests(), 0, "one place is enough");
    drop(waiting);
    assert!(set.nodes().iter().all(|node| node.live.waiting(Rank::New) == 0));
}

#[test]
fn who_goes_away_hands_its_place_on() {
    let set = nodes(1, 1);
    let busy = set.nodes()[0].live.try_enter(1);
    let mut waiting: Vec<_> =
        (0..3).map(|_| InLine::for_request(set.nodes(), Rank::Pinned, 3).expect("a place in the line")).collect();
    drop(waiting.remove(0));
    drop(busy);
    // The first of the two has got the place, and leaves before it knows.
    drop(waiting.remove(0));
    assert!(has_got(&mut waiting[0]).is_some());
}

#[test]
fn who_waits_for_a_node_that_goes_down_looks_again() {
    let set = nodes(1, 1);
    let _busy = set.nodes()[0].live.try_enter(1);
    let mut waiting = InLine::for_request(set.nodes(), Rank::Pinned, 1).expect("a place in the line");
    set.nodes()[0].live.set_health(Health::Down);
    assert!(matches!(now(&mut waiting), Poll::Ready(None)));
    assert_eq!(set.nodes()[0].live.waiting(Rank::Pinned), 0);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, as a worker would; `None` after `limit`.
fn block(waiting: &mut InLine, limit: Duration) -> Option<InFlight> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let until = Instant::now() + limit;
    let mut poll = pin!(poll_fn(|cx| waiting.poll_request(cx)));
    loop {
        if let Poll::Ready(place) = poll.as_mut().poll(&mut cx) {
            return place;
        }
        let left = until.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}

/// A lost wake-up would leave a thread waiting for ever; a place lost or counted twice would break the limit.
#[test]
fn no_place_and_no_wake_up_is_lost_among_many_threads() {
    const LIMIT: u32 = 3;
    let set = nodes(2, LIMIT);
    let (inside, most, waited) = ([AtomicU32::new(0), AtomicU32::new(0)], AtomicU32::new(0), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..16u64 {
            let (set, inside, most, waited) = (&set, &inside, &most, &waited);
            scope.spawn(move || {
                for round in 0..3000u64 {
                    let random = (thread * 7919 + round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                    let pinned = random % 3 != 0;
                    let own = &set.nodes()[random as usize % 2..][..1];
                    let place = match own[0].live.try_enter(LIMIT) {
                        Some(place) => place,
                        None => {
                            let rank = if pinned { Rank::Pinned } else { Rank::New };
                            let mut waiting =
                                InLine::for_request(if pinned { own } else { set.nodes() }, rank, 64).expect("room");
                            if random.is_multiple_of(5) {
                                // Goes away, perhaps with a place.
                                std::hint::spin_loop();
                                continue;
                            }
                            waited.fetch_add(1, SeqCst);
                            block(&mut waiting, Duration::from_secs(20)).expect("woken up")
                        }
                    };
                    let at = set.index(place.live().id()).expect("one of the two");
                    most.fetch_max(inside[at].fetch_add(1, SeqCst) + 1, SeqCst);
                    if random.is_multiple_of(7) {
                        std::thread::yield_now();
                    }
                    inside[at].fetch_sub(1, SeqCst);
                    drop(place);
                }
            });
        }
    });
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(most.load(SeqCst), LIMIT);
    assert!(waited.load(SeqCst) > 0);
    for node in set.nodes() {
        assert_eq!((node.live.requests(), node.live.waiting(Rank::Pinned), node.live.waiting(Rank::New)), (0, 0, 0));
    }
}
