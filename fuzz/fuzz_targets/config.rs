#![no_main]
//! No configuration harms, and what is shown of a good one is good and shown the same again.

use castile::config::Config;
use castile::config::show::REDACTED;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let none = |_: &str| None;
    let Ok(loaded) = Config::parse_with(text, "f.yaml", Some(&none)) else { return };
    let shown = loaded.effective.to_yaml();
    if !shown.contains(REDACTED) {
        let again = Config::parse_with(&shown, "f.yaml", Some(&none)).expect("what is shown is good");
        assert_eq!(shown, again.effective.to_yaml());
    }
});
