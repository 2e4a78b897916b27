//! Whether any file that a configuration was read from is another one by now.
//!
//! Seen by looking: identity, size and time of each file, through symbolic links. That notices what editors do (a new file renamed over
//! the old one), what Kubernetes does (one link of the folder swapped), and files that appear or go, on every file system, with no
//! limit on watches; it costs one look-up a file.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::include::expand;
use super::{Loaded, Problem};

/// Where a configuration was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<PathBuf>,
    /// What is included by a name with `*`.
    patterns: Vec<PathBuf>,
}

/// How the files looked at one moment. Equal stamps, equal files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// Device and number, where the system has them.
    identity: (u64, u64),
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Sources {
    /// Nothing but the first file: nothing has been read yet.
    pub fn of_file(file: &Path) -> Self {
        Self { files: vec![file.to_owned()], patterns: Vec::new() }
    }

    /// All that a configuration was read from, certificates and secrets included.
    pub fn of(loaded: &Loaded) -> Self {
        let mut files = [loaded.files.as_slice(), &loaded.named_files].concat();
        files.sort();
        files.dedup();
        Self { files, patterns: loaded.patterns.clone() }
    }

    /// The same and the files that have problems: correcting them has to be noticed, too.
    pub fn with_problems(&self, problems: &[Problem]) -> Self {
        let mut all = self.clone();
        all.files.extend(problems.iter().map(|problem| PathBuf::from(&problem.place.file)));
        all.files.sort();
        all.files.dedup();
        all
    }

    /// How the files look now. What is absent has no stamp. Waits for the file system.
    pub fn stamps(&self) -> Stamps {
        let included = self.patterns.iter().flat_map(|pattern| expand(pattern).unwrap_or_default());
        let stamped = |file: PathBuf| {
            let stamp = stamp(&file);
            (file, stamp)
        };
        Stamps(self.files.iter().cloned().chain(included).map(stamped).collect())
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(file).ok()?;
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt;
        (meta.dev(), meta.ino())
    };
    #[cfg(not(unix))]
    let identity = (0, 0);
    Some(Stamp { identity, bytes: meta.len(), changed: meta.modified().ok() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    const YAML: &str = "listeners: [{name: a, address: '127.0.0.1:0'}]\nroutes: [{upstream: u}]\n\
                        admin: {tokens: [{name: t, token: {file: token}, role: read}]}\ninclude: conf.d/*.yaml\n";

    #[test]
    fn every_file_that_was_read_counts_and_so_does_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).expect("a file can be written");
        fs::create_dir(path("conf.d")).expect("a folder can be made");
        write("c.yaml", YAML);
        write("token", "one");
        write("conf.d/u.yaml", "upstreams: {u: {nodes: [{name: n, url: 'http://h'}]}}\n");
        let loaded = Config::load(path("c.yaml")).unwrap_or_else(|problems| panic!("{problems:?}"));
        let sources = Sources::of(&loaded);
        let mut before = sources.stamps();
        assert_eq!(before, sources.stamps());
        let mut expect_change = |what: &str| {
            let now = sources.stamps();
            assert_ne!(std::mem::replace(&mut before, now), before, "{what}");
        };
        write("token", "another");
        expect_change("a secret");
        write("conf.d/u.yaml", "upstreams: {u: {nodes: [{name: n, url: 'http://other'}]}}\n");
        expect_change("an included file");
        write("conf.d/v.yaml", "");
        expect_change("a new file");
        fs::remove_file(path("conf.d/v.yaml")).expect("it is there");
        expect_change("a file that is gone");
        write("new", YAML);
        fs::rename(path("new"), path("c.yaml")).expect("it can be renamed");
        expect_change("another file of the same size");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_elsewhere_counts() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = |name: &str| folder.path().join(name);
        // As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> a folder of its own for each version.
        for version in ["..1", "..2"] {
            fs::create_dir(path(version)).expect("a folder can be made");
            fs::write(path(version).join("c.yaml"), "same").expect("a file can be written");
        }
        symlink("..1", path("..data")).expect("a link can be made");
        symlink("..data/c.yaml", path("c.yaml")).expect("a link can be made");
        let sources = Sources::of_file(&path("c.yaml"));
        let before = sources.stamps();
        symlink("..2", path("..tmp")).expect("a link can be made");
        fs::rename(path("..tmp"), path("..data")).expect("it can be renamed");
        assert_ne!(sources.stamps(), before);
    }
}
