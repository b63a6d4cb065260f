//! openapi-python-client makes a client of the document that is committed, without a warning, and every module of it can
//! be imported: each variant of an answer needs a name of its own for that.

use std::path::Path;
use std::process::{Command, Output};
use tokenward_testkit::{PROGRAM_LIMIT, finish};

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn python_client_is_generated_whole_from_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let programs = root.join(".cache/venv/bin").canonicalize();
    let programs = programs.expect("`make setup` makes the Python environment");
    let generator = programs.join("openapi-python-client");
    assert!(
        generator.exists(),
        "{} is missing: run `make setup`",
        generator.display()
    );
    let folder = tempfile::tempdir().expect("a folder");
    // Formatting what was made is not what is tried.
    let config = folder.path().join("config.yml");
    std::fs::write(&config, "post_hooks: []\n").expect("a written file");
    let client = folder.path().join("client");
    let mut command = Command::new(generator);
    command.current_dir(folder.path()).arg("generate");
    command.arg("--path").arg(root.join("docs/openapi.json"));
    command.arg("--config").arg(&config);
    command.arg("--output-path").arg(&client);
    let generated = finish(&mut command, PROGRAM_LIMIT);
    let said = told(&generated);
    assert!(generated.status.success(), "{said}");
    assert!(!said.contains("Warning"), "{said}");

    let program = "import importlib, pkgutil, tokenward_client as client\n\
         names = [m.name for m in pkgutil.walk_packages(client.__path__, 'tokenward_client.')]\n\
         [importlib.import_module(name) for name in names]\n\
         from tokenward_client.api.audit import verify_audit\n\
         from tokenward_client.models import AuditWhole, AuditBroken, AuditHead\n\
         print(len(names))";
    let mut python = Command::new(programs.join("python"));
    python.current_dir(&client).args(["-c", program]);
    let imported = finish(&mut python, PROGRAM_LIMIT);
    let said = told(&imported);
    assert!(imported.status.success(), "{said}");
    let modules: u32 = said.trim().parse().expect("a number");
    assert!(modules > 100, "{modules} modules");
}
