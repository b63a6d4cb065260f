//! The samples of a client's page work as they stand: copied from the page and run, each gets a token and a permit. C# is
//! not run here, for Debian has no .NET.

use crate::house::House;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tokenward_testkit::{NewClient, PROGRAM_LIMIT, finish};

/// The samples of a page by their titles, as a browser shows them.
fn samples(page: &str) -> BTreeMap<String, String> {
    let samples = page.split("<details class=\"sample\"").skip(1);
    let between = |text: &str, before: &str, until: &str| {
        let rest = text.split_once(before).unwrap().1;
        rest.split_once(until).unwrap().0.to_owned()
    };
    let plain = |text: String| {
        let text = text.replace("&#60;", "<").replace("&#62;", ">");
        text.replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#38;", "&")
    };
    samples
        .map(|sample| {
            let title = between(sample, "<summary>", "</summary>");
            let pre = between(sample, "<pre", "</pre>");
            (title, plain(pre.split_once('>').unwrap().1.to_owned()))
        })
        .collect()
}

#[tokio::test]
async fn samples_of_a_client_work_when_they_are_copied() {
    let (house, operator) = House::with_operator().await;
    house.api.product("gst", "GST").await.unwrap();
    let acme = house.workspace("Acme").await;
    let client = house.api.client(&acme, NewClient::sandbox("erp")).await;
    let client = client.unwrap();
    let page = operator
        .get(&format!("/console/clients/{}", client.id))
        .await;
    let samples = samples(&page.expect(200, "Connect").text);
    let titles: Vec<&str> = samples.keys().map(String::as_str).collect();
    assert_eq!(
        titles,
        [
            "C#",
            "Go",
            "Java",
            "Node.js",
            "PHP",
            "Python",
            "curl",
            "tokenward-agent (agent.toml)"
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    let run = |title: &str, file: &str, program: &[&str], says: &str| {
        let path = folder.path().join(file);
        std::fs::write(&path, &samples[title]).unwrap();
        let mut command = Command::new(program[0]);
        command
            .args(&program[1..])
            .arg(&path)
            .env("CLEARTAX_CLIENT_SECRET", &client.secret)
            .env(
                "PRODUCT_URL",
                format!("{}/check/sandbox/gst", house.server.internal()),
            )
            .env("GO111MODULE", "off")
            .env("GOFLAGS", "")
            .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
        let output = finish(&mut command, PROGRAM_LIMIT);
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{title}: {said}{complained}");
        assert_eq!(said, says, "{title}: {complained}");
    };
    run("curl", "sample.sh", &["sh", "-eu"], "");
    run("Python", "sample.py", &["python3"], "200");
    run("Node.js", "sample.mjs", &["node"], "200");
    run("Java", "Sample.java", &["java"], "200");
    run("Go", "sample.go", &["go", "run"], "200");
    run("PHP", "sample.php", &["php"], "");
    // Each got a token of its own, and each was permitted once.
    let shown = house.api.read_client(&client.id).await.unwrap().json();
    assert_eq!(shown["token"]["generation"], 6, "{shown}");
}
