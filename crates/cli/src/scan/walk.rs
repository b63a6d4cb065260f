//! Walking trees of files. Links are not followed, and nothing is opened that could block or has no
//! end: sockets, pipes, devices, the kernel's own file systems. What can't be read is reported and
//! does not end the walk.

use super::blocks::{Sighting, Step, search};
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stands for standard input.
pub(crate) const STDIN: &str = "-";

/// Bytes between two signs of life.
const PROGRESS_BYTES: u64 = 8 << 20;
/// Files between two signs of life.
const PROGRESS_FILES: u64 = 500;

/// File systems made of the kernel's own state: some of their files block or have no end (statfs(2)).
const KERNEL_FILE_SYSTEMS: [i64; 9] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x1cd1,      // devpts
];

/// How to walk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Stay on the file system of each path given.
    pub(crate) one_file_system: bool,
    /// Hand credentials over, to ask the server about them.
    pub(crate) keep_text: bool,
}

/// What a walk meets.
#[derive(Debug)]
pub(crate) enum Event {
    /// A credential.
    Find(Arc<Path>, Sighting),
    /// Something that should have been read and was not, and why.
    Unreadable(Arc<Path>, String),
    /// A file system left out.
    Skipped(PathBuf),
    /// A sign of life.
    Progress(Totals),
}

/// How much was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    /// Files read.
    pub(crate) files: u64,
    /// Bytes in them.
    pub(crate) bytes: u64,
}

/// Looks into every file under the paths; `each` hears what is met and says false to stop.
pub(crate) fn walk(
    paths: &[PathBuf],
    options: Options,
    stdin: impl Read,
    each: impl FnMut(Event) -> bool,
) -> Totals {
    let mut walk = Walk {
        options,
        each,
        totals: Totals::default(),
        shown: Totals::default(),
        stopped: false,
        path: Arc::from(Path::new("")),
    };
    let mut stdin = Some(stdin);
    for path in paths {
        if path.as_os_str() == STDIN {
            if let Some(stdin) = stdin.take() {
                walk.read(path, stdin);
            }
        } else {
            walk.tree(path);
        }
        if walk.stopped {
            break;
        }
    }
    walk.totals
}

struct Walk<F> {
    options: Options,
    each: F,
    totals: Totals,
    shown: Totals,
    stopped: bool,
    /// The file being read.
    path: Arc<Path>,
}

/// A place still to be visited, on which device its parent lies, and whether a person named it.
struct Visit {
    path: PathBuf,
    parent_device: Option<u64>,
}

impl<F: FnMut(Event) -> bool> Walk<F> {
    fn tell(&mut self, event: Event) -> bool {
        self.stopped = self.stopped || !(self.each)(event);
        !self.stopped
    }

    fn unreadable(&mut self, path: &Path, why: &std::io::Error) {
        self.tell(Event::Unreadable(Arc::from(path), why.to_string()));
    }

    /// Visits everything under a path, in the order of names.
    fn tree(&mut self, root: &Path) {
        let mut pending = vec![Visit {
            path: root.to_owned(),
            parent_device: None,
        }];
        while let Some(visit) = pending.pop() {
            if self.stopped {
                return;
            }
            // Only what a person named may be a link.
            let metadata = match visit.parent_device {
                None => std::fs::metadata(&visit.path),
                Some(_) => std::fs::symlink_metadata(&visit.path),
            };
            match metadata {
                Err(error) => self.unreadable(&visit.path, &error),
                Ok(metadata) if metadata.is_dir() => self.folder(&visit, &metadata, &mut pending),
                Ok(metadata) if readable(metadata.file_type(), &visit) => self.file(&visit),
                Ok(_) => {}
            }
        }
    }

    /// Adds what lies in a folder, last name first, for the last added is visited first.
    fn folder(&mut self, visit: &Visit, metadata: &Metadata, pending: &mut Vec<Visit>) {
        let device = metadata.dev();
        if visit.parent_device.is_some_and(|parent| parent != device)
            && (self.options.one_file_system || is_kernels(&visit.path))
        {
            self.tell(Event::Skipped(visit.path.clone()));
            return;
        }
        let entries = match std::fs::read_dir(&visit.path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(&visit.path, &error),
        };
        let first = pending.len();
        for entry in entries {
            match entry {
                Ok(entry) => pending.push(Visit {
                    path: entry.path(),
                    parent_device: Some(device),
                }),
                Err(error) => self.unreadable(&visit.path, &error),
            }
        }
        pending[first..].sort_unstable_by(|one, other| other.path.cmp(&one.path));
    }

    fn file(&mut self, visit: &Visit) {
        // Between looking and opening the file may have become a pipe or a link: neither blocks us.
        let mut flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        if visit.parent_device.is_some() {
            flags |= rustix::fs::OFlags::NOFOLLOW;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&visit.path);
        let checked = file.and_then(|file| Ok((file.metadata()?, file)));
        match checked {
            Ok((metadata, file)) if readable(metadata.file_type(), visit) => {
                self.read::<File>(&visit.path, file)
            }
            Ok(_) => {}
            Err(error) => self.unreadable(&visit.path, &error),
        }
    }

    fn read<R: Read>(&mut self, path: &Path, reader: R) {
        self.path = Arc::from(path);
        let outcome = search(reader, self.options.keep_text, |step| self.step(step));
        if let Err(error) = outcome {
            self.unreadable(path, &error);
        }
        self.totals.files += 1;
        self.sign_of_life();
    }

    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Bytes(count) => {
                self.totals.bytes += count;
                self.sign_of_life();
                !self.stopped
            }
            Step::Found(sighting) => {
                let path = Arc::clone(&self.path);
                self.tell(Event::Find(path, sighting))
            }
        }
    }

    fn sign_of_life(&mut self) {
        let due = self.totals.bytes - self.shown.bytes >= PROGRESS_BYTES
            || self.totals.files - self.shown.files >= PROGRESS_FILES;
        if due {
            self.shown = self.totals;
            self.tell(Event::Progress(self.totals));
        }
    }
}

/// Regular files; and a pipe that a person named, as a shell's `<(...)` makes one.
fn readable(kind: FileType, visit: &Visit) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    kind.is_file() || (visit.parent_device.is_none() && kind.is_fifo())
}

fn is_kernels(path: &Path) -> bool {
    // The field's type differs between machines; this one holds them all.
    let kernels = KERNEL_FILE_SYSTEMS.map(i128::from);
    rustix::fs::statfs(path).is_ok_and(|found| kernels.contains(&found.f_type.into()))
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::{secret, token};
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn events(paths: &[&Path], stdin: &[u8]) -> (Vec<String>, Totals) {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        let mut told = Vec::new();
        let totals = walk(&paths, Options::default(), stdin, |event| {
            told.push(match event {
                Event::Find(path, find) => {
                    let (line, column, kind) = (find.line, find.column, find.kind.as_str());
                    format!("{} {line}:{column} {kind}", name(&path))
                }
                Event::Unreadable(path, why) => format!("{} unreadable: {why}", name(&path)),
                Event::Skipped(path) => format!("{} skipped", name(&path)),
                Event::Progress(_) => "progress".to_owned(),
            });
            true
        });
        (told, totals)
    }

    fn name(path: &Path) -> String {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    #[test]
    fn every_file_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("c.txt"), format!("x\ny {}", *token())).unwrap();
        let two = format!("{}\n{}", *secret(), *token());
        std::fs::write(folder.path().join("b/.hidden"), two).unwrap();
        std::fs::write(folder.path().join("a.bin"), "nothing").unwrap();
        let (told, totals) = events(&[folder.path()], b"");
        assert_eq!(
            told,
            [
                ".hidden 1:1 client secret",
                ".hidden 2:1 access token",
                "c.txt 2:3 access token"
            ]
        );
        assert_eq!(totals.files, 3);
    }

    #[test]
    fn links_and_sockets_are_left_alone_unless_a_link_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("real");
        std::fs::write(&file, token().as_bytes()).unwrap();
        symlink(&file, folder.path().join("link")).unwrap();
        symlink(folder.path(), folder.path().join("loop")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, pipe, Mode::RUSR).unwrap();
        assert_eq!(events(&[folder.path()], b""), (vec![], Totals::default()));
        let named = folder.path().join("link");
        assert_eq!(events(&[&named], b"").0, ["link 1:1 access token"]);
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_the_walk_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let locked = folder.path().join("a");
        std::fs::write(&locked, "x").unwrap();
        std::fs::write(folder.path().join("b"), token().as_bytes()).unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
        let missing = folder.path().join("missing");
        let (told, totals) = events(&[&missing, folder.path()], b"");
        assert_eq!(
            told[0],
            "missing unreadable: No such file or directory (os error 2)"
        );
        assert_eq!(told.last().unwrap(), "b 1:1 access token");
        // Root reads everything; anybody else is told about the locked file.
        if File::open(&locked).is_err() {
            assert_eq!(told[1], "a unreadable: Permission denied (os error 13)");
            assert_eq!(totals.files, 1);
        }
    }

    #[test]
    fn the_kernels_own_file_systems_are_named_and_left_out() {
        assert!(is_kernels(Path::new("/proc")));
        assert!(!is_kernels(tempfile::tempdir().unwrap().path()));
    }

    #[test]
    fn standard_input_is_a_file_like_any_other() {
        let text = format!("one\n  {}", *token());
        let (told, _) = events(&[Path::new("-")], text.as_bytes());
        assert_eq!(told, ["- 2:3 access token"]);
    }

    #[test]
    fn a_watcher_that_has_heard_enough_stops_the_walk() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(folder.path().join(name), token().as_bytes()).unwrap();
        }
        let mut heard = 0;
        let paths = [folder.path().to_owned()];
        let totals = walk(&paths, Options::default(), std::io::empty(), |_| {
            heard += 1;
            false
        });
        assert_eq!((heard, totals.files), (1, 1));
    }
}
