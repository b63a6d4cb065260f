//! Generators of clients take the document that is committed: openapi-python-client without a warning, and every module
//! of its client compiles and can be imported (each variant of an answer needs a name of its own for that); what
//! openapi-typescript makes of it compiles under `--strict`, with a program that uses it.

use std::process::{Command, Output};
use tokenward_testkit::{PROGRAM_LIMIT, finish, set_up};

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn python_client_is_generated_whole_from_the_document() {
    let generator = set_up(".cache/venv/bin/openapi-python-client");
    let python = set_up(".cache/venv/bin/python");
    let folder = tempfile::tempdir().expect("a folder");
    // Formatting what was made is not what is tried.
    let config = folder.path().join("config.yml");
    std::fs::write(&config, "post_hooks: []\n").expect("a written file");
    let client = folder.path().join("client");
    let mut command = Command::new(generator);
    command.current_dir(folder.path()).arg("generate");
    command.arg("--path").arg(set_up("docs/openapi.json"));
    command.arg("--config").arg(&config);
    command.arg("--output-path").arg(&client);
    let generated = finish(&mut command, PROGRAM_LIMIT);
    let said = told(&generated);
    assert!(generated.status.success(), "{said}");
    assert!(!said.contains("Warning"), "{said}");

    let mut compile = Command::new(&python);
    compile
        .current_dir(&client)
        .args(["-m", "compileall", "-q", "."]);
    let compiled = finish(&mut compile, PROGRAM_LIMIT);
    assert!(compiled.status.success(), "{}", told(&compiled));

    let program = "import importlib, pkgutil, tokenward_client as client\n\
         names = [m.name for m in pkgutil.walk_packages(client.__path__, 'tokenward_client.')]\n\
         [importlib.import_module(name) for name in names]\n\
         from tokenward_client.api.audit import verify_audit\n\
         from tokenward_client.models import AuditWhole, AuditBroken, AuditHead\n\
         print(len(names))";
    let mut python = Command::new(python);
    python.current_dir(&client).args(["-c", program]);
    let imported = finish(&mut python, PROGRAM_LIMIT);
    let said = told(&imported);
    assert!(imported.status.success(), "{said}");
    let modules: u32 = said.trim().parse().expect("a number");
    assert!(modules > 100, "{modules} modules");
}

/// Reads an answer, sends a request and takes apart an answer that is one of two, as a caller would.
const PROGRAM: &str = r#"import type { components, paths } from "./api";

type Client = paths["/admin/v1/clients/{id}"]["get"]["responses"]["200"]["content"]["application/json"];
type Verified = components["schemas"]["AuditVerified"];

export const change: components["schemas"]["ClientChange"] = { products: "all", token_lifetime_seconds: 3600 };

export function told(client: Client, verified: Verified): string {
    const state: "none" | "live" | "disabled" | "expired" | "revoked" = client.token.state;
    const slugs: string[] = client.products ?? [];
    const lifetime: number | null = client.token_lifetime_seconds;
    const audit = verified.ok ? verified.head.hash : verified.why;
    // @ts-expect-error: a member that no client has
    return [client.label, state, ...slugs, lifetime, audit, client.no_such_member].join(" ");
}
"#;

#[test]
fn typescript_types_are_generated_and_compile() {
    let modules = set_up("crates/server/tests/openapi/node/node_modules");
    let generator = modules.join("openapi-typescript/bin/cli.js");
    let folder = tempfile::tempdir().expect("a folder");
    let types = folder.path().join("api.ts");
    let mut generate = Command::new("node");
    generate.arg(generator).arg(set_up("docs/openapi.json"));
    let generated = finish(generate.arg("-o").arg(&types), PROGRAM_LIMIT);
    assert!(generated.status.success(), "{}", told(&generated));

    let program = folder.path().join("program.ts");
    std::fs::write(&program, PROGRAM).expect("a written file");
    let mut compile = Command::new("node");
    compile.arg(modules.join("typescript/bin/tsc"));
    compile.args(["--noEmit", "--strict", "--target", "es2022"]);
    let compiled = finish(compile.args([&types, &program]), PROGRAM_LIMIT);
    assert!(compiled.status.success(), "{}", told(&compiled));
}
