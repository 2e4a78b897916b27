//! The client for Hazelcast against real members: what a shared store needs, and what it must survive. `run` beside this file tells how
//! it is used.

mod cases;
mod member;

use std::process::ExitCode;
use std::time::Instant;

use cases::Cluster;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(classes) = arguments.next() else {
        eprintln!("usage: tests/fleet/hazelcast/run [CASE...]");
        return ExitCode::FAILURE;
    };
    let chosen: Vec<String> = arguments.collect();
    let begun = Instant::now();
    let mut cluster = match Cluster::start(&classes) {
        Ok(cluster) => cluster,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    println!("two members after {:.1} s", begun.elapsed().as_secs_f32());
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if !chosen.is_empty() && !chosen.iter().any(|chosen| chosen == name) {
            continue;
        }
        match case(&mut cluster).await {
            Ok(result) => println!("{name:<20} {result}"),
            Err(problem) => {
                failed += 1;
                println!("{name:<20} FAILED: {problem}");
            }
        }
    }
    println!("{failed} failed, after {:.0} s", begun.elapsed().as_secs_f32());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
