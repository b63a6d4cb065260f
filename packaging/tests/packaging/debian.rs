//! The Debian packages, made of the programs that the tests use: what is in them, what lintian and systemd say of them,
//! and whether the commented configuration names every setting. That they install, start, upgrade and keep the data at a
//! purge was tried by hand in a Debian root with a running systemd (decision 0121): it needs the rights of root.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;
use tokenward_testkit::{assert_lacks, example_binary};

use crate::{FOLDER, run};

/// The programs of this project.
const PROGRAMS: [&str; 2] = ["tokenward", "tokenward-agent"];

/// What a folder holds.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path())
}

/// The packages, made once.
struct Packages(TempDir);

impl Packages {
    fn made() -> &'static Packages {
        static MADE: OnceLock<Packages> = OnceLock::new();
        MADE.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let programs = folder.path().join("programs");
            std::fs::create_dir(&programs).unwrap();
            for program in PROGRAMS {
                std::fs::copy(example_binary(program, program), programs.join(program)).unwrap();
            }
            run(&format!("{FOLDER}/build-debian.sh"), |command| {
                command.arg(&programs).arg(folder.path());
                command.env("TOKENWARD_DEB_COMPRESSION", "-Zgzip -z1");
            });
            Packages(folder)
        })
    }

    /// The file of a package.
    fn file(&self, package: &str) -> PathBuf {
        let mut paths = entries(self.0.path());
        let begin = format!("{package}_");
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&begin) && name.ends_with(".deb")
        };
        paths
            .find(is_it)
            .unwrap_or_else(|| panic!("no package {package}"))
    }

    /// What `dpkg-deb` prints about a package.
    fn about(&self, option: &str, package: &str) -> String {
        run("dpkg-deb", |command| {
            command.arg(option).arg(self.file(package));
        })
    }

    /// The package's files and scripts in a folder of their own.
    fn unpacked(&self, package: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        run("dpkg-deb", |command| {
            command
                .arg("--raw-extract")
                .arg(self.file(package))
                .arg(folder.path());
        });
        folder
    }
}

#[test]
fn packages_hold_the_programs_units_manuals_and_completions() {
    let packages = Packages::made();
    for program in PROGRAMS {
        let content = packages.about("--contents", program);
        let files: BTreeSet<String> = content
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{} {} {}", words[0], words[1], words[5])
            })
            .collect();
        let readable = |path: &str| format!("-rw-r--r-- root/root ./{path}");
        let mut expected = vec![
            format!("-rwxr-xr-x root/root ./usr/bin/{program}"),
            readable(&format!("lib/systemd/system/{program}.service")),
            readable(&format!("usr/share/man/man1/{program}.1.gz")),
            readable(&format!("usr/share/bash-completion/completions/{program}")),
            readable(&format!("usr/share/zsh/vendor-completions/_{program}")),
            readable(&format!(
                "usr/share/fish/vendor_completions.d/{program}.fish"
            )),
            readable(&format!("usr/share/doc/{program}/copyright")),
        ];
        if program == "tokenward" {
            expected.extend([
                readable("etc/tokenward/tokenward.toml"),
                readable("lib/systemd/system/tokenward-backup.service"),
                readable("lib/systemd/system/tokenward-backup.timer"),
                readable("lib/systemd/system/tokenward.socket"),
                readable("usr/share/man/man1/tokenward-client-create.1.gz"),
                readable("usr/share/doc/tokenward/examples/digest-keys.conf"),
                readable("usr/share/doc/tokenward/examples/nginx.conf"),
                readable("usr/share/doc/tokenward/examples/monitoring/alerts.yml"),
            ]);
        }
        for file in expected {
            assert!(files.contains(&file), "{file} is not in {content}");
        }
        let known = packages.about("--info", program);
        assert!(known.contains("libc6 (>= "), "{known}");
        // Stripped, with the symbols in a package of their own.
        let own = packages.about("--contents", &format!("{program}-dbgsym"));
        assert!(own.contains("./usr/lib/debug/.build-id/"), "{own}");
        let unpacked = packages.unpacked(program);
        let sections = run("readelf", |command| {
            command
                .args(["--sections", "--wide"])
                .arg(unpacked.path().join("usr/bin").join(program));
        });
        assert_lacks(&sections, ".symtab");
        assert_lacks(&sections, ".debug_info");
    }
    let server = packages.unpacked("tokenward");
    let conffiles = std::fs::read_to_string(server.path().join("DEBIAN/conffiles")).unwrap();
    assert_eq!(conffiles.trim(), "/etc/tokenward/tokenward.toml");
    for script in ["postinst", "prerm", "postrm"] {
        let text = std::fs::read_to_string(server.path().join("DEBIAN").join(script)).unwrap();
        let removes = text
            .lines()
            .find(|line| line.contains("rm ") && line.contains("/var/"));
        assert_eq!(removes, None, "{script} removes data");
    }
}

#[test]
fn lintian_finds_no_errors() {
    // The .changes file, as in `make package`: lintian then also needs every file that it names.
    let changes = entries(Packages::made().0.path())
        .find(|path| path.extension().is_some_and(|end| end == "changes"))
        .expect("no .changes file");
    run("lintian", |command| {
        command.args(["--fail-on", "error"]).arg(changes);
    });
}

#[test]
fn systemd_takes_the_units_and_calls_them_closed() {
    let packages = Packages::made();
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for program in PROGRAMS {
        let unpacked = packages.unpacked(program);
        let path = unpacked.path().join("usr/bin").join(program);
        let installed = folder.path().join(format!("{program}.program"));
        std::fs::copy(path, &installed).unwrap();
        for unit in entries(&unpacked.path().join("lib/systemd/system")) {
            let text = std::fs::read_to_string(&unit).unwrap();
            let runs_nothing = unit.extension().unwrap() != "service";
            assert!(runs_nothing || text.contains(&format!("/usr/bin/{program} ")));
            // The program is not installed on this machine.
            let text = text.replace(
                &format!("/usr/bin/{program} "),
                &format!("{} ", installed.display()),
            );
            let place = folder.path().join(unit.file_name().unwrap());
            std::fs::write(&place, text).unwrap();
            units.push(place);
        }
    }
    assert_eq!(units.len(), 5);
    // What systemd does not understand it ignores with a warning; here that fails.
    let told = run("systemd-analyze", |command| {
        command
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .args(&units);
    });
    assert!(!told.contains(&*folder.path().to_string_lossy()), "{told}");
    for unit in units
        .iter()
        .filter(|unit| unit.extension().unwrap() == "service")
    {
        let name = unit.file_name().unwrap().to_string_lossy();
        run("systemd-analyze", |command| {
            command
                .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
                .arg(unit);
        });
        let text = std::fs::read_to_string(unit).unwrap();
        assert!(text.contains("LimitCORE=0"), "{name}");
    }
}

/// The settings that the help of `tokenward serve` lists for the configuration file, by key.
fn settings(program: &Path) -> BTreeSet<String> {
    let help = run(&program.to_string_lossy(), |command| {
        command.args(["serve", "--help"]);
    });
    // Set by flag or variable only: they hold a password, are for one start, or name the file itself.
    let others = "database-url mail-url new-digest-keys config help json";
    let flags = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"));
    flags
        .filter_map(|line| line.split([' ', '=']).next())
        .filter(|flag| !others.split(' ').any(|other| other == *flag))
        .map(|flag| match flag {
            "acme-domain" => "acme_domains".to_owned(),
            "environment-host" => "environment_hosts".to_owned(),
            "internal-caller" => "internal_callers".to_owned(),
            "trusted-proxy" => "trusted_proxies".to_owned(),
            "webhook-allow-network" => "webhook_allow_networks".to_owned(),
            flag => flag.replace('-', "_"),
        })
        .collect()
}

#[test]
fn configuration_names_every_setting_and_each_is_accepted() {
    let program = example_binary("tokenward", "tokenward");
    let text = std::fs::read_to_string(format!("{FOLDER}/debian/tokenward.toml")).unwrap();
    let is_setting = |line: &&str| line.contains(" = ") || line.starts_with("#[");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("# "))
        .filter(is_setting);
    let mut named = BTreeSet::new();
    let mut whole = String::new();
    for line in lines {
        let line = line.trim_start_matches('#');
        let key = line.split(" = ").next().unwrap().trim_matches(['[', ']']);
        if !key.starts_with('"') {
            named.insert(key.to_owned());
        }
        // Which file is missing is not the question here.
        let names_file = ["file", "tls", "authority"]
            .iter()
            .any(|part| key.contains(part));
        // And the packaged program is built without traces.
        let is_other = key.starts_with("database_") || key == "otlp_endpoint";
        if !names_file && !is_other {
            whole = whole + line + "\n";
        }
    }
    let mut known = settings(&program);
    // Of `tokenward backup`, which reads it in the same file.
    known.extend(
        ["recipients", "s3_endpoint", "s3_region", "s3_addressing"]
            .map(|one| format!("backup_{one}")),
    );
    assert_eq!(named, known);
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let path = folder.path().join("tokenward.toml");
        let text = text.replace("/var/lib/tokenward", &folder.path().to_string_lossy());
        let text = text.replace("/run/tokenward", &folder.path().to_string_lossy());
        // Ports that are free: a server of the machine is another matter.
        let text = text.replace(":8080\"", ":0\"").replace(":8081\"", ":0\"");
        std::fs::write(&path, text).unwrap();
        run(&program.to_string_lossy(), |command| {
            command
                .env_clear()
                .args(["config", "check", "--config"])
                .arg(&path);
        })
    };
    check(
        &text
            .replace("#public = ", "public = ")
            .replace("#internal = ", "internal = "),
    );
    // Single sign-on needs its secret's file, and the last table the authority's.
    let (whole, callers) = whole.split_once("[internal_callers]\n").unwrap();
    assert!(
        callers.lines().all(|line| line.starts_with('"')),
        "{callers}"
    );
    let whole: Vec<&str> = whole
        .lines()
        .filter(|line| !line.starts_with("sso_"))
        .collect();
    check(&whole.join("\n"));
}
