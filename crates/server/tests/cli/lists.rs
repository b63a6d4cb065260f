//! Lists over several pages, for people and for programs.

use crate::run::{erp, run, server};
use serde_json::Value;
use tokenward_testkit::{NewClient, expect_json, text};

/// A member of each item of a list.
pub(crate) fn names(list: &Value, member: &str) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item[member].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn every_page_is_read_and_no_more_than_wanted() {
    let server = server();
    let api = server.api();
    for number in 0..230 {
        api.workspace(&format!("space {number:03}")).await.unwrap();
    }
    let all = names(&run(&server, "workspace list --json").json(), "name");
    assert_eq!(all.len(), 231);
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 231, "no workspace twice");
    let some = run(&server, "workspace list --json --limit 120").json();
    assert_eq!(names(&some, "name"), all[..120]);

    // A list the server never cuts is cut here.
    let products = run(&server, "product list --json --limit 1").json();
    assert_eq!(products["items"].as_array().unwrap().len(), 1);

    // A name on the last page is found, and in a file the headings stand once.
    run(&server, &format!("workspace show '{}'", all[230])).expect(0);
    let text = run(&server, "workspace list");
    assert_eq!(text.expect(0).lines().count(), 232);
    assert_eq!(text.stdout.matches("NAME").count(), 1);
    let is_plain = !text.stdout.contains(['\t', '\x1b', '│']);
    assert!(is_plain, "plain text in a pipe");
}

#[tokio::test]
async fn clients_are_listed_over_workspaces_and_by_state() {
    let server = server();
    erp(&server);
    let api = server.api();
    let other = api.workspace("other").await.unwrap();
    let billing = NewClient::production("billing");
    api.client(&other, billing).await.unwrap();
    let stopped = api.client(&other, NewClient::sandbox("stopped")).await;
    api.disable(&stopped.unwrap().id).await.unwrap();

    let listed = |more: &str| {
        let list = run(&server, &format!("client list --json {more}")).json();
        let mut labels = names(&list, "label");
        labels.sort();
        labels
    };
    assert_eq!(listed(""), ["billing", "erp", "stopped"]);
    assert_eq!(listed("--workspace other"), ["billing", "stopped"]);
    assert_eq!(listed("--environment production"), ["billing"]);
    assert_eq!(listed("--state disabled"), ["stopped"]);
    assert_eq!(listed("--limit 1").len(), 1);
    assert!(listed("--workspace acme --state disabled").is_empty());

    let none = run(&server, "client list --workspace acme --state disabled");
    assert_eq!((none.expect(0), &*none.stderr), ("", "No results.\n"));
}

#[tokio::test]
async fn rows_of_several_workspaces_are_aligned_and_name_theirs() {
    let server = server();
    erp(&server);
    let api = server.api();
    let long = "a workspace with a rather long name";
    let other = api.workspace(long).await.unwrap();
    let label = "a client with a label that is longer than the others";
    let longer = NewClient::production(label);
    api.client(&other, longer).await.unwrap();
    let listed = run(&server, "client list");
    let rows: Vec<&str> = listed.expect(0).lines().collect();
    assert_eq!(rows.len(), 3, "{listed:?}");
    let column = rows[0].find("WORKSPACE").expect("a heading");
    let at = |row: &str| row.get(column..).map(str::to_owned).unwrap_or_default();
    for begin in ["acme  ", long] {
        let named = rows[1..].iter().any(|row| at(row).starts_with(begin));
        assert!(named, "{begin}: {listed:?}");
    }

    // Two of one name are told apart by their ids.
    let twin = api.workspace("acme").await.unwrap();
    run(&server, "workspace show acme").refused(1, &["several are called", &twin, " or "]);
}

#[tokio::test]
async fn a_program_reads_the_apis_own_json() {
    let server = server();
    erp(&server);
    let api = server.api();
    let mine = run(&server, "client list --json").json();
    let id = text(&mine, "/items/0/id");
    let read = api.read_client(&id);
    assert_eq!(mine["items"][0], expect_json(read, 200).await);
}
