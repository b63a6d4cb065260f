//! A rolling restart: each node in turn is stopped and started while callers generate and check through a load balancer. Wrong
//! verdicts and generates that were lost or doubled are always judged. Refusals also come from a disk or a machine that stands
//! still for seconds, so they are judged where the number of rounds is given, on a machine that does nothing else.

use gateways::Balancer;

use super::{
    NOTHING,
    load::{Judged, Load},
    nodes::{Cluster, Plan},
};

/// Rounds, each of which restarts all nodes, unless [`SETTING`] says otherwise.
const ROUNDS: u32 = 2;
const SETTING: &str = "TOKENWARD_ROLLING_RESTARTS";

async fn restart_all(balancer: Balancer) {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long the test runs is no setting of the server"
    )]
    let asked = std::env::var(SETTING).ok();
    let rounds = asked
        .as_ref()
        .map_or(ROUNDS, |text| text.parse().expect(SETTING));
    let mut cluster = Cluster::start(&Plan {
        binary: None,
        prefers_ports: false,
        standby: false,
        balancer,
    });
    let mut load = Load::start(&cluster.api, Vec::new()).await;
    load.turn().await;
    for round in 1..=rounds {
        for node in &mut cluster.nodes {
            let ended = tokio::task::block_in_place(|| node.terminate());
            assert!(ended.success(), "{ended}");
            load.turn().await;
            tokio::task::block_in_place(|| node.restart());
            load.turn().await;
        }
        let seen = load.step();
        eprintln!("{balancer:?}, round {round}: {seen:?}");
        assert_eq!(seen.lost_or_doubled, 0, "generates lost or doubled");
        if asked.is_some() && seen.demand(&NOTHING, &load) == Judged::MachineStalled {
            eprintln!(
                "the machine stood still for {:?}: refusals are not judged",
                seen.stall
            );
        }
    }
    load.end().await;
    let judged = load.judged();
    assert!(judged.violations.is_empty(), "{}", judged.violations[0]);
    assert!(judged.accepted > 0 && judged.denied > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart_behind_nginx_refuses_and_loses_nothing() {
    restart_all(Balancer::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart_behind_haproxy_refuses_and_loses_nothing() {
    restart_all(Balancer::Haproxy).await;
}
