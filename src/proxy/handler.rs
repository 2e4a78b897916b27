//! One request, from its head to the end of its answer: the steps of DESIGN in their order. This function alone calls
//! them; no step calls another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::admission;
use super::asking::{self, Question};
use super::away;
use super::client::Client;
use super::connection::Connection;
use super::deadline::Deadline;
use super::finish::{finish, withheld_ends};
use super::forward::{ClientEnd, Ended, Forward, NodeEnd, Passed, RequestHeadParts};
use super::forwarding;
use super::h1::{Framing, write_request_head};
use super::intake::{self, Budget, Message};
use super::log::Told;
use super::onward::{forwarding_policy, onward_facts};
use super::pace::Pace;
use super::pool::NodeConnection;
use super::reach::{keep, observe};
use super::reply::{self, Failure};
use super::request_id::Reference;
use super::rewrite::{self, Beginning, Exchange};
use super::sealed;
use super::tap::Tap;
use super::withheld::Reason;
use super::worker::Worker;
use crate::config::model::RequestFraming;
use crate::gateway::capture::Captured;
use crate::gateway::{Lesson, Route, RouteMatch, Snapshot, Upstream, reading};
use crate::head::{Name, Request, Response, Version};
use crate::session::{Keyer, RequestKeys, RequestView};
use crate::soap::{self, Reader, State};
use crate::upstream::NodeId;

/// Buffers that one connection uses for one exchange after another.
#[derive(Debug, Default)]
pub struct Scratch {
    onward: Request,
    stamp: forwarding::Stamp,
    node_head: Response,
    client_head: Response,
    keys: RequestKeys,
    deadline: Deadline,
}

/// Serves one request. Whatever happens, the client gets an answer, or sees its connection break.
pub async fn handle<C: Client>(
    worker: &Worker,
    connection: &Connection,
    request: &Request,
    framing: Framing,
    scratch: &mut Scratch,
    client: &mut C,
) {
    let snapshot = worker.gateway.snapshot();
    if let Some(place) = worker.gateway.captures.running().and_then(|running| running.enter()) {
        let mut tap = Tap::new(client);
        let passing = exchange(worker, connection, &snapshot, request, framing, scratch, &mut tap);
        // Apart, so that the connections of a gateway that captures nothing need no room for it.
        let Some(told) = Box::pin(passing).await else { return };
        let route = told.route.map(|route| snapshot.routes.get(route));
        let captured = Captured {
            request: request.clone(),
            request_body: tap.request,
            response: tap.head,
            response_body: tap.response,
            upstream: route.map(|route| Arc::clone(&route.upstream)),
            snapshot: Arc::clone(&snapshot),
            client_ip: told.client,
            decision: told.code.text(),
            key: told.key,
        };
        place.hand_over(route.map(|route| route.label.as_str()), captured);
        return;
    }
    exchange(worker, connection, &snapshot, request, framing, scratch, client).await;
}

/// Serves one request by this configuration, and gives what there is to tell of it, if it is told.
async fn exchange<C: Client>(
    worker: &Worker,
    connection: &Connection,
    snapshot: &Snapshot,
    request: &Request,
    framing: Framing,
    scratch: &mut Scratch,
    client: &mut C,
) -> Option<Told> {
    let mut told = Told::new(worker, connection, snapshot, request);
    if connection.listener.config.health_path.as_ref().is_some_and(|path| path.as_bytes() == request.path()) {
        // Load balancers ask every few seconds: neither logged nor counted.
        let body = reply::health(!worker.gateway.is_stopping(), &mut scratch.client_head);
        say(body, request, scratch, client, &mut told).await;
        return None;
    }
    let result = serve(worker, connection, snapshot, request, framing, scratch, client, &mut told).await;
    if let Err(failure) = result {
        answer(connection, snapshot, request, &failure, scratch, client, &mut told).await;
    }
    told.log(worker, connection, snapshot, request);
    Some(told)
}

/// The steps. An error is answered by the caller, where an answer is still possible.
#[allow(clippy::too_many_arguments)]
async fn serve<C: Client>(
    worker: &Worker,
    connection: &Connection,
    snapshot: &Snapshot,
    request: &Request,
    framing: Framing,
    scratch: &mut Scratch,
    client: &mut C,
    told: &mut Told,
) -> Result<(), Failure> {
    let fields = request.fields();
    let http_action = soap::operation::http_action(fields.known(Name::ContentType), fields.known(Name::SoapAction));
    let parts = RequestHeadParts {
        head: request,
        http_action: http_action.as_deref(),
        client_ip: told.client,
        connection: connection.number,
    };
    let expects_continue = request.version != Version::Http10 && fields.known(Name::Expect).is_some();

    let pace = Pace::new(connection.listener.config.limits.bytes_per_second);

    // Route. Where operations are asked for and the head gives none, the message is read for it first.
    let mut continued = false;
    let route = match snapshot.routes.find(request, parts.http_action, None, false) {
        RouteMatch::Found(route) => route,
        RouteMatch::None => return Err(Failure::NoRoute),
        RouteMatch::NeedsMessage => {
            let mut message = Message::new(Some(reading::operation_reader(request, snapshot)));
            let find = |message: &Message, done| {
                let facts = message.reader.as_deref().map(Reader::facts);
                snapshot.routes.find(request, parts.http_action, facts, done)
            };
            let budget = budget(snapshot, pace, crate::config::model::Timeouts::default().stall);
            let enough = |message: &Message| is_stopped(message) || find(message, false) != RouteMatch::NeedsMessage;
            intake::read(worker, client, &mut message, expects_continue, budget, &mut scratch.deadline, enough).await?;
            continued = message.continued;
            match find(&message, true) {
                RouteMatch::Found(route) => route,
                RouteMatch::None | RouteMatch::NeedsMessage => return Err(Failure::NoRoute),
            }
        }
    };
    told.route = Some(route);
    let route = snapshot.routes.get(route);
    let upstream = &*route.upstream;
    let rules = &upstream.rules;
    let keyer = Keyer { fingerprinter: &worker.gateway.fingerprinter, group: &upstream.config.affinity_group };

    // Intake.
    let reads = framing != Framing::Empty && !rules.request_wanted().is_empty();
    let mut message = Message::new(reads.then(|| reading::reader(rules.request_wanted(), fields, snapshot.inspect)));
    message.continued = continued;
    if reads && rules.places_by_message() {
        let budget = budget(snapshot, pace, route.timeouts.stall);
        let enough = |message: &Message| is_enough(worker, upstream, keyer, &parts.view(message), message);
        intake::read(worker, client, &mut message, expects_continue, budget, &mut scratch.deadline, enough).await?;
    } else {
        message.scan(client.body(), client.body_is_whole());
    }
    if let Some(stop) = upstream.refuses(message.reader.as_deref()) {
        return Err(Failure::Refused(stop));
    }

    // Where nodes cannot read chunks, the body is held until its length is known.
    let framing = match framing {
        Framing::Chunked if upstream.config.request_framing == RequestFraming::ContentLength => {
            let budget = budget(snapshot, pace, route.timeouts.stall);
            let deadline = &mut scratch.deadline;
            intake::read(worker, client, &mut message, expects_continue, budget, deadline, |_| false).await?;
            if !client.body_is_whole() {
                return Err(Failure::TooLarge);
            }
            Framing::Length(client.body().len() as u64)
        }
        framing => framing,
    };

    if let Some(limit) = rewrite::reads_request(route, request, framing) {
        let budget = budget(snapshot, pace, route.timeouts.stall);
        let budget = Budget { message: budget.message.min(limit), ..budget };
        let deadline = &mut scratch.deadline;
        intake::read(worker, client, &mut message, expects_continue, budget, deadline, |_| false).await?;
    }

    // A small body is waited for here, where it costs no node a thread.
    if matches!(framing, Framing::Length(length) if length <= intake::FREE_BYTES)
        && !client.body_is_whole()
        && !expects_continue
    {
        let budget = budget(snapshot, pace, route.timeouts.stall);
        intake::read(worker, client, &mut message, false, budget, &mut scratch.deadline, |_| false).await?;
    }

    // Match.
    let view = parts.view(&message);
    let mut keys = std::mem::take(&mut scratch.keys);
    upstream.keys(
        &view,
        reading::is_unreadable(message.reader.as_deref()),
        keyer,
        told.started_unix_ms / 1000,
        &mut keys,
    );
    told.http_action = http_action.clone();
    if let Some(facts) = view.facts {
        told.soap = facts.version;
    }
    told.hide_ids(rules, &view);

    if let Err(failure) = admission::begins(worker, snapshot, upstream, &keys, told) {
        scratch.keys = keys;
        return Err(failure);
    }

    // Where nodes may be asked for an id that nobody knows, the message is held, to go to one after the other.
    let mut question = None;
    if let Some(limit) = asking::may_ask(worker, upstream, &keys) {
        let budget = budget(snapshot, pace, route.timeouts.stall);
        let budget = Budget { message: budget.message.min(limit), ..budget };
        let deadline = &mut scratch.deadline;
        intake::read(worker, client, &mut message, expects_continue, budget, deadline, |_| false).await?;
        if client.body_is_whole() && client.body().len() as u64 <= limit {
            question = Some(Question::new(upstream, client.body().to_vec()));
            client.consume_body(client.body().len());
            message.scanned = 0;
        }
    }

    let matched = Matched { route, parts, keys: &keys, keyer, framing };
    let result = loop {
        let attempt = attempt(
            worker,
            connection,
            snapshot,
            request,
            &matched,
            &mut message,
            &mut question,
            scratch,
            client,
            told,
        );
        match attempt.await {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(failure) => break Err(failure),
        }
    };
    scratch.keys = keys;
    result
}

/// A request that is ready to be placed.
struct Matched<'a> {
    route: &'a Route,
    parts: RequestHeadParts<'a>,
    keys: &'a RequestKeys,
    keyer: Keyer<'a>,
    framing: Framing,
}

/// The steps from placing on. False where the node has executed nothing and another one is to be asked.
#[allow(clippy::too_many_arguments)]
async fn attempt<C: Client>(
    worker: &Worker,
    connection: &Connection,
    snapshot: &Snapshot,
    request: &Request,
    matched: &Matched<'_>,
    message: &mut Message,
    question: &mut Option<Question>,
    scratch: &mut Scratch,
    client: &mut C,
    told: &mut Told,
) -> Result<bool, Failure> {
    let Matched { route, parts, keys, keyer, framing } = *matched;
    let pace = Pace::new(connection.listener.config.limits.bytes_per_second);
    let upstream = &*route.upstream;

    // Place, and reach the node.
    let (visit, mut node) = match question {
        Some(question) => question.reach(worker, connection, route, keys, request, told).await?,
        None => away::reach(worker, connection, route, keys, request, client, &mut scratch.deadline, told).await?,
    };
    let withheld = match question {
        Some(question) => Some(Reason::Asked { keys, is_last: question.is_last(worker, upstream, keys) }),
        None => (upstream.guards_sessions() && visit.after_move()).then_some(Reason::Moved { keys }),
    };

    // Forward and learn.
    let policy = forwarding_policy(connection, route);
    let exchange = Exchange::new(&onward_facts(connection, b""), request, route, visit.node(), &policy);
    let beginning = exchange.as_ref().and_then(|exchange| {
        let is_read = rewrite::reads_request(route, request, framing).is_some();
        let (body, is_whole) = match question {
            Some(question) => (&question.body[..], true),
            None => (client.body(), client.body_is_whole()),
        };
        is_read.then(|| exchange.beginning(request.fields(), body, is_whole)).flatten()
    });
    let framing = match (framing, &beginning) {
        (Framing::Length(length), Some(Beginning { bytes, replaces })) => {
            Framing::Length(length + bytes.len() as u64 - *replaces as u64)
        }
        (framing, _) => framing,
    };
    let beginning = match question {
        Some(question) => question.beginning(beginning),
        None => beginning,
    };
    let rewrite = exchange.as_ref();
    write_head(
        connection,
        request,
        &policy,
        upstream,
        visit.node(),
        rewrite,
        framing,
        message.continued,
        told.reference(snapshot),
        scratch,
        &mut node,
    );
    let now_unix = (told.started_unix_ms / 1000) as i64;
    let cookie = sealed::set(connection, upstream, keys, visit.node(), now_unix as u64);
    let mut lesson = Lesson::new(&worker.gateway, snapshot, upstream, keyer, visit, now_unix);
    let forwarded_at = Instant::now();
    let mut forward = Forward {
        worker,
        client,
        node: &mut node,
        request: parts,
        message: &mut *message,
        head: &mut scratch.node_head,
        out: &mut scratch.client_head,
        policy: &policy,
        reference: told.reference(snapshot),
        rewrite,
        cookie,
        beginning,
        answer: None,
        withheld,
        lesson: &mut lesson,
        timeouts: &route.timeouts,
        deadline: &mut scratch.deadline,
        paces: [pace; 2],
        ahead: None,
        in_the_way: None,
        bodiless: None,
        passed: Passed::default(),
        framing: Framing::Empty,
    };
    let mut ended = forward.run().await;
    let (mut passed, [_, mut pace]) = (forward.passed, forward.paces);
    let mut node = Some(node);
    if let Ended::Ahead(rest) = ended {
        // The node has done its part; the client is slow.
        if let Some(node) = node.take() {
            keep(worker, connection, upstream, told.node, node, passed.reusable, &scratch.node_head);
        }
        ended = rest.send(client, &mut scratch.deadline, &mut pace, route.timeouts.stall, &mut passed).await;
    }
    told.bytes_in = passed.bytes_in;
    told.bytes_out = passed.bytes_out;
    told.node_us = passed.answered_at.map(|at| (at - forwarded_at).as_micros() as u64);
    if let Ended::Withheld = ended {
        observe(worker, upstream, told.node, &ended, false);
        return withheld_ends(worker, upstream, lesson, question.is_some(), told);
    }

    // Finish.
    let is_answered = matches!(ended, Ended::Answered);
    let blames_node =
        finish(upstream, parts.view(message), keys, lesson, &scratch.node_head, is_answered, worker, told);
    observe(worker, upstream, told.node, &ended, blames_node);
    if question.is_some() && is_answered {
        asking::ended(worker, upstream, keys, passed.confirmed);
        told.event = if passed.confirmed { Some("found") } else { told.event };
    }
    if let Some(node) = node
        && (is_answered || passed.node_is_done)
    {
        keep(worker, connection, upstream, told.node, node, passed.reusable, &scratch.node_head);
    }
    match ended {
        // What was withheld, and what was read ahead, has been seen to above.
        Ended::Answered | Ended::Withheld | Ended::Ahead(_) => {
            told.status = scratch.client_head.status;
            Ok(true)
        }
        Ended::Client(end) => {
            if client.has_begun() {
                told.status = scratch.client_head.status;
            }
            Err(match end {
                ClientEnd::Gone => Failure::ClientGone,
                ClientEnd::Stalled => Failure::ClientTimeout,
                ClientEnd::InTheWay => {
                    upstream.events.made_way.fetch_add(1, Ordering::Relaxed);
                    Failure::ClientTimeout
                }
                ClientEnd::Broken(error) => Failure::BadBody(error),
            })
        }
        Ended::Node(end) => {
            if client.has_begun() {
                told.status = scratch.client_head.status;
            }
            Err(match end {
                NodeEnd::Failed(why) => Failure::NodeFailed(why),
                NodeEnd::TimedOut => Failure::NodeTimeout,
            })
        }
    }
}

/// Sends an answer of our own, or breaks off one that has begun.
async fn answer<C: Client>(
    connection: &Connection,
    snapshot: &Snapshot,
    request: &Request,
    failure: &Failure,
    scratch: &mut Scratch,
    client: &mut C,
    told: &mut Told,
) {
    told.failure = Some(failure.name());
    if client.has_begun() {
        tracing::debug!(request = %told.request_id(), %failure, "answer broken off");
        client.abort();
        return;
    }
    let soap = told.soap.or_else(|| reply::soap_version(request, None));
    let body = reply::write(failure, soap, snapshot.config.faults.status, told.request_id(), &mut scratch.client_head);
    told.reference(snapshot).answer(request.fields(), scratch.client_head.fields_mut());
    let upstream = told.route.map(|route| &snapshot.routes.get(route).upstream);
    if let Some(line) = upstream.and_then(|one| sealed::remove(connection, one, told.code, request.fields())) {
        scratch.client_head.fields_mut().push(b"Set-Cookie", line.as_bytes());
    }
    say(body, request, scratch, client, told).await;
}

/// Sends an answer of our own, whose head stands ready.
async fn say<C: Client>(body: Vec<u8>, request: &Request, scratch: &mut Scratch, client: &mut C, told: &mut Told) {
    told.status = scratch.client_head.status;
    let framing = Framing::Length(body.len() as u64);
    let is_head = request.method() == b"HEAD";
    if client.body_is_whole() {
        // Nobody wants it, and the connection can go on.
        client.consume_body(client.body().len());
    } else {
        client.close();
    }
    client.begin(&mut scratch.client_head, if is_head { Framing::Empty } else { framing });
    let body = if is_head { Vec::new() } else { body };
    let deadline = &mut scratch.deadline;
    deadline.set(Duration::from_secs(10));
    let mut sent = 0;
    std::future::poll_fn(|cx| {
        while sent < body.len() || !client.is_sent() {
            match client.poll_send(cx, &body[sent..], true, None) {
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {
                    return deadline.poll(cx).map(|()| client.abort());
                }
            }
        }
        Poll::Ready(())
    })
    .await;
    told.bytes_out = body.len() as u64;
}

fn budget(snapshot: &Snapshot, pace: Pace, stall: Duration) -> Budget {
    let inspect = &snapshot.config.inspect;
    Budget { message: inspect.bytes_per_message, total: inspect.bytes_total, stall, pace }
}

fn is_stopped(message: &Message) -> bool {
    message.reader.as_deref().is_none_or(|reader| matches!(reader.state(), State::Stopped(_)))
}

/// Whether nothing that is still to come can change where the request goes.
fn is_enough(
    worker: &Worker,
    upstream: &Upstream,
    keyer: Keyer<'_>,
    view: &RequestView<'_>,
    message: &Message,
) -> bool {
    let Some(reader) = &message.reader else { return true };
    let (header, body_if_known, body) = match reader.state() {
        State::Stopped(_) => return true,
        State::Head => (true, true, true),
        State::Body { awaited, alive } => (*awaited, *alive, true),
    };
    let mut keys = RequestKeys::default();
    upstream.rules.match_request(view, false, keyer, &mut keys);
    let now = worker.gateway.now();
    let known = keys.pins.iter().filter(|pin| worker.gateway.affinity.is_known(pin.fingerprint, now));
    match known.map(|pin| pin.rule).min() {
        Some(best) => !upstream.rules.may_be_outranked(best, header, body_if_known),
        None => !upstream.rules.may_be_outranked(u16::MAX, header, body),
    }
}

/// Puts the request's head, made ready for the node, where it goes out with the first piece of the body.
#[allow(clippy::too_many_arguments)]
fn write_head(
    connection: &Connection,
    request: &Request,
    policy: &forwarding::Policy,
    upstream: &Upstream,
    node: NodeId,
    rewrite: Option<&Exchange<'_>>,
    framing: Framing,
    continued: bool,
    reference: Reference<'_>,
    scratch: &mut Scratch,
    wire: &mut NodeConnection,
) {
    let onward = &mut scratch.onward;
    onward.clone_from(request);
    let authority = upstream.target(node).map(|target| target.authority.as_str()).unwrap_or_default();
    let facts = onward_facts(connection, authority.as_bytes());
    forwarding::request(onward, policy, &facts, &mut scratch.stamp);
    reference.pass_on(onward.fields_mut());
    if continued {
        onward.fields_mut().retain(|field| field.known != Name::Expect);
    }
    let was_reframed = framing != Framing::Chunked && onward.fields().known(Name::TransferEncoding).is_some();
    let is_longer = matches!((framing, onward.fields().known(Name::ContentLength)), (Framing::Length(length), Some(told)) if told != length.to_string().as_bytes());
    if (request.version == Version::Http2 && framing != Framing::Empty) || was_reframed || is_longer {
        forwarding::set_framing(onward.fields_mut(), framing);
    }
    if !upstream.rules.response_wanted().is_empty() {
        forwarding::ask_for_readable(onward.fields_mut());
    }
    if let Some(rewrite) = rewrite {
        rewrite.ask_for_plain(onward.fields_mut());
    }
    for name in upstream.rules.strip_request_headers() {
        onward.fields_mut().retain(|field| !field.name.eq_ignore_ascii_case(name.as_bytes()));
    }
    if let Some(cookie) = &upstream.cookie {
        cookie.strip(onward.fields_mut());
    }
    if !upstream.config.keep_alive {
        onward.fields_mut().push(b"Connection", b"close");
    }
    wire.wire.begin_message(framing, |out| write_request_head(onward, out));
}
