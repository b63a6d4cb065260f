//! The manifests for Kubernetes, judged by Kubernetes' published schemas; there is no cluster here. The image was made and
//! run by hand (docs/guide/containers.md).

use crate::LIMIT;
use std::process::Command;
use tokenward_testkit::finish;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn manifests_fit_the_schemas_of_kubernetes() {
    let program = format!("{FOLDER}/../.cache/venv/bin/kubernetes-validate");
    let there = std::path::Path::new(&program).exists();
    assert!(
        there,
        "kubernetes-validate is missing: xtask/setup.sh test installs it"
    );
    for file in ["namespace.yaml", "tokenward.yaml"] {
        let mut command = Command::new(&program);
        let output = finish(
            command
                .arg("--strict")
                .arg(format!("{FOLDER}/kubernetes/{file}")),
            LIMIT,
        );
        let told =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && told.contains("passed"),
            "{file}: {told}"
        );
    }
}
