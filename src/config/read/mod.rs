//! Reads a tree, and describes what it would read.
//!
//! A reader is written once and used four ways: it fills the model, checks the file, makes the effective configuration,
//! and describes itself for the JSON Schema. For the last it runs without a file; so it asks for every key it knows,
//! always, whatever earlier keys said. Which keys are known, their types and their defaults cannot drift apart.

mod cx;
mod section;
mod slot;

pub use cx::{Cx, Written};
pub use section::Section;
pub use slot::Slot;

/// The known word nearest to a written one, if any is near enough to be meant.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace(['-', ' '], "_");
    // Distances cost the product of the lengths; nobody mistypes a word of more than 64 letters.
    let written = plain(&written.chars().take(64).collect::<String>());
    let likeness = |word: &&str| {
        let word = plain(word);
        let few_wrong = strsim::damerau_levenshtein(&written, &word) <= (written.len() / 3).max(1) && written.len() > 2;
        let begun = written.len() > 3 && word.starts_with(&written);
        let likeness = strsim::jaro_winkler(&written, &word);
        if few_wrong || begun { likeness.max(0.9) } else { likeness }
    };
    let likely = known.map(|word| (likeness(&word), word)).filter(|(likeness, _)| *likeness >= 0.9);
    // The first of equals, as the file lists them.
    likely.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, word)| word)
}
