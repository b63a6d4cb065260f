//! Members from the command line: the way in, the way back in, and out.

use crate::run::{run, server};
use reqwest::Method;
use tokenward_testkit::{Server, assert_lacks, mode_of};

const ASHA: &str = "asha@example.com";

/// Opens a link and chooses a password; the status.
pub(crate) async fn join(server: &Server, link: &str) -> u16 {
    let path = link.strip_prefix(server.public()).expect("a link there");
    let form = "name=Asha&password=plum-tractor-7-galaxy&password_again=plum-tractor-7-galaxy";
    let api = server.api();
    let request = api.public(Method::POST, path);
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .body(form);
    api.send(request).await.unwrap().status
}

#[tokio::test]
async fn an_admin_key_lets_an_operator_in_and_back_in() {
    let server = server();
    let invite = format!("member invite --role operator --email {ASHA}");
    let first = run(&server, &invite);
    let link = first.expect(0).to_owned();
    first.warns("never be shown again");
    let listed = run(&server, "member list");
    listed.says("invited till");
    assert_lacks(&listed.stdout, link.rsplit('/').next().unwrap());
    assert!(matches!(join(&server, &link).await, 200..=303));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("link");
    let again = format!("{invite} --link-file {} --json", path.display());
    let again = run(&server, &again);
    let link = std::fs::read_to_string(&path).unwrap();
    let secret = link.trim_end().rsplit('/').next().unwrap();
    assert_lacks(&again.stdout, secret);
    assert_eq!(again.json()["invitation"]["email"], ASHA);
    assert_eq!(mode_of(&path), 0o600);
    assert!(matches!(join(&server, link.trim_end()).await, 200..=303));
    let listed = run(&server, "member list --json").json();
    let items = listed["items"].as_array().unwrap();
    let hers = items.iter().filter(|one| one["email"] == ASHA).count();
    // The link for whoever comes first went when she came.
    assert_eq!((hers, items.len()), (1, 1), "{listed}");
}

#[tokio::test]
async fn members_are_changed_and_removed_and_nothing_is_done_unasked() {
    let server = server();
    let invite = format!("member invite --role auditor -w acme --email {ASHA}");
    let link = run(&server, &invite).expect(0).to_owned();
    assert!(matches!(join(&server, &link).await, 200..=303));

    let change = |more: &str| run(&server, &format!("member change {ASHA} --json {more}"));
    // The API's spelling of a role is understood, too.
    let roles = "--role product_admin -w acme --product gst";
    let told = "the role product_admin in place of auditor";
    change(roles).refused(1, &[told, "not a terminal"]);
    let changed = change(&format!("{roles} --yes")).json();
    assert_eq!(changed["role"], "product_admin");
    assert_eq!(changed["products"][0], "gst");
    change("--disable").refused(1, &["signed out everywhere", "not a terminal"]);
    assert_eq!(change("--disable --yes").json()["disabled"], true);
    assert_eq!(change("--enable").json()["disabled"], false);
    change("").refused(2, &["--role"]);
    change("-w acme").refused(2, &["--role"]);
    let refused = change("--role workspace-admin --yes");
    refused.refused(1, &["INVALID_REQUEST", "workspace_id"]);

    run(&server, &format!("member remove {ASHA}")).refused(1, &[ASHA, "not a terminal"]);
    run(&server, &format!("member remove {ASHA} --yes")).expect(0);
    run(&server, &format!("member remove {ASHA} --yes")).refused(1, &["no member is called"]);

    let link = run(&server, &invite).expect(0).to_owned();
    run(&server, &format!("member withdraw {ASHA}")).refused(1, &[ASHA, "not a terminal"]);
    run(&server, "member withdraw ASHA@example.com --yes").expect(0);
    assert_eq!(join(&server, &link).await, 404);
}
