//! The command line. Each command is a plain function of its arguments and of where it may write.

use std::io::{IsTerminal, stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod capture;
pub mod check;
pub mod conversations;
pub mod demo;
pub mod explain;
pub mod nodes;
pub mod peers;
pub mod presets;
pub mod reload;
pub mod run;
pub mod schema;
mod succession;
pub mod test;

mod admin_api;
mod changes;
mod expectations;
mod explanation;
mod message;
mod rehearsal;
mod waiting;
mod watch;
mod wsdl;

/// Castile keeps every stateful SOAP conversation on the backend node that holds its state.
///
/// Exit codes: 0 = done, 1 = the file or the run has problems, which are told, 2 = wrong usage.
#[derive(Debug, Parser)]
#[command(name = "castile", version, about, max_term_width = 120)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[allow(clippy::large_enum_variant, reason = "there is one, for a moment")]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway
    ///
    /// SIGHUP reads the configuration anew, SIGUSR1 opens the logs anew, SIGTERM and SIGINT stop after the requests
    /// under way. Exit codes: 0 = stopped, 1 = could not start.
    Run(run::Args),
    /// Check a configuration file: every problem at once, each with its place and the way out
    ///
    /// Exit codes: 0 = good, perhaps with warnings; 1 = problems, or with --wsdl, clients would leave the gateway; 2 = wrong
    /// usage.
    Check(check::Args),
    /// Show it: three stateful nodes, the gateway in front of them, and conversations through both
    ///
    /// Runs with the config.yaml of the current directory where that is the reference one, else with a copy of it, on
    /// 127.0.0.1:8280 where that port is free, and stays up until Ctrl-C. Exit codes: 0 = shown; 1 = it could not run.
    Demo(demo::Args),
    /// Explain one request: what every rule finds in it, where it goes and why
    ///
    /// With its response, also what that teaches. The steps are those of the
    /// gateway, with an empty table: where a pin would have decided, it is said.
    /// The node is told where the request itself names it, by a route tag or a
    /// hash key; else the balancer chooses.
    ///
    /// JSON (--json):
    ///
    ///   {upstream, operation, soap, keys: [KEY, ...],
    ///    decision: {code, node, reason}, request, route, reading, notes,
    ///    learned: [KEY, ...], lost, ends, status, ttl_seconds}
    ///   KEY = {key, as, selector, value | fingerprint, offset}
    ///
    ///   upstream   its name; null where no route matches
    ///   soap       "1.1", "1.2" or null
    ///   keys       in the order of the rules; in one rule, of its selectors
    ///   as         "pin", "route", "weak" or "hash"
    ///   selector   as written in the rule
    ///   value      after all transforms, with --show-values; else there is a
    ///              fingerprint of 32 hex digits
    ///   offset     of the value's first byte in the body, out of its transfer
    ///              coding; null for values of the head. Of a gzip or deflate
    ///              body the decoded bytes count, and decoded: true is added
    ///   code       the decision code, as in the access log; null where there
    ///              is no decision: no route, or the message is refused
    ///   node       its name; null where the balancer chooses
    ///   reading    how far the message was read for its keys
    ///   learned, lost, ends, status, ttl_seconds
    ///              with --response. lost and ends: whether such a condition
    ///              holds; lost counts where the request carried a known key
    ///
    /// Exit codes: 0 = explained; 1 = the configuration or a message cannot be
    /// read; 2 = wrong usage.
    #[command(verbatim_doc_comment)]
    Explain(explain::Args),
    /// Run sample conversations through the rules and the table, without a network
    ///
    /// A conversation is a folder with NN-request.http and NN-response.http (01
    /// to 79, raw as recorded: chunked, gzip and multipart included), and an
    /// expect.yaml there, or in the folder above with an entry for each folder:
    ///
    ///   NAME:
    ///     preset: NAME                 # or presets: [NAME, ...],
    ///                                  # or sticky: {own rules}
    ///     exchanges:
    ///     - {n: 1, pinned: false}      # no known pin decided
    ///     - {n: 2, pinned: true, ends: true}
    ///     wrong_node: true             # file 90 is recognised
    ///
    /// File 90-...-response.http is what a node answers that does not know the
    /// session; it is judged as the answer to the last pinned request.
    ///
    /// Of an exchange may be said: pinned (a known pin decides), weak (no pin is
    /// known and a weak key decides), ends, lost (such a condition holds). What
    /// is not said is not judged. All come from one client over one connection,
    /// and an answer counts as given at its Date, where it has one. Other files
    /// of 80 and above are passed over.
    ///
    /// Exit codes: 0 = all as expected; 1 = some are not; 2 = wrong usage, or
    /// nothing to test.
    #[command(verbatim_doc_comment)]
    Test(test::Args),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Show the nodes of a running gateway, or set one to drain, maint or ready
    ///
    /// drain: existing conversations only; maint: nothing; ready: everything. The
    /// state holds until it is set again, also across reloads; a reload sets it
    /// only where the file says another state than it did before.
    ///
    ///   castile nodes drain shop/t1 --until conversations=0 --deadline 4h --then maint
    ///
    /// drains a node, tells how far it is, and takes it out once nobody is there.
    /// Where that is not so in time, or after Ctrl-C, it stays drained.
    ///
    /// Exit codes: 0 = done; 1 = refused, or the gateway cannot be asked; 2 = wrong
    /// usage; 3 = the deadline is over first; 130 = Ctrl-C.
    #[command(verbatim_doc_comment)]
    Nodes(nodes::Args),
    /// Show the gateways that share a store with a running one: version, lag, last contact
    ///
    /// Exit codes: 0 = shown; 1 = the gateway refuses or cannot be asked.
    Peers(peers::Args),
    /// Show the conversations of a running gateway, move them to another node, or unbind them
    ///
    /// ls and show tell of each its node, state, times and the fingerprints of
    /// its keys, never an id. move gives conversations with all their keys to
    /// another node of their affinity group, at once: what is in flight ends
    /// where it is, the next request goes there. unbind forgets them: their ids
    /// count as unknown from then on. Which ones is told by a fingerprint, by
    /// --id, or by filters, which must all hold.
    ///
    /// Exit codes: 0 = done; 1 = refused, not found, or the gateway cannot be
    /// asked; 2 = wrong usage.
    #[command(verbatim_doc_comment)]
    Conversations(conversations::Args),
    /// Have a running gateway take its changed files over, as SIGHUP does, and tell what came of it
    ///
    /// castile check FILE --against URL tells before what it would do to the
    /// conversations that live now. Where more would be lost than
    /// reload.max_conversations_lost of the running gateway allows, it is refused
    /// unless forced. Needs the role admin.
    ///
    /// Exit codes: 0 = taken over; 1 = refused, or the gateway cannot be asked;
    /// 2 = wrong usage.
    #[command(verbatim_doc_comment)]
    Reload(reload::Args),
    /// Capture exchanges of a running gateway as files that explain and test read
    ///
    /// NN-request.http and NN-response.http, as the client sent and got them, and
    /// an expect.yaml for castile test --config FILE DIR. Texts and ids are
    /// replaced by others of the same form, the same one for the same text, so
    /// that a conversation stays recognisable; cookies, Authorization, passwords
    /// and WS-Security tokens always. Needs the role admin.
    ///
    /// Exit codes: 0 = done; 1 = refused, or the gateway cannot be asked; 2 = wrong
    /// usage.
    #[command(verbatim_doc_comment)]
    Capture(capture::Args),
    /// List the presets, or print the rules of one
    Presets(presets::Args),
}

/// Runs the command of this process.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    // These two write to stdout from several threads, so nobody may hold it.
    match &command {
        Command::Run(args) => return run::run(args),
        Command::Demo(args) => return demo::run(args, &mut stdout(), &mut stderr()),
        Command::Check(_)
        | Command::Explain(_)
        | Command::Test(_)
        | Command::Schema
        | Command::Nodes(_)
        | Command::Peers(_)
        | Command::Conversations(_)
        | Command::Reload(_)
        | Command::Capture(_)
        | Command::Presets(_) => {}
    }
    let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (mut out, mut err) = (stdout().lock(), stderr().lock());
    match command {
        Command::Run(_) | Command::Demo(_) => ExitCode::SUCCESS,
        Command::Check(args) => check::run(&args, &mut out, &mut err),
        Command::Schema => schema::run(&mut out),
        Command::Explain(args) => explain::run(&args, colours, &mut out, &mut err),
        Command::Test(args) => test::run(&args, &mut out, &mut err),
        Command::Nodes(args) => nodes::run(&args, &mut out, &mut err),
        Command::Peers(args) => peers::run(&args, &mut out, &mut err),
        Command::Conversations(args) => conversations::run(&args, &mut out, &mut err),
        Command::Reload(args) => reload::run(&args, &mut out, &mut err),
        Command::Capture(args) => capture::run(&args, &mut out, &mut err),
        Command::Presets(args) => presets::run(&args, &mut out, &mut err),
    }
}
