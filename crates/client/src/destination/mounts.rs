//! The mounts of this process, as the kernel lists them: whether a file can be replaced by renaming, and whether it lies
//! where only this container or service sees it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// A mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mount {
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    /// Whether it shows a part of a file system only: a bind mount.
    pub(crate) is_bind: bool,
    /// Whether it is kept in memory, as platforms keep secrets.
    pub(crate) is_in_memory: bool,
    /// Whether nothing can be written there.
    pub(crate) is_read_only: bool,
}

/// The mount that holds a file; none where the kernel does not say.
pub(crate) fn holding(path: &Path) -> Option<Mount> {
    let path = std::fs::canonicalize(path).ok()?;
    let list = std::fs::read("/proc/self/mountinfo").ok()?;
    nearest(&list, &path)
}

/// Whether a file is itself a mount point, which no rename can replace.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let real = std::fs::canonicalize(path).ok();
    holding(path).is_some_and(|mount| Some(mount.point) == real)
}

fn nearest(list: &[u8], path: &Path) -> Option<Mount> {
    let mounts = list.split(|byte| *byte == b'\n').filter_map(read);
    mounts
        .filter(|mount| path.starts_with(&mount.point))
        // Of several over one another the last is seen.
        .max_by_key(|mount| mount.point.components().count())
}

/// One line of proc_pid_mountinfo(5).
fn read(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    let options = fields.next()?;
    let mut after = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = after.next()?;
    let super_options = after.nth(1).unwrap_or_default();
    let read_only = |options: &[u8]| options.split(|byte| *byte == b',').any(|one| one == b"ro");
    Some(Mount {
        point,
        is_bind: root != b"/",
        is_in_memory: matches!(kind, b"tmpfs" | b"ramfs"),
        is_read_only: read_only(options) || read_only(super_options),
    })
}

/// Blanks, line ends and backslashes are written as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..3).filter(|_| *first == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &others[3..] } else { others };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n\
        30 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw,size=100k\n\
        31 22 254:0 /srv/erp/.env /app/.env rw,relatime master:1 - ext4 /dev/root rw\n\
        32 22 0:40 / /etc/secrets ro,relatime shared:9 - tmpfs tmpfs rw\n\
        33 22 254:0 /d /a\\040b ro - ext4 /dev/root rw\n";

    #[test]
    fn nearest_mount_holds_the_file() {
        let check = |path: &str, point: &str, flags: [bool; 3]| {
            let mount = nearest(LIST.as_bytes(), Path::new(path)).unwrap();
            let found = [mount.is_bind, mount.is_in_memory, mount.is_read_only];
            assert_eq!((mount.point.to_str().unwrap(), found), (point, flags));
        };
        check("/etc/hosts", "/", [false; 3]);
        check("/runner", "/", [false; 3]);
        check("/run/x", "/run", [false, true, false]);
        check("/app/.env", "/app/.env", [true, false, false]);
        check("/app/.env.bak", "/", [false; 3]);
        check("/etc/secrets/erp/s", "/etc/secrets", [false, true, true]);
        check("/a b/s", "/a b", [true, false, true]);
    }
}
