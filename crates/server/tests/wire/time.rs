//! The machine's clock steps, as libfaketime makes it: time never goes back for tokens and quotas.

use crate::house::{House, LIMIT};
use tokenward_testkit::{NewClient, Server, expect_error, faketime, wait_until};

#[tokio::test]
async fn an_expired_token_and_a_quota_day_stay_so_when_the_clock_is_set_back() {
    const DAY: i64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    faketime::set(&clock, 0);
    let builder = Server::builder().args(&["--quota-per-day", "1"]);
    let mut house = House::of(builder.clock(&clock)).await;
    let brief = NewClient::sandbox("brief").lifetime(3_600);
    let brief = house.client(brief).await;
    let busy = house.client(NewClient::sandbox("busy")).await;
    let token = house.token(&brief).await.access_token;
    house.token(&busy).await;
    expect_error(house.generate(&busy.secret), 429, "QUOTA_EXCEEDED").await;
    house.permits(&token).await;
    // A day later the token is over and the quota is whole again.
    faketime::set(&clock, DAY);
    let followed = async { while house.check("gst", &token).await.status == 200 {} };
    let followed = tokio::time::timeout(LIMIT, followed).await;
    followed.expect("a step forward is followed");
    house.denies(&token, "TOKEN_EXPIRED").await;
    house.token(&busy).await;
    for end in ["no", "stop", "kill -9"] {
        faketime::set(&clock, 0);
        match end {
            "stop" => house.restart(),
            "kill -9" => {
                house.server.kill9();
                house.start_again();
            }
            _ => {}
        }
        house.denies(&token, "TOKEN_EXPIRED").await;
        expect_error(house.generate(&busy.secret), 429, "QUOTA_EXCEEDED").await;
        let ahead = house.api.figure("tokenward_clock_ahead_seconds").await;
        let ahead = ahead.unwrap();
        assert!((ahead - 86_400.0).abs() < 600.0, "after {end}: {ahead}");
        wait_until("a warning", LIMIT, || {
            house.server.output().contains("the system clock is behind")
        });
    }
    // What is made now is good for as long as it says.
    let fresh = NewClient::sandbox("fresh").lifetime(3_600);
    let fresh = house.client(fresh).await;
    let fresh = house.token(&fresh).await.access_token;
    house.permits(&fresh).await;
}
