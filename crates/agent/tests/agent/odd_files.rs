//! Files that are not as a fresh installation has them, for every destination that is a file: what is somebody else's stays
//! byte for byte, with its owner, group, mode, access list and links; what cannot stay is refused before a token is made.
//!
//! Bind mounts and foreign owners need root; without it they are made in a user namespace of one's own (`unshare -r`),
//! where other users do not exist: the rows with foreign owners then run as root only, and the test says so.

use crate::world::{FILE_HOME, Finish as _, World, chmod, failed, out};
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tokenward_testkit::assert_contains;

/// A kind of file destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    File,
    Dotenv,
    Credential,
}

const KINDS: [Kind; 3] = [Kind::File, Kind::Dotenv, Kind::Credential];

impl Kind {
    /// The lines of a destination whose file is `file` in the folder `place`.
    fn lines(self) -> &'static str {
        match self {
            Kind::File => "[[client.erp.destination]]\nkind = \"file\"\npath = \"place/file\"\n",
            Kind::Dotenv => {
                "[[client.erp.destination]]\nkind = \"dotenv\"\npath = \"place/file\"\n"
            }
            Kind::Credential => {
                "[[client.erp.destination]]\nkind = \"credential\"\nfolder = \"place\"\nname = \"file\"\n"
            }
        }
    }

    /// What the file holds beside our own.
    fn others(self, content: &[u8]) -> Vec<u8> {
        if self != Kind::Dotenv {
            return Vec::new();
        }
        let ours = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            let line = line.trim_start_matches('\u{feff}').trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line);
            line.starts_with("# tokenward CLEARTAX_AUTH_TOKEN ")
                || line.starts_with("CLEARTAX_AUTH_TOKEN")
        };
        let mut others = Vec::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            if !ours(line) {
                others.extend_from_slice(line);
            } else if line.starts_with("\u{feff}".as_bytes()) {
                others.extend_from_slice("\u{feff}".as_bytes());
            }
        }
        others
    }
}

/// A world with a folder for the odd file.
fn world(kind: Kind) -> (World, PathBuf) {
    let world = World::new(3600);
    world.config(kind.lines());
    std::fs::create_dir(world.path("place")).unwrap();
    let file = world.path("place/file");
    (world, file)
}

fn put(path: &Path, content: &[u8], mode: u32) {
    std::fs::write(path, content).unwrap();
    chmod(path, mode);
}

/// Owner, group and mode.
fn rights(path: &Path) -> (u32, u32, u32) {
    let found = std::fs::metadata(path).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

/// Gets a token that works, and sees what else the file holds and whose it is unchanged. Afterwards revokes it, and sees the
/// same again.
#[track_caller]
fn keeps(kind: Kind, world: &World, file: &Path, what: &str) {
    let before = std::fs::read(file).unwrap_or_default();
    let rights_before = file.exists().then(|| rights(file));
    let token = out(&world.agent(&["get"]));
    let what = format!("{kind:?}: {what}");
    assert_eq!(world.check(token.trim()), 200, "{what}");
    assert_eq!(out(&world.agent(&["get"])), token, "{what}");
    let after = std::fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&after);
    assert_eq!(text.matches(token.trim()).count(), 1, "{what}");
    assert_eq!(kind.others(&after), kind.others(&before), "{what}");
    assert_eq!(
        rights(file),
        rights_before.unwrap_or(rights(file)),
        "{what}"
    );
    out(&world.agent(&["revoke"]));
    let emptied = std::fs::read(file).unwrap_or_default();
    assert_eq!(emptied, kind.others(&before), "{what}");
}

/// Sees the file refused: exit 78 with this sentence, no token made, the file and its rights untouched.
#[track_caller]
fn refuses(kind: Kind, world: &World, file: &Path, expect: &str) {
    let before = std::fs::read(file).ok();
    let rights_before = file.exists().then(|| rights(file));
    let what = format!("{kind:?}: {expect}");
    for words in [&["get"][..], &["exec", "--", "/bin/true"]] {
        let said = failed(&world.agent(words), 78);
        assert!(said.contains(expect), "{what}: {said}");
    }
    assert_eq!(world.generation(), 0, "a token was made; {what}");
    assert_eq!(std::fs::read(file).ok(), before, "{what}");
    let rights_after = file.exists().then(|| rights(file));
    assert_eq!(rights_after, rights_before, "{what}");
    let doctor = world.agent(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1), "{what}");
    let told = String::from_utf8_lossy(&doctor.stdout);
    assert!(told.contains(expect), "{what}: {told}");
}

#[test]
fn odd_contents_stay_or_are_refused() {
    // What stays in an `.env`, and what cannot, with the words of the refusal.
    let kept: [&[u8]; 9] = [
        b"",
        b"A=1\nB=\"b c\"\n",
        b"A=1\nno line end",
        b"A=1\r\nexport CLEARTAX_AUTH_TOKEN=old\r\nB=2\r\n",
        b"\xef\xbb\xbfCLEARTAX_AUTH_TOKEN=old\r\nA=1\r\nexport CLEARTAX_AUTH_TOKEN=older\r\n",
        b"CLEARTAX_AUTH_TOKEN = 'old'\nA=1\n",
        b"KEY=\"-----BEGIN\nx\n-----END\"\nB='x\ny'\nC=a\\\n b\n",
        b"# it's mine\nA=it's\nB=5\"\n",
        b"A=C:\\dir\\\n",
    ];
    let refused: [(&str, &[u8]); 8] = [
        ("never closed", b"A=1\nB=\"\n"),
        ("not UTF-8", b"DB_PASSWORD=Gr\xf6\xdfe\nOTHER=1\n"),
        ("UTF-16", b"\xff\xfeA\0=\x001\0\n\0"),
        ("UTF-16", b"\xfe\xff\0A\0=\x001\0\n"),
        ("binary", b"A=\0\n"),
        ("take them apart", b"KEY=\"x\nCLEARTAX_AUTH_TOKEN=old\n\"\n"),
        ("take them apart", b"A=C:\\dir\\\nCLEARTAX_AUTH_TOKEN=old\n"),
        ("take them apart", b"CLEARTAX_AUTH_TOKEN=\"old\nA=1\"\n"),
    ];
    let (world, file) = world(Kind::Dotenv);
    for content in kept {
        put(&file, content, 0o600);
        let what = String::from_utf8_lossy(content);
        keeps(Kind::Dotenv, &world, &file, &what);
    }
    drop(world);
    let (world, file) = self::world(Kind::Dotenv);
    for (expect, content) in refused {
        put(&file, content, 0o600);
        refuses(Kind::Dotenv, &world, &file, expect);
    }
    // The other two hold nothing but our own: what is not is somebody else's.
    let others = refused.map(|(_, content)| content);
    for kind in [Kind::File, Kind::Credential] {
        let (world, file) = self::world(kind);
        for content in kept.into_iter().skip(1).chain(others) {
            put(&file, content, 0o600);
            refuses(kind, &world, &file, "this program did not write");
        }
        put(&file, b"{\"port\": 8080}\n", 0o600);
        refuses(kind, &world, &file, "this program did not write");
        put(&file, b"", 0o600);
        keeps(kind, &world, &file, "empty");
    }
}

#[test]
fn links_stay_links_and_what_they_lead_to_is_replaced() {
    for kind in KINDS {
        let (world, file) = world(kind);
        std::fs::create_dir(world.path("real")).unwrap();
        let real = world.path("real/file");
        symlink("../real/file", &file).unwrap();
        // Through two links, first with nothing there.
        symlink("file", world.path("place/again")).unwrap();
        let config = world.text("agent.toml");
        for through in ["file", "again"] {
            let text = config.replace("place/file", &format!("place/{through}"));
            let text = text.replace("name = \"file\"", &format!("name = \"{through}\""));
            std::fs::write(world.path("agent.toml"), text).unwrap();
            keeps(kind, &world, &world.path("place").join(through), through);
            assert!(file.is_symlink() && world.path("place/again").is_symlink());
            put(&real, b"", 0o640);
            keeps(kind, &world, &real, through);
            assert!(file.is_symlink() && !real.is_symlink(), "{kind:?}");
        }
        // In a circle, and to what is no file.
        std::fs::write(world.path("agent.toml"), &config).unwrap();
        drop(world);
        let (world, file) = self::world(kind);
        symlink("file", &file).unwrap();
        refuses(kind, &world, &file, "circle");
        std::fs::remove_file(&file).unwrap();
        symlink(world.folder.path(), &file).unwrap();
        let said = failed(&world.agent(&["get"]), 78);
        assert!(said.contains("not a regular file"), "{kind:?}: {said}");
        assert_eq!(world.generation(), 0);
    }
}

#[test]
fn mode_and_group_stay_and_a_file_for_everybody_gets_no_token() {
    for kind in KINDS {
        let (world, file) = world(kind);
        for mode in [0o600, 0o640, 0o660, 0o400] {
            put(&file, b"", mode);
            keeps(kind, &world, &file, &format!("mode {mode:o}"));
        }
        drop(world);
        let (world, file) = self::world(kind);
        for mode in [0o644, 0o666, 0o602] {
            put(&file, b"", mode);
            refuses(kind, &world, &file, "run chmod o-rwx");
        }
    }
}

/// A user who deploys applications.
const DEPLOY: u32 = 61_001;

/// Runs the agent as that user, with these groups besides.
fn as_deploy(world: &World, groups: &str, verb: &str) -> Output {
    let inner = crate::world::agent(world.folder.path(), &[verb]);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=61001", "--regid=61001", groups])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(world.folder.path())
        .env_clear();
    command.finish()
}

#[test]
fn owner_group_and_access_list_stay_and_what_cannot_be_kept_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: files of other users were not tried");
        return;
    }
    const WEB: u32 = 61_033;
    for kind in KINDS {
        let (world, file) = world(kind);
        put(&file, b"", 0o640);
        chown(&file, Some(DEPLOY), Some(WEB)).unwrap();
        keeps(kind, &world, &file, "of another user");
        assert!(kind != Kind::Dotenv || !file.exists() || rights(&file) == (DEPLOY, WEB, 0o640));

        // An access list lets one more user read; the group stays without.
        put(&file, b"", 0o600);
        let list = access_list(WEB);
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&file, "system.posix_acl_access", &list, flags).unwrap();
        let list = |file: &Path| {
            let mut value = vec![0; 1024];
            let length = rustix::fs::getxattr(file, "system.posix_acl_access", &mut value).unwrap();
            value.truncate(length);
            value
        };
        let before = list(&file);
        out(&world.agent(&["get"]));
        assert_eq!(list(&file), before, "{kind:?}");

        // As the deploying user, who cannot give a file to the group WEB or to root.
        drop(world);
        let (world, file) = self::world(kind);
        for path in ["", "agent.toml", "secret", "place"] {
            chown(world.path(path), Some(DEPLOY), Some(DEPLOY)).unwrap();
        }
        for (owner, group) in [(DEPLOY, WEB), (0, DEPLOY)] {
            put(&file, b"", 0o660);
            chown(&file, Some(owner), Some(group)).unwrap();
            let said = failed(&as_deploy(&world, "--clear-groups", "get"), 78);
            assert!(
                said.contains("cannot give a new file") || said.contains("Permission denied"),
                "{kind:?}: {said}"
            );
            assert_eq!(rights(&file), (owner, group, 0o660));
            assert_eq!(std::fs::read(&file).unwrap(), b"");
        }
        assert_eq!(world.generation(), 0, "{kind:?}");
    }
}

/// The access list that lets one more user read, as the kernel takes it (acl(5) tells what, `linux/posix_acl_xattr.h` how).
fn access_list(user: u32) -> Vec<u8> {
    let nobody = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, nobody),
        (0x02, 4, user),
        (0x04, 0, nobody),
        (0x10, 4, nobody),
        (0x20, 0, nobody),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn a_link_of_another_user_is_not_followed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: links of other users were not tried");
        return;
    }
    for kind in KINDS {
        let (world, file) = world(kind);
        let real = world.path("real");
        put(&real, b"", 0o600);
        symlink("../real", &file).unwrap();
        std::os::unix::fs::lchown(&file, Some(61_001), Some(61_001)).unwrap();
        refuses(kind, &world, &file, "belongs to another user");
        // To a file of its own it may lead.
        chown(&real, Some(61_001), Some(61_001)).unwrap();
        keeps(kind, &world, &file, "a link of the file's owner");
    }
}

/// Runs a script with mounts of its own, in which `$AGENT` is the agent.
fn in_mounts(world: &World, script: &str) -> String {
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "/bin/sh", "-ec", script])
        .env("AGENT", env!("CARGO_BIN_EXE_tokenward-agent"))
        .current_dir(world.folder.path());
    out(&command.finish())
}

#[test]
fn a_file_mounted_by_itself_is_written_in_place() {
    for kind in KINDS {
        let (world, file) = world(kind);
        let before: &[u8] = if kind == Kind::Dotenv {
            b"A=1\r\nB=2"
        } else {
            b""
        };
        put(&file, b"", 0o600);
        put(&world.path("host"), before, 0o640);
        // Four times, as a container that is started anew does: one token.
        let script = r#"
            mount --bind host place/file
            for n in 1 2 3 4; do "$AGENT" --config agent.toml get; done
            "$AGENT" --config agent.toml doctor | grep "written in place" > told || true
        "#;
        let tokens = in_mounts(&world, script);
        let tokens: Vec<&str> = tokens.lines().collect();
        assert_eq!(tokens.len(), 4);
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{kind:?}");
        assert_eq!(world.generation(), 1, "{kind:?}");
        assert_eq!(world.check(tokens[0]), 200);
        let after = std::fs::read(world.path("host")).unwrap();
        assert!(
            String::from_utf8_lossy(&after).contains(tokens[0]),
            "{kind:?}"
        );
        assert_eq!(kind.others(&after), before, "{kind:?}");
        assert_eq!(rights(&world.path("host")).2, 0o640);
        let told = world.text("told");
        assert!(
            told.contains("Mount its folder instead"),
            "{kind:?}: {told}"
        );
    }
}

#[test]
fn what_is_mounted_read_only_costs_no_token() {
    for kind in KINDS {
        let (world, file) = world(kind);
        put(&file, b"", 0o600);
        put(&world.path("host"), b"", 0o600);
        for mount in [
            "mount --bind host place/file; mount -o remount,ro,bind place/file",
            "mount --bind place place; mount -o remount,ro,bind place",
        ] {
            let script = format!(
                "{mount}\nfor n in 1 2; do \"$AGENT\" --config agent.toml get 2> said && exit 9; test $? = 78 || exit 8; done"
            );
            in_mounts(&world, &script);
            let said = world.text("said");
            assert!(said.contains("Read-only file system"), "{kind:?}: {said}");
        }
        assert_eq!(world.generation(), 0, "{kind:?}");
        assert_eq!(std::fs::read(world.path("host")).unwrap(), b"");
    }
}

#[test]
fn secrets_as_platforms_mount_them_are_taken() {
    let world = World::new(3600);
    world.config(Kind::File.lines());
    world.edit("\"secret\"", "\"mounted/secret\"");
    for folder in ["place", "mounted", "elsewhere"] {
        std::fs::create_dir(world.path(folder)).unwrap();
    }
    put(
        &world.path("elsewhere/secret"),
        world.client.secret.as_bytes(),
        0o444,
    );
    for (mount, taken) in [
        // Kubernetes and systemd: in memory, read-only.
        (
            "mount -t tmpfs none mounted; cp secret mounted; chmod 444 mounted/secret; mount -o remount,ro mounted",
            true,
        ),
        // Docker Compose: a folder or a file bound, read-only.
        (
            "mount --bind elsewhere mounted; mount -o remount,ro,bind mounted",
            true,
        ),
        (
            "cp secret mounted; mount --bind elsewhere/secret mounted/secret; mount -o remount,ro,bind mounted/secret",
            true,
        ),
        // Where somebody could write, others may read along.
        (
            "mount -t tmpfs none mounted; cp secret mounted; chmod 444 mounted/secret",
            false,
        ),
        ("mount --bind elsewhere mounted", false),
        (
            "mount -t tmpfs none mounted; cp secret mounted; chmod 466 mounted/secret; mount -o remount,ro mounted",
            false,
        ),
    ] {
        let script = format!(
            "rm -f place/file; {mount}\n\"$AGENT\" --config agent.toml get 2> said || echo $?"
        );
        let got = in_mounts(&world, &script);
        assert_eq!(got.trim() != "78", taken, "{mount}: {got}");
        if !taken {
            let said = world.text("said");
            assert_contains(&said, "run chmod 600");
            assert_contains(&said, "read-only mount");
        }
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: secrets of root shared with a group were not tried");
        return;
    }
    // Kubernetes with fsGroup: of root, for the process's group.
    for path in ["", "agent.toml", "place", "mounted"] {
        chown(world.path(path), Some(61_001), Some(61_001)).unwrap();
    }
    let secret = world.path("mounted/secret");
    for (owner, group, mode, taken) in [
        (0, 61_001, 0o440, true),
        (0, 61_002, 0o640, true),
        (0, 61_001, 0o460, false),
        (61_003, 61_001, 0o440, false),
    ] {
        put(&secret, world.client.secret.as_bytes(), mode);
        chown(&secret, Some(owner), Some(group)).unwrap();
        let told = out(&as_deploy(&world, "--groups=61002", "status"));
        assert_eq!(
            !told.contains("run chmod 600"),
            taken,
            "{owner}:{group} {mode:o}: {told}"
        );
    }
}

#[test]
fn a_copy_that_cannot_take_the_token_is_told_before_one_is_made() {
    let world = World::new(3600);
    world.config(&format!(
        "{FILE_HOME}[[client.erp.destination]]\nkind = \"dotenv\"\npath = \".env\"\n"
    ));
    let file = world.path(".env");
    put(&file, b"DB_PASSWORD=Gr\xf6\xdfe\n", 0o600);
    refuses(Kind::Dotenv, &world, &file, "not UTF-8");
    // A token that lives already is given all the same, and what is wrong is said.
    std::fs::remove_file(&file).unwrap();
    let token = out(&world.agent(&["get"]));
    put(&file, b"DB_PASSWORD=Gr\xf6\xdfe\n", 0o600);
    assert_eq!(out(&world.agent(&["get"])), token);
}
